"""Which image comes when: the same global order for any number of processes, and each process's part of it. Pure."""

import numpy as np
import numpy.typing as npt

ORDER = 0  # what a stream of random numbers is for: streams of one seed never overlap
AUGMENTATION = 1


def generator(seed: int, purpose: int, epoch: int, skip: int = 0) -> np.random.Generator:
    """A counter-based stream (Philox; Salmon et al., 2011), `skip` blocks of four 64-bit numbers into it."""
    source = np.random.Philox(key=np.array([seed, purpose << 32 | epoch], np.uint64))
    return np.random.Generator(source.advance(skip))


def stage_of_epoch(epoch: int, epochs: int, stages: int) -> int:
    """The latest curriculum stage that is open in an epoch (from 0): the stages share the epochs evenly."""
    return min(epoch * stages // epochs, stages - 1)


def sightings(repeats: npt.NDArray[np.int32], stage: npt.NDArray[np.int32], open_stage: int) -> int:
    """Images an epoch sees, repeats counted, while stages up to `open_stage` are open."""
    return int(repeats[stage <= open_stage].sum(dtype=np.int64))


def epoch_order(
    repeats: npt.NDArray[np.int32], stage: npt.NDArray[np.int32], open_stage: int, *, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """The images of one epoch in the order they are seen: each open image exactly `repeats` times, shuffled.

    Args:
        repeats: (n,) times an epoch sees each image, >= 0.
        stage: (n,) stage each image enters at.
        open_stage: the latest stage that is open.
        seed: of the training.
        epoch: from 0.

    Returns:
        Indices into the n images, `sightings(...)` of them.
    """
    order = np.repeat(np.arange(len(repeats), dtype=np.int64), np.where(stage <= open_stage, repeats, 0))
    generator(seed, ORDER, epoch).shuffle(order)
    return order


def batches_in(images: int, batch_size: int) -> int:
    """Global batches an epoch of that many images is cut into."""
    return -(-images // batch_size)


def batch_bounds(images: int, batch_size: int, batch: int) -> tuple[int, int]:
    """First position of a global batch and the first after it.

    The batches of an epoch differ by one image at most, so that none is a remainder too small to normalise over.
    """
    batches = batches_in(images, batch_size)
    return images * batch // batches, images * (batch + 1) // batches


def rank_bounds(start: int, stop: int, rank: int, processes: int) -> tuple[int, int]:
    """The part [first, last) of a global batch [start, stop) that one process takes; parts differ by one at most."""
    images = stop - start
    return start + images * rank // processes, start + images * (rank + 1) // processes
