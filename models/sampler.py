"""Which image comes when: the same global order for any number of processes, and each process's part of it. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ORDER = 0  # what a stream of random numbers is for: streams of one seed never overlap
AUGMENTATION = 1
DRAWING = 2


def generator(seed: int, purpose: int, epoch: int, skip: int = 0) -> np.random.Generator:
    """A counter-based stream (Philox; Salmon et al., 2011), `skip` blocks of four 64-bit numbers into it."""
    source = np.random.Philox(key=np.array([seed, purpose << 32 | epoch], np.uint64))
    return np.random.Generator(source.advance(skip))


def stage_of_epoch(epoch: int, epochs: int, stages: int, starts: Sequence[float] = ()) -> int:
    """The latest curriculum stage that is open in an epoch.

    Args:
        epoch: from 0.
        epochs: of the whole training.
        stages: of the manifest.
        starts: share of the epochs, ascending, after which each stage but the first opens, with the nearest whole
            epoch; those beyond the manifest's stages open nothing. None: the stages share the epochs evenly.

    Raises:
        ValueError: a stage would never open.
    """
    if not starts:
        return min(epoch * stages // epochs, stages - 1)
    if len(starts) < stages - 1:
        raise ValueError(f"stage_starts must tell when {stages - 1} later stages of the manifest open, not {starts}")
    return sum(epoch >= round(share * epochs) for share in starts[: stages - 1])


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


def drawn_repeats(
    repeats: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float32],
    stage: npt.NDArray[np.int32],
    open_stage: int,
    *,
    seed: int,
    epoch: int,
) -> npt.NDArray[np.int32]:
    """Times an epoch sees each image where weights are probabilities: as many images in all as `sightings` tells.

    Systematic resampling (Kitagawa, 1996): an image is expected repeats * weight / mean times and is seen that number
    rounded down or up, never by a chance heap. Over epochs the rounding is fair, and the total is exact.

    Args:
        repeats: (n,) times an epoch would see each image of weight 1.
        weight: (n,) > 0.
        stage: (n,) stage each image enters at.
        open_stage: the latest stage that is open.
        seed: of the training.
        epoch: from 0.
    """
    chance = np.cumsum(np.where(stage <= open_stage, repeats * weight.astype(np.float64), 0.0))
    images = sightings(repeats, stage, open_stage)
    reached = chance * (images / chance[-1])
    reached[chance == chance[-1]] = images  # exactly, whatever the rounding was
    offset = generator(seed, DRAWING, epoch).random()
    times: npt.NDArray[np.int32] = np.diff(np.floor(reached + offset), prepend=0).astype(np.int32)
    return times


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
