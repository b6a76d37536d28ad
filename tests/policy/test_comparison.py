"""What became of each image between two manifests, and which reasons came and went; by hand."""

import numpy as np

from pipeline.policy.comparison import CHANGES, Moved, Phrase, add_reasons, what_changed

NAN = float("nan")


def test_every_change_has_its_name() -> None:
    pairs = {
        (1.0, NAN): "only in A",
        (0.0, NAN): "only in A",
        (NAN, 0.0): "only in B",
        (1.0, 0.0): "dropped",
        (0.0, 0.5): "taken in",
        (1.0, 0.98): "lighter",
        (1.0, 1.02): "heavier",
        (1.0, 1.005): "unchanged",
        (1.0, 0.995): "unchanged",
        (0.0, 0.0): "in neither",
    }
    before, after = np.array(list(pairs)).T
    assert [CHANGES[at] for at in what_changed(before, after)] == list(pairs.values())


def test_reasons_come_go_and_stay() -> None:
    phrases: dict[str, Phrase] = {}
    told = (["large; doubled", ""], ["small; doubled", "large; doubled"])
    # the first changes its size, the second changes but its reasons stay, the third does not change, the last is new
    add_reasons(phrases, told, np.array([[0, 0, 0, 1], [0, 1, 1, 0]]), np.array([-0.5, 0.25, NAN, 1.0]))
    assert phrases == {
        "large": Phrase(gone=Moved(1, -0.5), stays=Moved(1, 0.25)),
        "small": Phrase(come=Moved(2, 0.5)),
        "doubled": Phrase(come=Moved(1, 1.0), stays=Moved(2, -0.25)),
    }
    add_reasons(phrases, told, np.array([[0], [0]]), np.array([-0.5]))
    assert phrases["large"].gone == Moved(2, -1.0)
