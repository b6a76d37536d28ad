import math

import pytest
import torch

from models.losses import taught_divergence, weighted_cross_entropy


def test_by_hand() -> None:
    """Logits (ln 3, 0) give probabilities 3/4 and 1/4; smoothing .2 over two classes asks for .9 and .1."""
    logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    label = torch.tensor([0, 1])
    weight = torch.tensor([2.0, 0.5])
    first = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    second = 0.1 * math.log(4 / 3) + 0.9 * math.log(4)
    loss = weighted_cross_entropy(logits, label, weight, label_smoothing=0.2, images=4)
    assert loss.item() == pytest.approx((2 * first + 0.5 * second) / 4)


def test_without_smoothing_or_weights_it_is_the_usual_mean() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 1, 2, 1, 0])
    loss = weighted_cross_entropy(logits, label, torch.ones(5), label_smoothing=0, images=5)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, label))


def test_a_weight_is_as_good_as_repeats() -> None:
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 2])
    weighted = weighted_cross_entropy(logits, label, torch.tensor([2.0, 0.0]), label_smoothing=0.1, images=2)
    repeated = weighted_cross_entropy(logits[[0, 0]], label[[0, 0]], torch.ones(2), label_smoothing=0.1, images=2)
    torch.testing.assert_close(weighted, repeated)


def test_divergence_from_a_teacher_by_hand() -> None:
    """At temperature 2 logits (2 ln 3, 0) are probabilities 3/4 and 1/4; the batch has four images, three are here."""
    logits = torch.tensor([[2 * math.log(3), 0.0], [2 * math.log(3), 0.0], [0.0, 0.0]])
    taught = torch.tensor([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]])
    weight = torch.tensor([2.0, 5.0, 0.5])
    first = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    expected = 4 * (2.0 * first + 0.0 + 0.5 * math.log(2)) / 4
    loss = taught_divergence(logits, taught, weight, temperature=2.0, images=4)
    assert loss.item() == pytest.approx(expected)
