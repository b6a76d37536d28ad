"""What an earlier artifact has compared, for one over more images: what need not be searched and looked at again.

The result is the same. What the earlier one held under the names that count now has been compared wherever it is to be
compared now, unless what lay between two hashes has gone, and a window reaches further (`pipeline.evidence.hashes`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.evidence.hash_runs import Runs
from pipeline.evidence.hashes import Hashes, Pairs, block_choices, numbers_of, pairs_of
from pipeline.stages.distinct_pictures import Pictures
from pipeline.storage.arrays import blocks, open_array, scratch_array
from pipeline.storage.artifacts import Artifact, Store, inputs_of
from pipeline.storage.buckets import Spill, in_buckets
from pipeline.storage.draft import Facts
from pipeline.storage.pieces import finished_shards, latest
from pipeline.storage.tables import iterate_table

MOST_NEW: Final = 2**23  # pictures: about 300 MB are held of so many; where there are more, all are searched again


@dataclass(frozen=True)
class Compared:
    """What an earlier artifact of the same rules compared and found."""

    crawls: frozenset[int]  # whose images it held, by their place among the crawls now
    gone: Hashes | None  # (g,) of images that it held and that are no more, on the disk; None where they are forgotten
    contents: int  # how many it compared
    same: Pairs  # by name, as it found them

    def masks(self, settings: DuplicateSettings) -> list[np.uint64]:
        """By which it searched."""
        return block_choices(self.contents, settings.hash_distance)


def compared_before(store: Store, stage: str, rules: str, images: Sequence[Artifact]) -> Compared | None:
    """The artifact of some rules that holds the most of these crawls, if any does."""
    own, best, chosen, told = inputs_of(images), frozenset[int](), None, Facts()
    for artifact in latest(store, stage):
        facts = next((facts for _, facts in finished_shards(artifact) if facts.get("rules") == rules), None)
        crawls = frozenset(at for at, one in enumerate(own) if facts is not None and one in facts["compared"])
        if facts is not None and len(crawls) > len(best):
            best, chosen, told = crawls, artifact, facts
    if chosen is None:
        return None
    gone = [store.find(*one.split("/")) for one in told["compared"] if one not in own]
    there = [artifact for artifact in gone if artifact is not None]
    hashes = _hashes(there) if len(there) == len(gone) else None
    return Compared(best, hashes, told["contents"], np.array(open_array(chosen.table("pairs") / "part-00000.npy")))


def _hashes(images: Sequence[Artifact]) -> Hashes:
    """Of all usable images of some crawls, on the disk."""
    found = Spill()
    for artifact in images:
        for batch in iterate_table(artifact.table("images"), ("sha256", "perceptual_hash")):
            told = batch.filter(batch["sha256"].is_valid())["perceptual_hash"]
            found.add(told.to_numpy(zero_copy_only=False).astype(np.uint64).view(np.int64))
    return found.array().view(np.uint64)


class Before:
    """The same by the positions of the n pictures now, and what becomes clear as masks are searched."""

    def __init__(self, same: Pairs, hashes: Hashes, known: npt.NDArray[np.bool_], lost: Hashes | None) -> None:
        """Nothing is clear yet.

        Args:
            same: (q, 2) positions of known pictures that were found to be one.
            hashes: (n,), ascending.
            known: (n,) which were held under the name that they have now.
            lost: (l,) hashes that were held, and are not among those of known pictures; None where they are not known,
                or masks were others, so that all has to be searched again and nothing counts but `same`.
        """
        self._number = np.unique(numbers_of(same, len(hashes)))
        self._ends = hashes[pairs_of(self._number, len(hashes))]
        self._stands = np.zeros(len(self._number), np.bool_)
        self._new, self._lost = _others(known) if lost is not None else np.zeros(0, np.int64), lost
        self._sure = scratch_array(known.shape, np.bool_)  # known, and in no place where old ones may be news
        for block in blocks(len(known) if lost is not None else 0):
            self._sure[block] = known[block]

    @classmethod
    def of(cls, earlier: Compared, pictures: Pictures, alike: bool) -> Self:
        """Place it among the pictures that there are now; `alike` says whether these are searched by the same masks."""
        known = _held(pictures, earlier.crawls)
        few = sum(int(np.count_nonzero(~known[block])) for block in blocks(len(known))) <= MOST_NEW
        lost = None if earlier.gone is None or not alike or not few else _lost(pictures, known, earlier.gone)
        names, ends = np.unique(earlier.same, return_inverse=True)
        place = _places(pictures.name, known, names)[ends.reshape(-1, 2)]
        return cls(place[(place >= 0).all(axis=1)], pictures.hashes, known, lost)

    def to_search(self, hashes: Hashes, mask: np.uint64) -> Runs | None:
        """The runs in which anything may be found; None for all."""
        if self._lost is None:
            return None
        left = np.flatnonzero(~self._stands)
        left = left[(self._ends[left, 0] ^ self._ends[left, 1]) & mask == 0]
        runs = Runs.of(hashes, mask, self._new, self._lost, self._ends[left, 0])
        self._stands[left] = runs.roomy(self._ends[left, 0])  # where it was, and would be, compared
        for doubtful in runs.in_doubt():
            self._sure[doubtful] = False
        return runs

    def standing(self) -> npt.NDArray[np.int64]:
        """The numbers of pairs that are one picture though they have not been among those searched."""
        return self._number[self._stands]

    def was_same(self, number: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which pairs were found to be one picture."""
        return np.isin(number, self._number)

    def was_compared(self, number: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which pairs that come up now came up then, once all masks have been searched."""
        return np.asarray(self._sure[pairs_of(number, len(self._sure))].all(axis=1))


def _held(pictures: Pictures, crawls: frozenset[int]) -> npt.NDArray[np.bool_]:
    """(n,) the pictures that images of some crawls name, on the disk."""
    offsets = pictures.pixels.offsets
    own, held = np.isin(np.arange(len(offsets)), sorted(crawls)), scratch_array(pictures.shard.shape, np.bool_)
    for block in blocks(len(held)):
        held[block] = own[np.searchsorted(offsets, pictures.shard[block], side="right") - 1]
    return held


def _others(known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Positions of all that are not known."""
    return np.concatenate(
        [np.zeros(0, np.int64), *(np.flatnonzero(~known[block]) + block.start for block in blocks(len(known)))]
    )


def _lost(pictures: Pictures, known: npt.NDArray[np.bool_], gone: Hashes) -> Hashes:
    """Hashes of images that have gone, and of pictures that an image of a new crawl names now; on the disk."""
    _forget(pictures.hashes, known, gone)
    found = Spill()
    for block in blocks(len(gone)):
        found.add(gone[block].view(np.int64))
    for block in blocks(len(known)):
        fresh = np.flatnonzero(~known[block]) + block.start
        renamed = fresh[_among(pictures.name[fresh], pictures.copied)[1]]
        found.add(pictures.hashes[renamed].view(np.int64))
    return found.array().view(np.uint64)


def _forget(hashes: Hashes, known: npt.NDArray[np.bool_], gone: Hashes) -> None:
    """What has the hash of an image that has gone is known no more: that image may have named it."""
    for own in in_buckets(gone):
        went = np.unique(gone[own])
        first, end = np.searchsorted(hashes, went[0]), np.searchsorted(hashes, went[-1], "right")
        for block in blocks(int(end - first)):
            rows = slice(int(first) + block.start, int(first) + block.stop)
            known[rows] &= ~np.isin(hashes[rows], went)


def _places(
    name: npt.NDArray[np.int64], known: npt.NDArray[np.bool_], wanted: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """(w,) positions of known pictures by their names, which ascend; -1 where there is none."""
    found = np.full(len(wanted), -1)
    for block in blocks(len(name)):
        rows = np.flatnonzero(known[block]) + block.start
        place, there = _among(name[rows], wanted)
        found[place[there]] = rows[there]
    return found


def _among(
    values: npt.NDArray[np.int64], ascending: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where values stand among distinct ones, and which of them do."""
    place = np.searchsorted(ascending, values)
    there = place < len(ascending)
    there[there] = ascending[place[there]] == values[there]
    return place, there
