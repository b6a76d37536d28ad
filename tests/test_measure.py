"""Memory is sampled while a stage runs, and looking takes no part of a processor worth telling."""

import time

import numpy as np
import psutil
import pytest

from pipeline import measure
from pipeline.measure import MemorySampler


def test_the_peak_is_that_of_the_block() -> None:
    before = psutil.Process().memory_info().rss
    with MemorySampler() as memory:
        held = np.ones(2**23)  # 64 MB
        time.sleep(2 * measure.INTERVAL_S)
        del held
    assert memory.peak_bytes > before + 2**25


def test_a_look_that_takes_long_is_taken_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def slow(_: psutil.Process) -> int:
        looks.append(time.thread_time())
        while time.thread_time() < looks[-1] + 0.01:
            pass
        return len(looks)

    monkeypatch.setattr(measure, "_tree_bytes", slow)
    monkeypatch.setattr(measure, "INTERVAL_S", 0.01)
    with MemorySampler() as memory:
        time.sleep(0.5)  # a hundred times a hundredth of a second is more than that
    assert memory.peak_bytes == len(looks) == 1
