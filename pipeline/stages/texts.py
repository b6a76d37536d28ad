"""Stage `texts`: what a crawl's texts are made of, and how texts and class words are read by the stages after it.

Per crawl: how many texts have each word of the classes, and a sample of the distinct texts. Both add up over crawls,
so that a new crawl costs what is new.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pandas.util import hash_array

from pipeline.evidence.keyword import count_texts
from pipeline.evidence.vocabulary import ClassWords, Vocabulary
from pipeline.evidence.words import join_fields
from pipeline.storage.artifacts import Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import ROW_GROUP_ROWS, count_rows, part_path, read_rows, read_table, write_table

STAGE: Final = "texts"
CODE_VERSION: Final = "1"
#: Listing rows of one shard.
SHARD_ROWS: Final = 8 * ROW_GROUP_ROWS
#: Distinct texts kept of a crawl, those of the smallest hashes.
SAMPLE_TEXTS: Final = 50_000

FREQUENCIES: Final = pa.schema([pa.field("texts", pa.int64(), nullable=False)])  # a row for each keyword
SAMPLE: Final = pa.schema(
    [pa.field("hash", pa.uint64(), nullable=False), pa.field("text", pa.string(), nullable=False)]
)
_FIELDS: Final = ("title", "description", "tags")


class ListedTexts:
    """The text of any listed image, by its position in the population of the same listings."""

    def __init__(self, listings: Sequence[Artifact]) -> None:
        """Learn where each crawl's rows begin."""
        self._folders = [listing.table("listing") for listing in listings]
        self._starts = np.cumsum([0, *map(count_rows, self._folders)])

    def take(self, positions: npt.NDArray[np.int64]) -> pa.Array:
        """(len(positions),) texts, "" where there is none.

        Of each crawl the rows from the first to the last position are read: ask for neighbours, as a stretch of
        classes is.
        """
        pieces, came_from = [], []
        for folder, begin, end in zip(self._folders, self._starts[:-1], self._starts[1:], strict=True):
            mine = np.flatnonzero((positions >= begin) & (positions < end))
            if len(mine):
                row = positions[mine] - begin
                table = read_rows(folder, range(int(row.min()), int(row.max()) + 1), _FIELDS)
                pieces += _texts(table.take(pa.array(row - row.min())))
                came_from.append(mine)
        back = np.argsort(np.concatenate([np.zeros(0, np.int64), *came_from]), kind="stable")
        return pa.chunked_array(pieces, pa.string()).combine_chunks().take(pa.array(back))


def _texts(table: pa.Table) -> list[pa.Array]:
    joined = join_fields(*(table[name] for name in _FIELDS))
    return joined.chunks if isinstance(joined, pa.ChunkedArray) else [joined]


def text_hashes(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """(n,) SipHash of each text: equal texts have equal hashes, and of 16 million others no two, in all likelihood."""
    hashes: npt.NDArray[np.uint64] = hash_array(texts.to_numpy(zero_copy_only=False), categorize=False)
    return hashes


def read_class_words(listing: Artifact) -> list[ClassWords]:
    """The names, definitions and near words of the catalogue, class after class."""
    table = read_table(listing.table("classes"), ("lemmas", "gloss", "near"))
    return [ClassWords(row["lemmas"], row["gloss"], tuple(row["near"] or ())) for row in table.to_pylist()]


def make_texts(
    store: Store, crawl: str, known: Vocabulary, *, on_progress: Callable[[int], None] = lambda _: None
) -> Artifact:
    """Count the words of the classes in a crawl's training texts, and sample the texts.

    Texts that many images share count once in each run of ROW_GROUP_ROWS rows.

    Args:
        store: where the crawl's listing is current.
        crawl: the crawl to read.
        known: the words of the classes.
        on_progress: called with the number of listed images just read.
    """
    listing = store.current("listing", crawl)
    words = hashlib.sha256("\n".join(f"{word}\t{number}" for word, number in sorted(known.forms.items())).encode())

    def build(draft: Draft) -> Facts:
        listed = count_rows(listing.table("listing"))
        for shard, first in enumerate(range(0, listed, SHARD_ROWS)):
            if draft.finished(shard) is None:
                rows = range(first, min(first + SHARD_ROWS, listed))
                _count_shard(draft, shard, listing, rows, known)
                on_progress(len(rows))
        facts = [draft.finished(shard) or {} for shard in range(-(-listed // SHARD_ROWS))]
        return {"texts": sum(fact["texts"] for fact in facts), "keywords": known.size}

    told = {"words": words.hexdigest(), "scripts": known.scripts, "sample": SAMPLE_TEXTS}
    return store.make(STAGE, crawl, identity(STAGE, CODE_VERSION, told, inputs_of([listing])), build)


def _count_shard(draft: Draft, shard: int, listing: Artifact, rows: range, known: Vocabulary) -> None:
    frequency, texts = np.zeros(known.size, np.int64), 0
    sample = SAMPLE.empty_table()
    for first in range(rows.start, rows.stop, ROW_GROUP_ROWS):
        run = range(first, min(first + ROW_GROUP_ROWS, rows.stop))
        distinct = _distinct(_training_texts(listing, run), known)
        found, says = count_texts(known, distinct["text"])
        frequency, texts = frequency + found, texts + says
        sample = _smallest(pa.concat_tables([sample, distinct]), SAMPLE_TEXTS)
    counts, kept = part_path(draft.table("frequencies"), shard), part_path(draft.table("sample"), shard)
    files = {
        counts: write_table(counts, FREQUENCIES, [pa.table({"texts": frequency}, schema=FREQUENCIES)]),
        kept: write_table(kept, SAMPLE, [sample]),
    }
    draft.finish(shard, files, {"texts": texts})


def _training_texts(listing: Artifact, rows: range) -> pa.Array:
    table = read_rows(listing.table("listing"), rows, (*_FIELDS, "split"))
    pieces = _texts(table.filter(pc.equal(table["split"], "train")))
    return pa.chunked_array(pieces, pa.string()).combine_chunks()


def _distinct(texts: pa.Array, known: Vocabulary) -> pa.Table:
    """The distinct texts that say anything, with their hashes."""
    hashes, first = np.unique(text_hashes(texts), return_index=True)
    table = pa.table({"hash": hashes, "text": texts.take(pa.array(first))}, schema=SAMPLE)
    return table.filter(pa.array(known.look_up(table["text"]).says))


def _smallest(table: pa.Table, size: int) -> pa.Table:
    """The `size` rows of the smallest hashes, ascending, each hash once."""
    _, first = np.unique(table["hash"].to_numpy(), return_index=True)
    return table.take(pa.array(first[:size]))


def read_frequencies(texts: Sequence[Artifact]) -> tuple[npt.NDArray[np.int64], int]:
    """(K,) texts of some crawls that have each keyword, and texts of them that say anything."""
    each: list[npt.NDArray[Any]] = []
    for artifact in texts:
        column = read_table(artifact.table("frequencies"), ("texts",))["texts"].to_numpy()
        each.append(column.reshape(-1, artifact.facts["keywords"]).sum(axis=0))
    return np.sum(each, axis=0), sum(artifact.facts["texts"] for artifact in texts)


def read_sample(texts: Sequence[Artifact], size: int = SAMPLE_TEXTS) -> list[str]:
    """The distinct texts of some crawls that have the smallest hashes, in order of their hashes."""
    sample = SAMPLE.empty_table()
    for artifact in texts:
        sample = _smallest(pa.concat_tables([sample, read_table(artifact.table("sample"))]), size)
    found: list[str] = sample["text"].to_pylist()
    return found
