import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sampler import (
    AUGMENTATION,
    ORDER,
    batch_bounds,
    batches_in,
    drawn_repeats,
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


@pytest.mark.parametrize(
    ("starts", "stages", "expected"),
    [
        ((0.1, 0.6), 3, [0, 1, 1, 1, 1, 1, 2, 2, 2, 2]),
        ((0.1, 0.6), 2, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]),  # the second opens nothing
        ((0.1, 0.6), 1, [0] * 10),
        ((0.29,), 2, [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]),  # with the nearest epoch
    ],
)
def test_stages_open_where_they_are_told_to(starts: tuple[float, ...], stages: int, expected: list[int]) -> None:
    assert [stage_of_epoch(epoch, 10, stages, starts) for epoch in range(10)] == expected


def test_a_stage_that_would_never_open_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stage_starts must tell when 2 later stages .* not \(0.5,\)"):
        stage_of_epoch(0, 10, 3, (0.5,))


@given(repeats=REPEATS, seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 1000), data=st.data())
def test_weights_as_chances_keep_the_number_of_images_and_round_each_fairly(
    repeats: list[int], seed: int, epoch: int, data: st.DataObject
) -> None:
    size = len(repeats)
    times = np.array([*repeats, 1], np.int32)
    stage = np.array([*data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)), 0], np.int32)
    weight = np.array(data.draw(st.lists(st.floats(0.01, 50), min_size=size + 1, max_size=size + 1)), np.float32)
    drawn = drawn_repeats(times, weight, stage, 1, seed=seed, epoch=epoch)
    assert drawn.sum() == sightings(times, stage, 1)
    wanted = np.where(stage <= 1, times * weight.astype(np.float64), 0)
    wanted *= drawn.sum() / wanted.sum()
    assert (drawn >= np.floor(wanted - 1e-6)).all()
    assert (drawn <= np.ceil(wanted + 1e-6)).all()
    even = drawn_repeats(times, np.full_like(weight, 0.7), stage, 1, seed=seed, epoch=epoch)
    np.testing.assert_array_equal(even, np.where(stage <= 1, times, 0))


def test_over_epochs_an_image_is_drawn_as_often_as_its_weight_tells() -> None:
    """Weights 1, 2, 5 and 8 of four images: a quarter, a half, one and a quarter, two times an epoch."""
    ones, zeros, weight = np.ones(4, np.int32), np.zeros(4, np.int32), np.array([1, 2, 5, 8], np.float32)
    drawn = [drawn_repeats(ones, weight, zeros, 0, seed=3, epoch=epoch) for epoch in range(2000)]
    np.testing.assert_allclose(np.mean(drawn, axis=0), [0.25, 0.5, 1.25, 2.0], atol=0.04)


def test_streams_can_be_entered_anywhere_and_differ_by_purpose() -> None:
    whole = generator(7, ORDER, 3).random(40)
    np.testing.assert_array_equal(generator(7, ORDER, 3, skip=5).random(20), whole[20:])
    assert (generator(7, AUGMENTATION, 3).random(40) != whole).all()
