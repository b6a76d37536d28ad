"""What the Dagster UI shows of an artifact: its figures, its columns, pictures and learning curves."""

import base64
import dataclasses
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg
import pyarrow as pa

from assets.settings import section_types
from pipeline.planning.times import times_of
from pipeline.report import charts
from pipeline.report.charts import Curve
from pipeline.report.tricks import HEADINGS, STEP_HEADINGS, cells, gain_bars, step_cells
from pipeline.stages.report_tricks import read_tricks
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import read_table

Metadata = dict[str, Any]

if TYPE_CHECKING:
    Outcome: TypeAlias = dg.MaterializeResult[None]
else:
    Outcome = dg.MaterializeResult  # Dagster knows the bare class as an annotation, not one with a parameter


def columns(schema: pa.Schema) -> Metadata:
    """The column schema of a table, for an asset's definition."""
    described = [dg.TableColumn(field.name, str(field.type)) for field in schema]
    return {"dagster/column_schema": dg.TableSchema(columns=described)}


def figures(artifact: Artifact, rows: int | None = None) -> Metadata:
    """An artifact's facts, where it lies, and whether anything was computed."""
    shown: Metadata = {
        name: dg.MetadataValue.json(value) if isinstance(value, dict | list) else value
        for name, value in artifact.facts.items()
        if value is not None
    }
    shown |= {"folder": dg.MetadataValue.path(str(artifact.folder)), "computed": artifact.made}
    if rows is not None:
        shown["dagster/row_count"] = rows
    return shown


def picture(image: bytes | None, kind: str = "jpeg") -> dg.MarkdownMetadataValue:
    """An inline picture; its bytes are encoded, so nothing of a crawl reaches the UI's Markdown as text."""
    if image is None:
        return dg.MetadataValue.md("nothing to show")
    return dg.MetadataValue.md(f"![picture](data:image/{kind};base64,{base64.b64encode(image).decode()})")


def learning_curves(models: Sequence[Artifact]) -> dg.MarkdownMetadataValue:
    """Val top-1 over epochs of several trainings, or their loss where there is no val split."""
    curves, percent = [], True
    for number, artifact in enumerate(models):
        rows = read_table(artifact.table("curve")).to_pydict()
        percent = None not in rows["val_top1"]
        curves.append(Curve(number, tuple(rows["epoch"]), tuple(rows["val_top1"] if percent else rows["loss"])))
    chart = charts.learning_curves(curves, [artifact.partition for artifact in models], percent)
    return picture(chart, "svg+xml")


def curve_so_far(title: str, losses: Mapping[int, float]) -> dg.MarkdownMetadataValue:
    """The loss of a training that goes on, by epoch."""
    return picture(charts.learning_curves([Curve(0, tuple(losses), tuple(losses.values()))], [title], False), "svg+xml")


def tricks(summary: Artifact) -> Metadata:
    """The chain, the source's tables beside ours, and the gains of both as bars."""
    told = read_tricks(summary)
    if told is None:
        return {}
    rows = [
        (f"**{table.title}**",) if row is None else cells(row) for table in told.tables for row in (None, *table.rows)
    ]
    bars = {f"gains_{metric}": gain_bars(told, metric) for metric in ("top5", "top1")}
    return {
        "chain": dg.MetadataValue.md(markdown(STEP_HEADINGS, map(step_cells, told.steps))),
        "tricks": dg.MetadataValue.md("\n\n".join([markdown(HEADINGS, rows), *told.notes])),
        **{name: picture(charts.gain_chart(own), "svg+xml") for name, own in bars.items() if own},
    }


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; cells are our own words and figures, never a crawl's."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def result(
    artifacts: Artifact | list[Artifact],
    metadata: Metadata,
    checks: list[dg.AssetCheckResult] | None = None,
    *,
    asset: str | None = None,
) -> Outcome:
    """An asset's outcome: the data version is the artifacts' identity. A step of several assets names which it is."""
    listed = artifacts if isinstance(artifacts, list) else [artifacts]
    version = "+".join(artifact.identity for artifact in listed)
    told = metadata | _times(listed)
    return dg.MaterializeResult(
        asset_key=asset, metadata=told, data_version=dg.DataVersion(version), check_results=checks or []
    )


def _times(artifacts: list[Artifact]) -> Metadata:
    """What they took: the UI draws these over time, which shows the night that was late, and of what."""
    took = times_of(Store(artifacts[0].root), artifacts)
    told = {"seconds": took.seconds, "seconds_before": took.before, "seconds_planned": took.planned}
    return {name: value for name, value in (told | {"peak_mb": took.peak_mb}).items() if value is not None}


def launchpad(kind: type) -> dict[str, dg.Field]:
    """A typed launchpad for one settings class: every field may be given; one left out is as the store has it."""
    return {
        name: dg.Field(launchpad(hint), is_required=False, default_value={})
        if isinstance(hint, type) and dataclasses.is_dataclass(hint)
        else dg.Field(dg.Noneable(_config_type(hint)), is_required=False, default_value=None)
        for name, hint in section_types(kind).items()
    }


def _config_type(hint: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        return [_config_type(typing.get_args(hint)[0])]
    return {int: int, float: float, bool: bool, str: str}.get(hint, str)
