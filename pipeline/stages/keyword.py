"""Stage `evidence-keyword`: the words of each image's text against the words of the classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import pyarrow as pa

from pipeline.engine import Workers, map_shards
from pipeline.evidence.keyword import KeywordIndex, KeywordSettings
from pipeline.evidence.vocabulary import Vocabulary, vocabulary
from pipeline.evidence_tables import KEYWORD
from pipeline.stages.classes import ClassOrder, stretches
from pipeline.stages.merged import make_merged, summed
from pipeline.stages.standing import Standing
from pipeline.stages.texts import ListedTexts, make_texts, read_class_words, read_frequencies
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table

STAGE = "evidence-keyword"
JUDGED = "judged-keyword"  # of a crawl: the table of its images alone, where it is judged by others
CODE_VERSION = "2"


def make_keyword(
    store: Store,
    crawls: Sequence[str],
    settings: KeywordSettings,
    *,
    fitted_on: Sequence[str] = (),
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Match the texts of the usable training images; counts the crawls' words first, where that is still to do.

    Args:
        store: where listing and images of the crawls are current.
        crawls: the crawls to read; the first one's catalogue names the classes.
        settings: of the matching.
        fitted_on: crawls whose texts tell how telling a word is; all where none is named.
        workers: threads, or a cluster; each holds the texts of a stretch of classes.
        on_progress: called with the number of images just done.
    """
    standing = Standing.of(store, crawls, fitted_on)
    words = _Words.of(store, standing.fitted if standing is not None else crawls, settings)
    run = workers, on_progress
    if standing is None:
        return _match(store, (STAGE, WHOLE), crawls, words, run)
    base = _match(standing.apart, (STAGE, WHOLE), standing.fitted, words, run)
    parts = [base, *(_match(store, (JUDGED, crawl), [crawl], words, run) for crawl in standing.later)]
    facts = summed(parts, "images", "unknown")
    return make_merged(store, standing, parts, {"evidence": KEYWORD}, lambda *_: facts, workers)


@dataclass(frozen=True)
class _Words:
    """The words of the classes, and how many texts have each."""

    known: Vocabulary
    texts: Sequence[Artifact]
    settings: KeywordSettings

    @classmethod
    def of(cls, store: Store, crawls: Sequence[str], settings: KeywordSettings) -> Self:
        known = vocabulary(read_class_words(store.current("listing", crawls[0])))
        return cls(known, [make_texts(store, crawl, known) for crawl in crawls], settings)

    def index(self) -> KeywordIndex:
        return KeywordIndex(self.known, *read_frequencies(self.texts), self.settings)


def _match(
    store: Store,
    made: tuple[str, str],
    crawls: Sequence[str],
    words: _Words,
    run: tuple[Workers, Callable[[int], None]],
) -> Artifact:
    """The table of some crawls, as a stage and partition."""
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    workers, on_progress = run

    def build(draft: Draft) -> Facts:
        order, index = ClassOrder.read(listings, images), words.index()
        listed = ListedTexts(listings)
        tasks = [(k, task) for k, task in enumerate(stretches(order.sizes))]
        left = [task for task in tasks if draft.finished(task[0]) is None]
        for rows in map_shards(partial(_match_stretch, draft, order, listed, index), left, workers):
            on_progress(rows)
        facts = [draft.finished(number) or {} for number, _ in tasks]
        return {"images": len(order), "unknown": sum(fact["unknown"] for fact in facts)}

    wanted = identity(STAGE, CODE_VERSION, words.settings, inputs_of([*listings, *images, *words.texts]))
    return store.make(*made, wanted, build)


def _match_stretch(
    draft: Draft, order: ClassOrder, listed: ListedTexts, index: KeywordIndex, task: tuple[int, range]
) -> int:
    number, classes = task
    rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
    found = index.match(listed.take(order.members[rows]), order.class_index[rows])
    columns = {
        "image_id": order.image_id[rows],
        "keyword": pa.array(found.own, mask=np.isnan(found.own)),
        "keyword_other": pa.array(found.other, mask=np.isnan(found.other)),
        "keyword_class": pa.array(found.other_class, mask=found.other_class < 0),
    }
    path = part_path(draft.table("evidence"), number)
    written = write_table(path, KEYWORD, [pa.table(columns, schema=KEYWORD)])
    draft.finish(number, {path: written}, {"unknown": int(np.isnan(found.own).sum())})
    return written
