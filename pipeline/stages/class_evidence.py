"""Stages `evidence-kmeans`, `-density`, `-hdbscan`: what is measured inside one class, in one pass over the features.

Each class is read once, and every kind of evidence that is missing is made while it is in memory. Each kind has an
identity of its own all the same: other settings of one redo that one alone. A stretch of classes that no other crawl
has come to is linked from the artifact before, and in all others a class whose images, features and (where they are
looked at) ranks are what they were is taken over: a new crawl costs the classes it touches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from pipeline.engine import Workers, map_shards
from pipeline.evidence_tables import EVIDENCE
from pipeline.stages.classes import ClassOrder, current_features, part_sums, read_stretch, stretches
from pipeline.stages.part_keys import PartKeys
from pipeline.storage.arrays import Array, ArrayShards
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.parts import EarlierParts, keyed
from pipeline.storage.pieces import EarlierPieces, digest_of, named
from pipeline.storage.tables import part_path, write_table

Columns = Mapping[str, npt.NDArray[Any] | pa.Array]


@dataclass(frozen=True)
class ClassImages:
    """The n usable training images of one class, in the order of the evidence tables."""

    features: Array  # float16 (n, d)
    position: npt.NDArray[np.int32]  # (n,) in the class's merged ranking, from 1; 0 without a rank


@dataclass(frozen=True, kw_only=True)
class ClassSource:
    """One kind of evidence: a pure function of a class, its settings and its version."""

    name: str
    settings: Any  # a dataclass
    measure: Callable[[ClassImages], Columns]  # every column of EVIDENCE[name] but image_id
    ranked: bool = False  # whether it looks at `position`: only then is another ranking another measurement
    code_version: str = "1"


def make_class_evidence(
    store: Store,
    crawls: Sequence[str],
    sources: Sequence[ClassSource],
    *,
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Artifact]:
    """Measure the usable training images of each class, over all crawls together.

    Args:
        store: where listing, images, features and `evidence-rank` are current.
        crawls: the crawls to read.
        sources: the kinds of evidence wanted; those that are there already are not made again.
        workers: threads, or a cluster; each holds one class's features.
        on_progress: called with the number of images just done.

    Returns:
        One artifact for each source, in their order.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    features = current_features(store, crawls)
    rank = store.current("evidence-rank")
    inputs = [*listings, *images, *features]
    known = {f"evidence-{source.name}": source for source in sources}
    wanted = {
        stage: identity(stage, one.code_version, one.settings, inputs_of([*inputs, rank] if one.ranked else inputs))
        for stage, one in known.items()
    }

    def build(drafts: dict[str, Draft]) -> dict[str, Facts]:
        order = ClassOrder.read(listings, images)
        shards = ArrayShards([artifact.table("features") for artifact in features])
        ready = {stage: _Kind.of(store, known[stage]) for stage in drafts}
        known_parts = {stage: _Parts.of(store, known[stage], order, (listings, images, features)) for stage in drafts}
        ranks = part_sums(rank, order)
        for number, (classes, rows) in enumerate(zip(stretches(order.sizes), order.runs, strict=True)):
            key_of = {stage: one.key(rows, ranks[number]) for stage, one in known_parts.items()}
            left = [stage for stage, one in known_parts.items() if one.left(drafts[stage], number, key_of[stage])]
            if not left:
                on_progress(rows.stop - rows.start)
                continue
            ranked = read_stretch(rank, number, order, rows, ("position",))["position"]
            position = pc.fill_null(ranked, 0).to_numpy(), rows.start
            measure = partial(_measure_class, [ready[stage] for stage in left], order, shards, position)
            pieces = []
            with threadpool_limits(1):  # one class a thread: the libraries' own threads would only get in the way
                for piece in map_shards(measure, [k for k in classes if order.sizes[k]], workers):
                    pieces.append(piece)
                    on_progress(piece[0][1].num_rows)
            for at, stage in enumerate(left):
                _publish(drafts[stage], number, known[stage], [piece[at] for piece in pieces], key_of[stage])
        return {stage: _facts(order, known[stage]) for stage in drafts}

    return store.make_together(WHOLE, wanted, build)


@dataclass(frozen=True)
class _Parts:
    """The parts of one kind of evidence that have been made before."""

    ranked: bool
    keys: PartKeys
    earlier: EarlierParts

    @classmethod
    def of(cls, store: Store, source: ClassSource, order: ClassOrder, read: tuple[Sequence[Artifact], ...]) -> Self:
        stage = f"evidence-{source.name}"
        keys = PartKeys.of(identity(stage, source.code_version, source.settings, []), order, *read)
        return cls(source.ranked, keys, EarlierParts(store, stage))

    def key(self, rows: slice, ranks: str) -> str:
        """What a stretch is measured by; `ranks` stands for its ranks."""
        return self.keys.key(rows, *([ranks] if self.ranked else []))

    def left(self, draft: Draft, number: int, key: str) -> bool:
        """Whether a stretch is still to be measured: neither finished nor linked now."""
        return draft.finished(number) is None and not self.earlier.link(draft, number, key)


@dataclass(frozen=True)
class _Kind:
    """One kind of evidence, and what has been measured of it before."""

    source: ClassSource
    earlier: EarlierPieces

    @classmethod
    def of(cls, store: Store, source: ClassSource) -> Self:
        return cls(source, EarlierPieces(store, f"evidence-{source.name}", "evidence", EVIDENCE[source.name]))

    def piece(
        self, image_id: npt.NDArray[np.int64], images: ClassImages, read: tuple[str, str]
    ) -> tuple[str, pa.Table]:
        """The rows of a class with their key: as they were measured before, or measured now.

        `read` stands for the ids with the features, and for the positions.
        """
        one = self.source
        key = identity(one.name, one.code_version, one.settings, read if one.ranked else read[:1])
        found = self.earlier.take(key)
        if found is None:
            found = pa.table({"image_id": image_id, **one.measure(images)}, schema=EVIDENCE[one.name])
        return key, found


def _measure_class(
    kinds: Sequence[_Kind],
    order: ClassOrder,
    shards: ArrayShards,
    position: tuple[npt.NDArray[np.int32], int],
    class_index: int,
) -> list[tuple[str, pa.Table]]:
    """A piece for each kind; `position` holds those of a stretch, and the row in the order that it begins at."""
    rows, (ranked, first) = order.rows(class_index), position
    images = ClassImages(order.gather(shards, rows), ranked[rows.start - first : rows.stop - first])
    image_id = np.asarray(order.image_id[rows])
    read = digest_of(image_id, images.features), digest_of(images.position)
    return [kind.piece(image_id, images, read) for kind in kinds]


def _publish(draft: Draft, number: int, source: ClassSource, pieces: Sequence[tuple[str, pa.Table]], key: str) -> None:
    schema = EVIDENCE[source.name]
    path = part_path(draft.table("evidence"), number)
    tables = [schema.empty_table(), *(table for _, table in pieces)]
    draft.finish(number, {path: write_table(path, schema, [pa.concat_tables(tables)])}, named(pieces) | keyed(key))


def _facts(order: ClassOrder, source: ClassSource) -> Facts:
    return {"images": len(order), "classes": int((order.sizes > 0).sum()), **asdict(source.settings)}
