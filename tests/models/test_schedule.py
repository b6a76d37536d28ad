import pytest

from models.schedule import learning_rate, peak_rate


def test_linear_scaling() -> None:
    assert peak_rate(0.1, 256) == pytest.approx(0.1)
    assert peak_rate(0.1, 1024) == pytest.approx(0.4)


def test_warm_up_then_cosine_by_hand() -> None:
    rates = [learning_rate(step, steps=6, warmup_steps=2, peak=0.8) for step in range(6)]
    half = 0.8 * (1 + 2**-0.5) / 2  # cos(pi/4) = 1/sqrt(2)
    assert rates == pytest.approx([0.4, 0.8, 0.8, half, 0.4, 0.8 - half])


def test_no_warm_up_and_nothing_but_warm_up() -> None:
    assert learning_rate(0, steps=4, warmup_steps=0, peak=1.0) == 1.0
    assert learning_rate(2, steps=3, warmup_steps=3, peak=1.0) == 1.0


def test_steps_down_at_30_60_and_90_percent() -> None:
    def rates(steps: int, warmup_steps: int) -> list[float]:
        told = {"steps": steps, "warmup_steps": warmup_steps}
        return [learning_rate(step, peak=1.0, schedule="step", **told) for step in range(steps)]

    assert rates(10, 0) == pytest.approx([1.0] * 3 + [0.1] * 3 + [0.01] * 3 + [0.001])
    assert rates(10, 4) == pytest.approx([0.25, 0.5, 0.75, 1.0] + [0.1] * 2 + [0.01] * 3 + [0.001])
    assert rates(4, 0) == pytest.approx([1.0, 1.0, 0.1, 0.01])
