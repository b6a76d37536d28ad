"""The report's pictures of confused classes: each group's joint clusters, whose they are, and what is labelled how."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.report.choice import Choice, Positions, parts, sample
from pipeline.report.class_page import GroupLine, GroupPage
from pipeline.report.overview import top_names
from pipeline.report.render import counted
from pipeline.report.sheets import SheetSettings
from pipeline.stages.report_evidence import Evidence
from pipeline.stages.report_read import Run
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import read_table

ACROSS = 4  # pictures in a row of a sheet
COLUMNS = ("joint_cluster", "owner_class", "owner_share")


@dataclass(frozen=True)
class ConfusedClasses:
    """One group of confused classes."""

    classes: list[int]
    pairs: list[tuple[int, int, float]]  # a, b and the share confused between them, the most confused first


def confused_classes(found: Artifact, classes: int) -> list[ConfusedClasses]:
    """The groups of an `evidence-confusion`, the most confused first.

    Args:
        found: the artifact.
        classes: size of the catalogue.
    """
    members = read_table(found.table("groups"), ("confused_group", "class_index")).sort_by("class_index")
    group_of = np.full(classes, -1)
    group_of[members["class_index"].to_numpy()] = members["confused_group"].to_numpy()
    pairs: dict[int, list[tuple[int, int, float]]] = {int(k): [] for k in np.unique(group_of[group_of >= 0])}
    for a, b, rate in _pairs_inside(found, group_of):
        pairs[int(group_of[a])].append((a, b, rate))
    order = sorted(pairs, key=lambda group: (-max((rate for *_, rate in pairs[group]), default=0.0), group))
    return [ConfusedClasses(np.flatnonzero(group_of == group).tolist(), pairs[group]) for group in order]


def joint_clusters(
    group: ConfusedClasses, evidence: Evidence, settings: SheetSettings, names: Sequence[str]
) -> tuple[list[Choice], int]:
    """The clusters of all images of a group together, largest first, and how many more there are.

    Args:
        group: its images alone are read.
        evidence: that has the confusion's table.
        settings: how many clusters, how many pictures of each.
        names: of all classes.
    """
    columns = [evidence.of_classes(COLUMNS, range(k, k + 1)) for k in group.classes]
    told = {name: np.concatenate([own[name] for own in columns]) for name in COLUMNS}
    rows = np.concatenate([np.arange(*_ends(evidence, k)) for k in group.classes])
    clusters = _joint_clusters(told, rows, evidence, settings, names)
    return clusters, int((np.unique(told["joint_cluster"]) >= 0).sum()) - len(clusters)


def group_lines(run: Run, groups: Sequence[ConfusedClasses]) -> list[GroupLine]:
    """The groups with their names; each has a page of its number."""
    return [
        GroupLine(
            number=number,
            classes=tuple(map(run.link, group.classes)),
            pairs=tuple((run.link(a), run.link(b), rate) for a, b, rate in group.pairs),
        )
        for number, group in enumerate(groups)
    ]


def group_page(run: Run, lines: Sequence[GroupLine], group: ConfusedClasses, number: int) -> GroupPage:
    """One group in pictures."""
    choices, more = joint_clusters(group, run.evidence, run.sheets, run.names)
    return GroupPage(
        line=lines[number],
        clusters=tuple(run.gallery.sheets(choices)),
        more_clusters=more,
        before=number - 1 if number else None,
        after=number + 1 if number + 1 < len(lines) else None,
    )


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
