"""The report's pictures of confused classes: each group's joint clusters, whose they are, and what is labelled how."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.report.choice import Choice, Positions, parts, sample
from pipeline.report.overview import top_names
from pipeline.report.page import ConfusedGroup
from pipeline.report.render import counted
from pipeline.report.sheets import SheetSettings
from pipeline.stages.report_evidence import Evidence
from pipeline.stages.report_gallery import Gallery
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import read_table

ACROSS = 4  # pictures in a row of a sheet


@dataclass(frozen=True)
class GroupChoice:
    """What is pictured of one group of confused classes."""

    classes: list[int]
    pairs: list[tuple[int, int, float]]  # a, b and the share confused between them, the most confused first
    clusters: list[Choice]  # largest first
    more_clusters: int


def confused_groups(
    found: Artifact, evidence: Evidence, gallery: Gallery, names: Sequence[str]
) -> tuple[tuple[ConfusedGroup, ...], int]:
    """The most confused groups with their joint clusters, and how many groups are left out.

    Args:
        found: an `evidence-confusion`.
        evidence: that has its table, too.
        gallery: where pictures lie.
        names: of all classes.
    """
    groups, more = group_choices(found, evidence, gallery.settings, names)
    drawn = iter(gallery.sheets([choice for group in groups for choice in group.clusters]))
    told = tuple(
        ConfusedGroup(
            names=tuple(names[k] for k in group.classes),
            pairs=tuple((names[a], names[b], rate) for a, b, rate in group.pairs),
            clusters=tuple(next(drawn) for _ in group.clusters),
            more_clusters=group.more_clusters,
        )
        for group in groups
    )
    return told, more


def group_choices(
    found: Artifact, evidence: Evidence, settings: SheetSettings, names: Sequence[str]
) -> tuple[list[GroupChoice], int]:
    """What is pictured of the most confused groups, the most confused first, and how many groups are left out."""
    members = read_table(found.table("groups"), ("confused_group", "class_index")).sort_by("class_index")
    group_of = np.full(len(names), -1)
    group_of[members["class_index"].to_numpy()] = members["confused_group"].to_numpy()
    pairs: dict[int, list[tuple[int, int, float]]] = {int(k): [] for k in np.unique(group_of[group_of >= 0])}
    for a, b, rate in _pairs_inside(found, group_of):
        pairs[int(group_of[a])].append((a, b, rate))
    order = sorted(pairs, key=lambda group: (-max((rate for *_, rate in pairs[group]), default=0.0), group))
    shown = order[: settings.confused]
    classes = [np.flatnonzero(group_of == group).tolist() for group in shown]
    rows = [np.concatenate([np.arange(*_ends(evidence, k)) for k in own]) for own in classes]
    every = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    columns = evidence.columns(("joint_cluster", "owner_class", "owner_share"), every)
    groups, start = [], 0
    for group, own, here in zip(shown, classes, rows, strict=True):
        told = {name: values[start : start + len(here)] for name, values in columns.items()}
        start += len(here)
        clusters = _joint_clusters(told, here, evidence, settings, names)
        found_clusters = int((np.unique(told["joint_cluster"]) >= 0).sum())
        groups.append(GroupChoice(own, pairs[group], clusters, found_clusters - len(clusters)))
    return groups, len(order) - len(shown)


def _pairs_inside(found: Artifact, group_of: npt.NDArray[np.int64]) -> list[tuple[int, int, float]]:
    """Pairs of classes of one group, the most confused first."""
    table = read_table(found.table("pairs"), ("class_a", "class_b", "rate"))
    a, b, rate = (table[name].to_numpy() for name in ("class_a", "class_b", "rate"))
    inside = np.flatnonzero((group_of[a] >= 0) & (group_of[a] == group_of[b]))
    inside = inside[np.lexsort((b[inside], a[inside], -rate[inside]))]
    return list(zip(a[inside].tolist(), b[inside].tolist(), rate[inside].tolist(), strict=True))


def _ends(evidence: Evidence, class_index: int) -> tuple[int, int]:
    rows = evidence.order.rows(class_index)
    return rows.start, rows.stop


def _joint_clusters(
    own: dict[str, npt.NDArray[Any]],
    rows: Positions,
    evidence: Evidence,
    settings: SheetSettings,
    names: Sequence[str],
) -> list[Choice]:
    choices = []
    label, image_id = evidence.order.class_index[rows], evidence.order.image_id[rows]
    for number, at in parts(own["joint_cluster"], settings.clusters):
        given = top_names(np.bincount(label[at], minlength=len(names)), names, 3)
        owner = int(own["owner_class"][at[0]])
        whose = f"{names[owner]}'s by {100 * own['owner_share'][at[0]]:.0f}%" if owner >= 0 else "nobody's"
        note = (
            f"{counted(len(at), 'image')}, labelled {', '.join(f'{name} {100 * share:.0f}%' for name, share in given)}"
        )
        few = sample(at, image_id, settings.per_cluster)
        labels = tuple(names[k] for k in label[few].tolist())
        choices.append(Choice(f"Cluster {number}: {whose}", note, evidence.order.members[rows[few]], ACROSS, labels))
    return choices
