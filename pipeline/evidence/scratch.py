"""Memory that a thread uses again from one class to the next.

Pairs of a class's images are tens of megabytes. An array that large is new memory each time, whose pages the system
has to find and clear: longer than what is then computed in it.
"""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

_THREAD = threading.local()


def scratch(numbers: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of that many numbers whose values are those of whatever used it last.

    A thread has one, as large as the largest it was asked for: whoever asks holds it until it returns to its caller,
    calls nobody who asks too, and hands no part of it on.
    """
    wanted = numbers * np.dtype(dtype).itemsize
    held: npt.NDArray[np.uint8] | None = getattr(_THREAD, "held", None)
    if held is None or len(held) < wanted:
        _THREAD.held = None  # what is there goes first: never both at once
        held = None
        held = _THREAD.held = np.empty(wanted, np.uint8)
    return held[:wanted].view(dtype)
