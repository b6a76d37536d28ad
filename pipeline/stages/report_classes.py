"""The report's pages of classes, a run of classes at a time: figures, queries, what each is taken for, and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from pipeline.evidence.vocabulary import ClassWords
from pipeline.report.class_page import ClassFacts, ClassPage, Confused, PictureGroup
from pipeline.report.page import Chart
from pipeline.report.trust import TrustRow
from pipeline.stages.report_maps import class_maps
from pipeline.stages.report_pictures import class_views, picture_groups
from pipeline.stages.report_read import Run
from pipeline.stages.report_recipes import RecipeWeights
from pipeline.stages.report_trust import query_rows
from pipeline.storage.tables import read_table

AT_ONCE: Final = 16  # classes whose pages are made in one go
QUERIES: Final = 30  # told of a class, the worst first
TAKEN: Final = 8  # classes told of that a class is taken for


@dataclass(frozen=True)
class ClassPages:
    """Makes the pages of a run's classes."""

    run: Run
    weights: Mapping[str, RecipeWeights]  # by recipe
    groups: Mapping[int, int]  # class -> its confused group's page
    words: Sequence[ClassWords]  # of all classes; empty where no text has been matched

    def of(self, classes: range) -> list[ClassPage]:
        """The pages of some classes; all lie in one part of the tables."""
        pictures = self._pictures(classes)
        queries = self._queries(classes)
        return [self._page(k, queries.get(k, []), *pictures.get(k, ((), ()))) for k in classes]

    def _page(
        self, k: int, queries: list[TrustRow], groups: tuple[PictureGroup, ...], maps: tuple[Chart, ...]
    ) -> ClassPage:
        run = self.run
        reached = {name: own[k] for name, own in run.reached.items() if own[k] is not None}
        best = max(reached, key=lambda name: reached[name] or 0.0) if reached else None
        return ClassPage(
            row=run.classes[k],
            wnid=run.wnids[k],
            before=run.link(k - 1) if k else None,
            after=run.link(k + 1) if k + 1 < len(run.classes) else None,
            facts=self._facts(k),
            recipes=(recipes := self._recipes(k)),
            trained=sum(name in run.inputs.asked for name, *_ in recipes),
            best=(best, reached[best] or 0.0) if best else None,
            judge=self._judge,
            split=run.split if reached else None,
            shown=run.weighed,
            queries=tuple(queries[:QUERIES]),
            more_queries=max(0, len(queries) - QUERIES),
            confused=self._confused.get(k, ())[:TAKEN],
            group=self.groups.get(k),
            groups=groups,
            maps=maps,
        )

    def _facts(self, k: int) -> tuple[ClassFacts, ...]:
        told = []
        for figure, places in zip(self.run.figures, self.run.places, strict=True):
            value = figure.values[k]
            if value is not None:
                told.append(
                    ClassFacts(figure.name, value, figure.percent, figure.judges, int(places[k]), int(places.max()))
                )
        return tuple(told)

    def _recipes(self, k: int) -> tuple[tuple[str, float | None, float | None, float | None], ...]:
        told = []
        for note in (*self.run.notes, *self.run.others):
            weights = self.weights.get(note.name)
            mean, light = (_known(own[k]) for own in (weights.mean, weights.light)) if weights else (None, None)
            top1 = self.run.reached[note.name][k] if note.name in self.run.reached else None
            if (mean, top1) != (None, None):
                told.append((note.name, mean, light, top1))
        return tuple(told)

    @cached_property
    def _confused(self) -> dict[int, tuple[Confused, ...]]:
        """Of each class what it is taken for, most often first: by the best recipe, and out of fold."""
        run = self.run
        tested: dict[tuple[int, int], float] = {}
        if run.inputs.summary is not None and run.split is not None:
            for row in read_table(run.inputs.summary.table("confusions")).to_pylist():
                if (row["recipe"], row["split"]) == (self._judge, run.split):
                    tested[row["class_index"], row["guessed_class"]] = row["share"]
        opinion: dict[tuple[int, int], float] = {}
        if "confusion" in run.evidence.found:
            for row in read_table(run.evidence.found["confusion"].table("pairs")).to_pylist():
                for pair in ((row["class_a"], row["class_b"]), (row["class_b"], row["class_a"])):
                    opinion[pair] = row["rate"]
        told: dict[int, list[Confused]] = {}
        for own, other in sorted(tested.keys() | opinion.keys()):
            pair = (own, other)
            told.setdefault(own, []).append(Confused(run.link(other), tested.get(pair), opinion.get(pair)))
        return {
            k: tuple(sorted(own, key=lambda one: -max(one.tested or 0, one.opinion or 0))) for k, own in told.items()
        }

    @property
    def _judge(self) -> str | None:
        return (self.run.best or self.run.baseline) if self.run.split is not None else None

    def _queries(self, classes: range) -> dict[int, list[TrustRow]]:
        """Of each class its queries, the worst first; none where the crawl names none."""
        fused = self.run.evidence.found.get("fused")
        if fused is None:
            return {}
        found = [self._query_rows.get(k, []) for k in classes]
        rows = [row for own in found if any(one["query_id"] is not None for one in own) for row in own]
        told: dict[int, list[TrustRow]] = {}
        for row in query_rows(rows, self.run.inputs.listings, self.run.names):
            told.setdefault(row.class_index, []).append(row)
        return told

    @cached_property
    def _query_rows(self) -> dict[int, list[dict[str, object]]]:
        found: dict[int, list[dict[str, object]]] = {}
        table = read_table(self.run.evidence.found["fused"].table("queries"))
        for row in table.sort_by([("right_share", "ascending"), ("images", "descending")]).to_pylist():
            found.setdefault(row["class_index"], []).append(row)
        return found

    def _pictures(self, classes: range) -> dict[int, tuple[tuple[PictureGroup, ...], tuple[Chart, ...]]]:
        run = self.run
        views = class_views(classes, run.training, run.evidence, run.names)
        drawn = picture_groups(views, run.evidence, run.gallery, self.words)
        return {view.index: (groups, class_maps(view, run.gallery)) for view, groups in zip(views, drawn, strict=True)}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
