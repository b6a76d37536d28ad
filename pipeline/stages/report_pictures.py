"""The report's classes in pictures: contact sheets for every source of evidence, and maps."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.evidence.vocabulary import ClassWords
from pipeline.report.census import ClassRow
from pipeline.report.choice import Choice, ChoiceGroup
from pipeline.report.class_groups import WIDE, class_groups, doubted_rows
from pipeline.report.class_view import COLUMNS, ClassView
from pipeline.report.page import ClassPictures, PictureGroup
from pipeline.report.sheets import SheetSettings
from pipeline.stages.population import Population
from pipeline.stages.report_evidence import Evidence, Training
from pipeline.stages.report_gallery import Gallery, usable_positions
from pipeline.stages.report_maps import class_maps
from pipeline.stages.report_texts import with_words
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import iterate_table


def class_pictures(
    rows: Sequence[ClassRow],
    training: Training,
    evidence: Evidence,
    gallery: Gallery,
    names: Sequence[str],
    words: Sequence[ClassWords],
) -> tuple[ClassPictures, ...]:
    """Some classes in pictures; the texts of all of them are read in one pass.

    Args:
        rows: the classes; each has usable images.
        training: their images.
        evidence: what is known of them.
        gallery: where pictures lie.
        names: of all classes.
        words: of all classes; not asked for where no text has been matched.
    """
    settings = gallery.settings
    views = class_views([row.index for row in rows], training, evidence, names)
    groups = [class_groups(view, settings) for view in views]
    if "neighbours" in evidence.found:
        beside = neighbour_groups(views, evidence.found["neighbours"], gallery.population, settings)
        groups = [[*own, group] if group.choices else own for own, group in zip(groups, beside, strict=True)]
    groups = with_words(groups, views, gallery, words)
    drawn = iter(gallery.sheets([choice for own in groups for group in own for choice in group.choices]))
    return tuple(
        ClassPictures(
            row,
            tuple(PictureGroup(g.title, g.note, tuple(next(drawn) for _ in g.choices)) for g in own),
            class_maps(view, gallery),
        )
        for row, view, own in zip(rows, views, groups, strict=True)
    )


def class_views(
    classes: Sequence[int], training: Training, evidence: Evidence, names: Sequence[str]
) -> list[ClassView]:
    """Some classes with everything that is known of their images; each has usable images.

    Memory holds one column of all classes at a time, and all columns of these.
    """
    order = training.order
    own = [np.arange(order.starts[k], order.starts[k + 1]) for k in classes]
    every = np.concatenate(own) if own else np.zeros(0, np.int64)
    columns = evidence.columns(COLUMNS, every)
    views, start = [], 0
    for index, rows in zip(classes, own, strict=True):
        here = {name: values[start : start + len(rows)] for name, values in columns.items()}
        weight = None if training.weight is None else training.weight[rows]
        views.append(ClassView(index, order.image_id[rows], order.members[rows], weight, here, names))
        start += len(rows)
    return views


def neighbour_groups(
    views: Sequence[ClassView], found: Artifact, population: Population, settings: SheetSettings
) -> list[ChoiceGroup]:
    """Of each class the images that their neighbours doubt most, each beside the images most similar to it.

    Args:
        views: the classes.
        found: an `evidence-neighbours`.
        population: all images.
        settings: how many are shown.
    """
    doubted = [doubted_rows(view, "agreement", "neighbour_class", settings.queries) for view in views]
    queries = [view.image_id[rows] for view, rows in zip(views, doubted, strict=True)]
    nearest = read_nearest(found, np.concatenate([*queries, np.zeros(0, np.int64)]))
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


def read_nearest(found: Artifact, image_id: npt.NDArray[np.int64]) -> Mapping[int, list[int]]:
    """The nearest images of a few, nearest first, by image id; the table is streamed."""
    nearest: dict[int, list[int]] = {}
    for batch in iterate_table(found.table("nearest"), ("image_id", "neighbours")):
        own = batch.filter(np.isin(batch["image_id"].to_numpy(), image_id))
        nearest |= dict(zip(own["image_id"].to_pylist(), own["neighbours"].to_pylist(), strict=True))
    return nearest
