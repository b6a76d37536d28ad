"""Which image a user means: by its id, its path, or a part of its path that no other has."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage.artifacts import Artifact, NotMadeError
from pipeline.storage.rows import find_rows, take_rows
from pipeline.storage.tables import iterate_table

SHOWN: Final = 5  # paths named where several fit, or none
_COMPARED: Final = 40  # of the paths with most in common, so many are compared letter by letter
_LETTERS: Final = 3  # of a piece that two paths have in common
_PIECES: Final = 12  # of what was told, spread over it: each costs a look at every path
_ID: Final = re.compile(r"-?\d{1,19}")


@dataclass(frozen=True)
class Found:
    """Where one listed image stands."""

    crawl: int  # number of its listing
    row: int  # in that listing


def find_image(listings: Sequence[Artifact], told: str, addresses: Mapping[str, str]) -> Found:
    """The image that is meant.

    Costs a pass over the listings' ids where an id is told (8 bytes an image); else a pass over their paths for the
    whole path, one for a part of it, and one to name what is near where nothing fits.

    Args:
        listings: of all crawls.
        told: an image_id, a path as listed (the crawl's name or address may stand before it), or a part of a path.
        addresses: crawl -> where it lies.

    Raises:
        NotMadeError: no crawl has been listed.
        ValueError: no image fits, or several do; the message names the nearest, or the first of them.
    """
    if not listings:
        raise NotMadeError("no crawl has been listed yet: run `winnow evidence CRAWL` first")
    if _ID.fullmatch(told) and abs(int(told)) < 2**63:
        (place,) = find_ids(listings, np.array([int(told)]))
        if place is not None:
            return place
    bare = told.removeprefix("./")
    fitting = []
    for one in listings:
        names = _whole(bare, one.partition, addresses.get(one.partition, ""))
        fitting.append(_rows(one, partial(_among, names)))
    if not any(map(len, fitting)):
        fitting = [_rows(one, lambda paths: pc.match_substring(paths, bare)) for one in listings]
    count = sum(map(len, fitting))
    if not count:
        raise ValueError(f"no image is called {told!r}; nearest by name: {', '.join(_nearest(listings, bare))}")
    first = [Found(k, row) for k, rows in enumerate(fitting) for row in rows[:SHOWN].tolist()][:SHOWN]
    if count == 1:
        return first[0]
    named = ", ".join(_name(listings[found.crawl], found.row) for found in first)
    more = f" and {count - len(first):,} more" if count > len(first) else ""
    raise ValueError(f"{told!r} fits {count:,} images: {named}{more}; give more of the path, or the image_id")


def find_ids(listings: Sequence[Artifact], image_id: npt.NDArray[np.int64]) -> list[Found | None]:
    """Where some images stand, None for one that is not listed: one pass over the listings' ids.

    Args:
        listings: of all crawls.
        image_id: (w,) a few.
    """
    place: dict[int, Found] = {}
    for crawl, listing in enumerate(listings):
        folder = listing.table("listing")
        rows = find_rows(folder, ("image_id",), lambda batch: np.isin(batch["image_id"].to_numpy(), image_id))
        held = take_rows(folder, rows, ("image_id",))["image_id"].to_pylist()
        place |= {own: Found(crawl, row) for own, row in zip(held, rows.tolist(), strict=True)}
    return [place.get(own) for own in image_id.tolist()]


def _rows(listing: Artifact, choose: Callable[[pa.Array], pa.BooleanArray]) -> npt.NDArray[np.int64]:
    """The rows of a listing whose path is chosen."""
    return find_rows(
        listing.table("listing"), ("path",), lambda batch: choose(batch["path"]).to_numpy(zero_copy_only=False)
    )


def _among(names: pa.Array, paths: pa.Array) -> pa.BooleanArray:
    return pc.is_in(paths, names)


def _whole(bare: str, crawl: str, address: str) -> pa.Array:
    """What the path may be in a crawl's listing, if `bare` is all of it: what stands before it is taken off."""
    before = ("", f"{crawl}/", f"{address.rstrip('/')}/" if address else "")
    return pa.array(sorted({bare.removeprefix(prefix) for prefix in before}))


def _name(listing: Artifact, row: int) -> str:
    path = take_rows(listing.table("listing"), np.array([row]), ("path",))["path"][0].as_py()
    return f"{listing.partition}/{path}"


def _nearest(listings: Sequence[Artifact], bare: str) -> list[str]:
    """The paths most like `bare`: of those that have most pieces of it, the ones with most letters in its order."""
    small = bare.lower()
    starts = np.linspace(0, max(0, len(small) - _LETTERS), _PIECES).astype(int)
    pieces = sorted({small[k : k + _LETTERS] for k in starts.tolist()})
    best: list[tuple[int, str]] = []
    for listing in listings:
        for batch in iterate_table(listing.table("listing"), ("path",)):
            lower = pc.utf8_lower(batch["path"])
            common = np.zeros(batch.num_rows, np.int64)
            for piece in pieces:
                common += pc.match_substring(lower, piece).to_numpy(zero_copy_only=False)
            top = np.argsort(-common, kind="stable")[:_COMPARED]
            paths = batch["path"].take(pa.array(top)).to_pylist()
            here = [(-n, f"{listing.partition}/{path}") for n, path in zip(common[top].tolist(), paths, strict=True)]
            best = sorted([*best, *here])[:_COMPARED]
    named = [name for _, name in best]
    return sorted(named, key=lambda name: -difflib.SequenceMatcher(None, bare, name).ratio())[:3]
