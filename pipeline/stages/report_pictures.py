"""The report's classes in pictures: contact sheets for every source of evidence."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.evidence.vocabulary import ClassWords
from pipeline.report.choice import Choice, ChoiceGroup, Positions
from pipeline.report.class_groups import WIDE, class_groups, doubted_rows
from pipeline.report.class_page import PictureGroup
from pipeline.report.class_view import COLUMNS, ClassView
from pipeline.report.sheets import SheetSettings
from pipeline.stages.population import Population
from pipeline.stages.report_evidence import Evidence, Training
from pipeline.stages.report_gallery import Gallery, usable_positions
from pipeline.stages.report_texts import with_words
from pipeline.storage.artifacts import Artifact
from pipeline.storage.rows import take_rows
from pipeline.storage.tables import iterate_table


def picture_groups(
    views: Sequence[ClassView], evidence: Evidence, gallery: Gallery, words: Sequence[ClassWords]
) -> list[tuple[PictureGroup, ...]]:
    """Some classes in contact sheets; the texts of all of them are read in one pass.

    Args:
        views: the classes.
        evidence: what is known of their images.
        gallery: where pictures lie.
        words: of all classes; not asked for where no text has been matched.
    """
    settings = gallery.settings
    groups = [class_groups(view, settings) for view in views]
    if "neighbours" in evidence.found:
        beside = neighbour_groups(views, evidence, gallery.population, settings)
        groups = [[*own, group] if group.choices else own for own, group in zip(groups, beside, strict=True)]
    groups = with_words(groups, views, gallery, words)
    drawn = iter(gallery.sheets([choice for own in groups for group in own for choice in group.choices]))
    return [tuple(PictureGroup(g.title, g.note, tuple(next(drawn) for _ in g.choices)) for g in own) for own in groups]


def class_views(classes: range, training: Training, evidence: Evidence, names: Sequence[str]) -> list[ClassView]:
    """Those of some classes that have usable images, with everything that is known of them.

    Args:
        classes: a run of classes that lie in one part of the tables of evidence.
        training: their images.
        evidence: what is known of them.
        names: of all classes.
    """
    order = training.order
    columns = evidence.of_classes(COLUMNS, classes)
    first, views = int(order.starts[classes.start]), []
    for index in classes:
        rows = order.rows(index)
        if rows.stop > rows.start:
            here = slice(rows.start - first, rows.stop - first)
            views.append(
                ClassView(
                    index=index,
                    image_id=np.asarray(order.image_id[rows]),
                    position=np.asarray(order.members[rows]),
                    weight=None if training.weights is None else training.weights.counted[rows],
                    columns={name: values[here] for name, values in columns.items()},
                    names=names,
                    alone=None if training.weights is None else training.weights.alone[rows],
                    group=None if training.group is None else training.group[rows],
                )
            )
    return views


def neighbour_groups(
    views: Sequence[ClassView], evidence: Evidence, population: Population, settings: SheetSettings
) -> list[ChoiceGroup]:
    """Of each class the images that their neighbours doubt most, each beside the images most similar to it.

    Args:
        views: the classes.
        evidence: that has the neighbours.
        population: all images.
        settings: how many are shown.
    """
    doubted = [doubted_rows(view, "agreement", "neighbour_class", settings.queries) for view in views]
    nearest = _nearest(views, doubted, evidence)
    wanted = np.array(sorted({other for others in nearest.values() for other in others[: WIDE - 1]}), np.int64)
    place = dict(zip(wanted.tolist(), usable_positions(population, wanted).tolist(), strict=True))
    groups = []
    for view, rows in zip(views, doubted, strict=True):
        choices: list[Choice] = []
        for row in rows.tolist():
            others = [place[other] for other in nearest.get(int(view.image_id[row]), [])[: WIDE - 1]]
            at = np.array([int(view.position[row]), *(other for other in others if other >= 0)], np.int64)
            labels = tuple(view.names[k] for k in population.class_index[at].tolist())
            choices.append(Choice(f"Doubted picture {len(choices) + 1}", "", at, WIDE, labels))
        note = "First the picture, then those most similar to it, each with its label."
        groups.append(ChoiceGroup("Beside their neighbours", note, tuple(choices)))
    return groups


def _nearest(views: Sequence[ClassView], doubted: Sequence[Positions], evidence: Evidence) -> Mapping[int, list[int]]:
    """The nearest images of the doubted ones: only their rows are read, where the table is of just these images."""
    found, starts = evidence.found["neighbours"], evidence.order.starts
    ids = np.concatenate(
        [*(view.image_id[own] for view, own in zip(views, doubted, strict=True)), np.zeros(0, np.int64)]
    )
    if "neighbours" not in evidence.fitting:
        return read_nearest(found, ids)
    rows = [int(starts[view.index]) + own for view, own in zip(views, doubted, strict=True)]
    if not len(ids):
        return {}
    table = take_rows(found.table("nearest"), np.concatenate(rows), ("image_id", "neighbours"))
    return dict(zip(table["image_id"].to_pylist(), table["neighbours"].to_pylist(), strict=True))


def read_nearest(found: Artifact, image_id: npt.NDArray[np.int64]) -> Mapping[int, list[int]]:
    """The nearest images of a few, nearest first, by image id; the table is streamed."""
    nearest: dict[int, list[int]] = {}
    for batch in iterate_table(found.table("nearest"), ("image_id", "neighbours")):
        own = batch.filter(np.isin(batch["image_id"].to_numpy(), image_id))
        nearest |= dict(zip(own["image_id"].to_pylist(), own["neighbours"].to_pylist(), strict=True))
    return nearest
