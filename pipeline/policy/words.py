"""Reasons in words. Numbers in them are rounded, so that the texts stay few however many images there are."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipeline.policy.decision import Floats, Integers, Note

#: Of `percents`: the evidence says nothing of the image.
UNKNOWN = -1


def note_of(code: Integers, phrase: Callable[[int], str]) -> Note:
    """One text for each code that occurs.

    Args:
        code: (n,) a whole number that says everything the text depends on.
        phrase: the text of a code.
    """
    present, index = np.unique(code, return_inverse=True)
    return Note(index.astype(np.int32), [phrase(value) for value in present.tolist()])


def percents(share: Floats) -> npt.NDArray[np.int64]:
    """(n,) shares in [0, 1] as whole percents, UNKNOWN where they are not finite."""
    known = np.isfinite(share)
    return np.where(known, np.rint(np.where(known, share, 0) * 100), UNKNOWN).astype(np.int64)


def coarse(count: Floats | Integers) -> npt.NDArray[np.int64]:
    """(n,) counts to the nearest whole below 100 and to two digits above, as `about` tells them."""
    step = 10.0 ** np.maximum(np.floor(np.log10(np.maximum(count, 1))) - 1, 0)
    return np.asarray(np.rint(count / step) * step, np.int64)


def about(count: int) -> str:
    """A count that `coarse` rounded, honest about it."""
    return f"{count}" if count < 100 else f"about {count:,}"


def plural(count: int, noun: str) -> str:
    """`1 image`, `2 images`, `about 3,500 images`."""
    return f"{about(count)} {noun}" if count == 1 else f"{about(count)} {noun}s"
