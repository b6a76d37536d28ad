"""The report's part on trust: how right each class and query is as a whole, and how honest these figures are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report import trust
from pipeline.report.charts import reliability_diagram
from pipeline.report.page import Trust
from pipeline.stages.report_charts import chart_of
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import iterate_table, read_table

QueryKey = tuple[str, int]  # crawl, query_id


def read_trust(fused: Artifact, listings: Sequence[Artifact], names: Sequence[str]) -> Trust:
    """What `evidence-fused` estimates of classes and queries; texts are read of the queries shown alone.

    Args:
        fused: an `evidence-fused`.
        listings: of all crawls.
        names: of all classes.
    """
    judged = fused.table("judged")
    calibration = None
    if judged.exists():  # not in one that was made before verdicts were held out
        told = read_table(judged)
        columns = (told[name].to_numpy() for name in ("right", "held_out_probability", "unaided_probability"))
        calibration = trust.calibration(*columns)
    held = calibration.held_out if calibration else None
    drawn = reliability_diagram(held.said.tolist(), held.found.tolist(), held.images.tolist()) if held else None
    return Trust(
        classes=_classes(fused, names),
        queries=_queries(fused, listings, names),
        # no round was made where there was nothing to hold a view against
        levels=fused.facts.get("rounds") != 0 or fused.facts.get("verified", 0) > 0,
        calibration=calibration,
        diagram=chart_of(drawn, "How often labels were right, over how likely they were said to be") if drawn else None,
    )


def _classes(fused: Artifact, names: Sequence[str]) -> trust.TrustTable:
    table = read_table(fused.table("classes"))
    rows, best = _ends(table)
    told = [
        trust.TrustRow(own["class_index"], names[own["class_index"]], None, own["images"], own["right_share"])
        for own in rows.to_pylist()
    ]
    return trust.table_of(told, best, table.num_rows)


def _queries(fused: Artifact, listings: Sequence[Artifact], names: Sequence[str]) -> trust.TrustTable | None:
    table = read_table(fused.table("queries"))
    if table["query_id"].null_count == len(table):
        return None
    rows, best = _ends(table)
    return trust.table_of(query_rows(rows.to_pylist(), listings, names), best, table.num_rows)


def query_rows(
    shown: Sequence[dict[str, Any]], listings: Sequence[Artifact], names: Sequence[str]
) -> list[trust.TrustRow]:
    """Some rows of an `evidence-fused`'s table of queries, with what was searched for.

    Args:
        shown: the rows.
        listings: of all crawls.
        names: of all classes.
    """
    texts = _texts(listings, {(own["crawl"], own["query_id"]) for own in shown if own["query_id"] is not None})
    return [
        trust.TrustRow(
            own["class_index"],
            names[own["class_index"]],
            _named(own["crawl"], own["query_id"], texts, len(listings) > 1),
            own["images"],
            own["right_share"],
        )
        for own in shown
    ]


def _ends(table: pa.Table) -> tuple[pa.Table, int]:
    """The rows that are shown, in order, and how many of them are the best."""
    worst, best = trust.ends(table["right_share"].to_numpy(), table["images"].to_numpy())
    return table.take(pa.array([*worst, *best], pa.int64())), len(best)


def _named(crawl: str, query_id: int | None, texts: dict[QueryKey, str], several: bool) -> str:
    name = "no query is told" if query_id is None else texts.get((crawl, query_id), f"query {query_id}")
    return f"{name} ({crawl})" if several else name


def _texts(listings: Sequence[Artifact], wanted: set[QueryKey]) -> dict[QueryKey, str]:
    """What was searched for; the queries are streamed."""
    found: dict[QueryKey, str] = {}
    for listing in listings:
        folder = listing.table("queries")
        own = np.array(sorted(query for crawl, query in wanted if crawl == listing.partition), np.int32)
        if len(own) and folder.exists():
            for batch in iterate_table(folder, ("query_id", "text")):
                held = batch.filter(pc.is_in(batch["query_id"], pa.array(own)))
                pairs = zip(held["query_id"].to_pylist(), held["text"].to_pylist(), strict=True)
                found |= {(listing.partition, query): text for query, text in pairs}
    return found
