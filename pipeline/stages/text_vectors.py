"""Stage `text-vectors`: every distinct text of the usable training images as a vector, encoded once.

Where a text stands for several images, the first of them in the order of the evidence tables has its vector, and the
others point there; the whole crawl's texts are told apart by 8 bytes an image. Which strings an encoder is given
together therefore depends on the crawls alone: not on the workers, and not on what an earlier attempt had finished.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from pipeline.engine import map_shards
from pipeline.evidence.lsa import LsaSettings, fit_lsa
from pipeline.evidence.semantic import Encode, Encoder, class_text
from pipeline.evidence.vocabulary import says_something, vocabulary
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.stages.texts import ListedTexts, make_texts, read_class_words, read_sample, text_hashes
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import WHOLE, Artifact, Draft, Facts, Store, identity, inputs_of

STAGE: Final = "text-vectors"
CODE_VERSION: Final = "1"


def make_text_vectors(
    store: Store,
    crawls: Sequence[str],
    encoder: Encoder,
    *,
    workers: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Encode the texts and the classes.

    The artifact holds `vectors/` (float16, a part for each stretch of classes), `pointers/` (int64, which vector each
    image of the stretch has, counted over all parts; -1: its text says nothing), `classes/` (float32, one part).

    Args:
        store: where listing and images of the crawls are current.
        crawls: the crawls to read; the first one's catalogue names the classes.
        encoder: what makes vectors.
        workers: threads; each holds the texts of a stretch of classes.
        on_progress: called with the number of images just done.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        tasks = [(k, _rows(order, classes)) for k, classes in enumerate(stretches(order.sizes))]
        listed = ListedTexts(listings)
        owner = _owners(order, listed, [rows for _, rows in tasks], workers)
        left = [task for task in tasks if draft.finished(task[0]) is None]
        encode = encoder.open()
        if draft.finished(len(tasks)) is None:
            texts = [class_text(own) for own in read_class_words(listings[0])]
            draft.finish(len(tasks), _write(draft, "classes", 0, encode(texts)))
        for rows in map_shards(partial(_encode_stretch, draft, order, listed, owner, encode), left, workers):
            on_progress(rows)
        return {
            "images": len(order),
            "distinct": int((owner == np.arange(len(owner))).sum()),
            "unknown": int((owner < 0).sum()),
        }

    told = {"encoder": encoder.identity}
    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, told, inputs_of([*listings, *images])), build)


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


def _owners(order: ClassOrder, listed: ListedTexts, pieces: Sequence[slice], workers: int) -> npt.NDArray[np.int64]:
    """(t,) the first image with the same text; -1 where the text says nothing."""

    def hashes(rows: slice) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
        texts = listed.take(order.members[rows])
        return text_hashes(texts), says_something(texts)

    found = list(map_shards(hashes, pieces, workers))
    hashed = np.concatenate([np.zeros(0, np.uint64), *(part[0] for part in found)])
    says = np.concatenate([np.zeros(0, np.bool_), *(part[1] for part in found)])
    _, first, same = np.unique(hashed, return_index=True, return_inverse=True)
    return np.where(says, first[same], -1)


def _encode_stretch(
    draft: Draft,
    order: ClassOrder,
    listed: ListedTexts,
    owner: npt.NDArray[np.int64],
    encode: Encode,
    task: tuple[int, slice],
) -> int:
    number, rows = task
    owns = owner == np.arange(len(owner))
    number_of = np.cumsum(owns) - 1
    texts = listed.take(order.members[rows])
    vectors = encode(texts.filter(pa.array(owns[rows])).to_pylist())
    mine = owner[rows]
    pointers = np.where(mine >= 0, number_of[mine], -1)
    files = _write(draft, "vectors", number, vectors.astype(np.float16)) | _write(draft, "pointers", number, pointers)
    draft.finish(number, files)
    return len(mine)


def _write(draft: Draft, table: str, number: int, values: npt.NDArray[Any]) -> dict[Path, int]:
    path = draft.table(table) / f"part-{number:05d}.npy"
    with write_array(path, values.shape, values.dtype) as out:
        out[:] = values
    return {path: len(values)}
