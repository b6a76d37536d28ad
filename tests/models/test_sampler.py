import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sampler import (
    AUGMENTATION,
    ORDER,
    batch_bounds,
    batches_in,
    epoch_order,
    generator,
    rank_bounds,
    sightings,
    stage_of_epoch,
)

REPEATS = st.lists(st.integers(0, 4), min_size=1, max_size=60)


@given(repeats=REPEATS, seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 1000), data=st.data())
def test_every_open_image_is_seen_exactly_as_often_as_its_repeats(
    repeats: list[int], seed: int, epoch: int, data: st.DataObject
) -> None:
    stage = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(repeats), max_size=len(repeats))), np.int32)
    times = np.array(repeats, np.int32)
    order = epoch_order(times, stage, 1, seed=seed, epoch=epoch)
    np.testing.assert_array_equal(np.bincount(order, minlength=len(repeats)), np.where(stage <= 1, times, 0))
    assert len(order) == sightings(times, stage, 1)


@given(images=st.integers(1, 500), batch_size=st.integers(1, 64), processes=st.integers(1, 9))
def test_ranks_and_batches_cut_an_epoch_without_loss_or_overlap(images: int, batch_size: int, processes: int) -> None:
    batches = [batch_bounds(images, batch_size, batch) for batch in range(batches_in(images, batch_size))]
    parts = [rank_bounds(*batch, rank, processes) for batch in batches for rank in range(processes)]
    assert [position for part in parts for position in range(*part)] == list(range(images))
    sizes = [stop - start for start, stop in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    shares = [[stop - start for start, stop in parts[i : i + processes]] for i in range(0, len(parts), processes)]
    assert all(max(share) - min(share) <= 1 for share in shares)


def test_five_images_in_batches_of_two_for_two_processes() -> None:
    assert [batch_bounds(5, 2, batch) for batch in range(3)] == [(0, 1), (1, 3), (3, 5)]
    assert [rank_bounds(3, 8, rank, 2) for rank in range(2)] == [(3, 5), (5, 8)]


def test_order_depends_on_seed_and_epoch_and_nothing_else() -> None:
    ones, zeros = np.ones(100, np.int32), np.zeros(100, np.int32)
    first = epoch_order(ones, zeros, 0, seed=1, epoch=0)
    np.testing.assert_array_equal(first, epoch_order(ones, zeros, 0, seed=1, epoch=0))
    assert (first != epoch_order(ones, zeros, 0, seed=1, epoch=1)).any()
    assert (first != epoch_order(ones, zeros, 0, seed=2, epoch=0)).any()
    assert (first != np.arange(100)).any()


@pytest.mark.parametrize(
    ("epochs", "stages", "expected"),
    [(6, 1, [0] * 6), (6, 3, [0, 0, 1, 1, 2, 2]), (5, 2, [0, 0, 0, 1, 1]), (2, 3, [0, 1])],
)
def test_stages_share_the_epochs(epochs: int, stages: int, expected: list[int]) -> None:
    assert [stage_of_epoch(epoch, epochs, stages) for epoch in range(epochs)] == expected


def test_streams_can_be_entered_anywhere_and_differ_by_purpose() -> None:
    whole = generator(7, ORDER, 3).random(40)
    np.testing.assert_array_equal(generator(7, ORDER, 3, skip=5).random(20), whole[20:])
    assert (generator(7, AUGMENTATION, 3).random(40) != whole).all()
