"""Groups of pictures that are one picture, from equal bytes and from pairs found to show the same.

Being the same picture is no chain: where A passes for B and B for C, A and C may be two pictures (frames of a film,
articles of a catalogue). So a group is a star: all its pictures have been compared with the one at its centre and
passed. Groups grow around the pictures with most doubles.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.evidence.hashes import Pairs

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DuplicateSettings:
    """When two pictures with different bytes are one picture."""

    #: bits of 64 in which their perceptual hashes may differ to be compared at all, [0, 16]: unrelated pictures differ
    #: in about 32, a copy re-encoded, rescaled or cropped by a few percent in up to 6
    hash_distance: int = 6
    #: grey levels of 255 by which the most different 64th of the pictures may differ, once they are aligned, (0, 64]:
    #: JPEG and resampling leave up to about 6, another print, label or colour more
    tolerance: float = 6.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.hash_distance <= 16:
            raise ValueError(f"duplicates.hash_distance must be in [0, 16], not {self.hash_distance}")
        if not 0 < self.tolerance <= 64:
            raise ValueError(f"duplicates.tolerance must be in (0, 64], not {self.tolerance}")


@dataclass(frozen=True)
class Groups:
    """What is known of the doubles of each of u images."""

    group: Integers  # (u,) the smallest image_id of the group; its own where it has no double
    exact: npt.NDArray[np.int32]  # (u,) other images with the same bytes
    near: npt.NDArray[np.int32]  # (u,) other images of the group with other bytes
    training: npt.NDArray[np.int32]  # (u,) images of the group in the training split
    leak: npt.NDArray[np.bool_]  # (u,) in training and a double of one of val or test, or the other way round


def contents(digest: npt.NDArray[np.uint64], image_id: Integers) -> Integers:
    """Name each byte content by the smallest image_id that has it.

    Args:
        digest: (u, 2), 128 bits of a hash of each image's bytes.
        image_id: (u,), distinct.

    Returns:
        (u,) the content of each image.
    """
    content, several = image_id.copy(), _repeated(digest[:, 0])  # hardly any: only these are sorted by all three keys
    order = several[np.lexsort((image_id[several], digest[several, 1], digest[several, 0]))]
    ordered = digest[order]
    fresh = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])[: len(order)]
    content[order] = image_id[order[fresh]][np.cumsum(fresh) - 1]
    return content


def _repeated(values: npt.NDArray[np.uint64]) -> Integers:
    """The places of all values that stand more than once."""
    order = np.argsort(values)
    again = np.flatnonzero(values[order[1:]] == values[order[:-1]])
    return order[np.union1d(again, again + 1)]


def stars(pairs: Pairs, images: int) -> Integers:
    """Share pictures out among centres that each has been found to equal.

    Again and again, every picture with more doubles left than any of these (the smaller number where there are as
    many) becomes a centre, the others join the best of the centres next to them, and both are done with.

    Args:
        pairs: (p, 2), which are one picture; none twice.
        images: how many pictures there are.

    Returns:
        (images,) the centre of each; its own number where it is one or has no double.
    """
    known, ends = np.unique(pairs, return_inverse=True)
    left = ends.reshape(-1, 2)
    centre = np.arange(len(known))
    while len(left):
        degree = np.bincount(left.ravel(), minlength=len(known))
        place = np.empty(len(known), np.int64)
        place[np.lexsort((np.arange(len(known)), -degree))] = np.arange(len(known))
        best = _best_beside(left, place, np.ones(len(known), np.bool_))
        chosen = (degree > 0) & (place < best)
        joined = _best_beside(left, place, chosen)
        joins = ~chosen & (joined < len(known))
        centre[joins] = np.argsort(place)[joined[joins]]
        done = chosen | joins
        left = left[~done[left].any(axis=1)]
    found = np.arange(images)
    found[known] = known[centre]
    return found


def _best_beside(pairs: Pairs, place: Integers, eligible: npt.NDArray[np.bool_]) -> Integers:
    """The best place among the eligible doubles of each picture; their number where it has none."""
    best = np.full(len(place), len(place))
    for own, other in ((0, 1), (1, 0)):
        which = eligible[pairs[:, other]]
        np.minimum.at(best, pairs[which, own], place[pairs[which, other]])
    return best


def group_images(content: Integers, pairs: Pairs, image_id: Integers, training: npt.NDArray[np.bool_]) -> Groups:
    """Put the images of every content into groups, and count.

    Args:
        content: (u,) of `contents`.
        pairs: (p, 2), contents of these images that show one picture.
        image_id: (u,).
        training: (u,) whether an image is in the training split.

    Returns:
        Of each image; an image that is one picture with one of val or test leaks even where that belongs to a group
        of its own.
    """
    names, content = np.unique(content, return_inverse=True)
    n, pairs = len(names), np.searchsorted(names, pairs)
    star = stars(pairs, n)
    group = star[content]
    smallest = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(smallest, group, image_id)
    own, whole = np.bincount(content, minlength=n), np.bincount(group, minlength=n)
    reaches = [_reached(content[which], group[which], pairs, n) for which in (training, ~training)]
    leak = np.where(training, *((equal[content] | held[group]) for equal, held in reversed(reaches)))
    return Groups(
        smallest[group],
        (own[content] - 1).astype(np.int32),
        (whole[group] - own[content]).astype(np.int32),
        np.bincount(group[training], minlength=n)[group].astype(np.int32),
        leak,
    )


def _reached(
    content: Integers, group: Integers, pairs: Pairs, n: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which of n contents are one picture with one of these images, and which groups hold one of them."""
    has, equal, held = np.zeros((3, n), np.bool_)
    has[content] = True
    held[group] = True
    for own, other in ((0, 1), (1, 0)):
        equal[pairs[has[pairs[:, other]], own]] = True
    return equal, held
