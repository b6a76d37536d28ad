"""One piece of memory a thread, used again."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.evidence.scratch import scratch


def test_is_of_the_size_and_kind_asked_for() -> None:
    for numbers, dtype in ((0, np.float32), (7, np.float64), (3, np.float32)):
        array = scratch(numbers, dtype)
        assert array.shape == (numbers,)
        assert array.dtype == dtype


def test_what_fits_is_the_same_memory_again() -> None:
    with ThreadPoolExecutor(1) as pool:  # a thread that has none yet
        large, same, larger = (
            pool.submit(scratch, *asked).result() for asked in ((100, np.float64), (200, np.float32), (101, np.float64))
        )
    assert np.shares_memory(large, same)
    assert not np.shares_memory(large, larger)


def test_another_thread_has_its_own() -> None:
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(scratch, 10, np.float64).result()
    assert not np.shares_memory(scratch(10, np.float64), other)
