"""Stage `text-vectors`: every distinct text of the usable training images as a vector, encoded once.

Where a text stands for several images, the first of them in the order of the evidence tables has its vector, and the
others point there; the whole crawl's texts are told apart by 8 bytes an image. Which strings an encoder is given
together therefore depends on the crawls alone: not on the workers, and not on what an earlier attempt had finished.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipeline.engine import Workers, map_shards
from pipeline.evidence.lsa import LsaSettings, fit_lsa
from pipeline.evidence.semantic import Encode, Encoder, class_text
from pipeline.evidence.vocabulary import says_something, vocabulary
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.stages.texts import ListedTexts, make_texts, read_class_words, read_sample, text_hashes
from pipeline.storage.arrays import scratch_array, write_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.buckets import in_buckets
from pipeline.storage.draft import Draft, Facts

STAGE: Final = "text-vectors"
CODE_VERSION: Final = "2"


def make_text_vectors(
    store: Store,
    crawls: Sequence[str],
    encoder: Encoder,
    partition: str = WHOLE,
    *,
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Encode the texts and the classes.

    The artifact holds `vectors/` (float16, a part for each stretch of classes), `pointers/` (int64, which vector each
    image of the stretch has, counted over all parts; -1: its text says nothing), `classes/` (float32, one part).

    Args:
        store: where listing and images of the crawls are current.
        crawls: the crawls to read; the first one's catalogue names the classes.
        encoder: what makes vectors.
        partition: of the artifact.
        workers: threads, or a cluster; each holds the texts of a stretch of classes.
        on_progress: called with the number of images just done.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        tasks = [(k, _rows(order, classes)) for k, classes in enumerate(stretches(order.sizes))]
        listed = ListedTexts(listings)
        owners = _Owners.of(order, listed, [rows for _, rows in tasks], workers)
        left = [task for task in tasks if draft.finished(task[0]) is None]
        encode = encoder.open()
        if draft.finished(len(tasks)) is None:
            texts = [class_text(own) for own in read_class_words(listings[0])]
            draft.finish(len(tasks), _write(draft, "classes", 0, encode(texts)))
        encoding = workers.accelerated() if encoder.accelerated and not isinstance(workers, int) else workers
        for rows in map_shards(partial(_encode_stretch, draft, (order, listed, owners), encode), left, encoding):
            on_progress(rows)
        return {
            "images": len(order),
            "distinct": owners.distinct,
            "unknown": owners.unknown,
        }

    told = {"encoder": encoder.identity}
    return store.make(STAGE, partition, identity(STAGE, CODE_VERSION, told, inputs_of([*listings, *images])), build)


def built_in_encoder(store: Store, crawls: Sequence[str], settings: LsaSettings) -> Encoder:
    """The encoder fitted on the crawls' own texts and class definitions; samples the crawls, where still to do."""
    classes = read_class_words(store.current("listing", crawls[0]))
    known = vocabulary(classes)
    texts = [make_texts(store, crawl, known) for crawl in crawls]

    def fitted() -> Encode:
        with threadpool_limits(1):  # or the number of cores would show in the last bits
            return fit_lsa(read_sample(texts), [class_text(own) for own in classes], settings).encode

    return Encoder(identity("lsa", CODE_VERSION, settings, inputs_of(texts)), fitted)


def _rows(order: ClassOrder, classes: range) -> slice:
    return slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))


@dataclass(frozen=True)
class _Owners:
    """Which vector each of t images has."""

    owner: npt.NDArray[np.int64]  # (t,) the first image with the same text; -1 where the text says nothing
    vector: npt.NDArray[np.int64]  # (t,) the number of the vector, for images that own one
    distinct: int
    unknown: int

    @classmethod
    def of(cls, order: ClassOrder, listed: ListedTexts, pieces: Sequence[slice], workers: Workers) -> Self:
        """Tell the texts of all stretches apart; the columns lie on the disk."""
        hashed, owner, vector = (scratch_array((len(order),), dtype) for dtype in (np.uint64, np.int64, np.int64))
        says = scratch_array((len(order),), np.bool_)

        def read(rows: slice) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
            texts = listed.take(order.members[rows])
            return text_hashes(texts), says_something(texts)

        for rows, found in zip(pieces, map_shards(read, pieces, workers), strict=True):
            hashed[rows], says[rows] = found
        for own in in_buckets(hashed):
            _, first, same = np.unique(hashed[own], return_index=True, return_inverse=True)
            owner[own] = np.where(says[own], own[first[same]], -1)
        distinct = unknown = 0
        for rows in pieces:
            owns = owner[rows] == np.arange(rows.start, rows.stop)
            vector[rows] = distinct + np.cumsum(owns) - 1
            distinct, unknown = distinct + int(owns.sum()), unknown + int((owner[rows] < 0).sum())
        return cls(owner, vector, distinct, unknown)


def _encode_stretch(
    draft: Draft, read: tuple[ClassOrder, ListedTexts, _Owners], encode: Encode, task: tuple[int, slice]
) -> int:
    (order, listed, owners), (number, rows) = read, task
    owner = np.array(owners.owner[rows])
    owns = owner == np.arange(rows.start, rows.stop)
    vectors = encode(listed.take(order.members[rows]).filter(pa.array(owns)).to_pylist())
    pointers = np.where(owner >= 0, owners.vector[owner], -1)
    files = _write(draft, "vectors", number, vectors.astype(np.float16)) | _write(draft, "pointers", number, pointers)
    draft.finish(number, files)
    return len(owner)


def _write(draft: Draft, table: str, number: int, values: npt.NDArray[Any]) -> dict[Path, int]:
    path = draft.table(table) / f"part-{number:05d}.npy"
    with write_array(path, values.shape, values.dtype) as out:
        out[:] = values
    return {path: len(values)}
