"""How many images a device takes at once, learned the hard way: halved whenever its memory runs out."""

from collections.abc import Callable

import torch

REMEDY = "the device has no room for this: take smaller batches, or set training.accumulate"


class GangRoomError(RuntimeError):
    """The device of one of several processes ran out of memory: all must begin anew with smaller pieces."""

    def __init__(self, images: int, error: torch.OutOfMemoryError) -> None:
        """So many images were too many."""
        super().__init__(f"the device has no room for {images} images at once: {error}")
        self.images = images
        self.add_note(REMEDY)


class Room:
    """The most images that are put on the device at once; it shrinks and never grows."""

    def __init__(self, tell: Callable[[str], None] = lambda _: None, images: int | None = None) -> None:
        """Boundless at first, unless it is known for how many `images` there is none beyond; `tell` learns in words of
        each halving.
        """
        self.images = images
        self._tell = tell

    def pieces(self, images: int) -> int:
        """Into how many equal pieces so many images must be cut, at least 1."""
        return 1 if self.images is None else -(-images // self.images)

    def halve(self, images: int, error: torch.OutOfMemoryError) -> None:
        """So many images did not fit: from now on half of them at most.

        Raises:
            OutOfMemoryError: `error` itself, with a remedy, where one image alone did not fit.
        """
        if images <= 1:
            error.add_note(REMEDY)
            raise error
        self.images = images // 2
        self._tell(f"the device has no room for {images} images at once: going on with at most {self.images}")
