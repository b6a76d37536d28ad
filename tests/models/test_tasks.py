"""What is learned from a batch: labels, mixed labels, teachers."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.augment import DRAWS
from models.batches import Batch
from models.networks import Classifier, normalise
from models.settings import TrainingSettings
from models.tasks import Classification, Distillation
from models.teachers import Teachers

#: Nothing is cropped or mirrored: a network sees the pictures as they are.
PLAIN = TrainingSettings(crop_area=1.0, crop_aspect=1.0, flip=0.0, label_smoothing=0.0)


def tiny(seed: int) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5)), 5, "fc", 3).eval()


def batch_of(rows: int, **fields: Any) -> Batch:
    rng = np.random.default_rng(1)
    told: dict[str, Any] = {
        "pixels": torch.from_numpy(rng.integers(0, 256, (rows, 8, 8, 3), dtype=np.uint8)),
        "class_index": torch.arange(rows) % 3,
        "weight": torch.linspace(0.5, 2.0, rows),
        "draws": torch.from_numpy(rng.random((rows, DRAWS), dtype=np.float32)),
        "image_id": np.arange(rows),
        "whole": np.arange(rows + 1),
        "first": 0,
    }
    return Batch(**told | fields)


def labels(settings: TrainingSettings) -> Classification:
    return Classification(settings=settings, device=torch.device("cpu"), autocast=False)


def taught(settings: TrainingSettings, *teachers: Classifier, shares: tuple[float, ...] = (1.0,)) -> Distillation:
    return Distillation(labels=labels(settings), teachers=Teachers(shares, teachers))


def gradients(network: Classifier, share: Tensor) -> list[Tensor]:
    network.zero_grad()
    share.backward()  # type: ignore[no-untyped-call]
    return [each.grad.clone() for each in network.parameters() if each.grad is not None]


def test_a_mixture_of_two_pictures_claims_both_labels() -> None:
    """Two images, the first mixed with the second by 3/4 and that with the third (of another part) by 1/4."""
    network, mix = tiny(0), torch.tensor([0.75, 0.25])
    batch = batch_of(3, mix=mix, image_id=np.arange(2))
    images = normalise(batch.pixels)
    logits = network(torch.stack([0.75 * images[0] + 0.25 * images[1], 0.25 * images[1] + 0.75 * images[2]]))
    each = -torch.log_softmax(logits, dim=1)
    weight, label = batch.weight, batch.class_index
    expected = (
        weight[0] * 0.75 * each[0, label[0]]
        + weight[1] * 0.25 * each[0, label[1]]
        + weight[1] * 0.25 * each[1, label[1]]
        + weight[2] * 0.75 * each[1, label[2]]
    ) / 4
    loss = labels(PLAIN).loss(network, batch)
    torch.testing.assert_close(loss.share, expected)
    assert loss.margins.shape == (2,)


def test_a_mixture_with_a_share_of_one_is_the_picture_itself() -> None:
    network, batch = tiny(0), batch_of(3)
    mixed = dataclasses.replace(batch_of(4), mix=torch.ones(3), image_id=np.arange(3), whole=batch.whole)
    pixels, draws = mixed.pixels.clone(), mixed.draws.clone()
    pixels[:3], draws[:3] = batch.pixels, batch.draws
    weight = torch.cat([batch.weight, torch.ones(1)])
    mixed = dataclasses.replace(mixed, pixels=pixels, draws=draws, weight=weight)
    settings = dataclasses.replace(PLAIN, crop_area=0.3, flip=0.5)
    torch.testing.assert_close(labels(settings).loss(network, mixed).share, labels(settings).loss(network, batch).share)


def test_all_for_the_label_is_plain_training_exactly() -> None:
    network, batch = tiny(0), batch_of(4)
    settings = TrainingSettings(temperature=1.0, label_share=1.0)
    plain, distilled = labels(settings).loss(network, batch), taught(settings, tiny(1)).loss(network, batch)
    assert torch.equal(plain.share, distilled.share)
    assert torch.equal(plain.margins, distilled.margins)
    for ours, theirs in zip(gradients(network, distilled.share), gradients(network, plain.share), strict=True):
        assert torch.equal(ours, theirs)


def test_labels_and_teacher_by_hand() -> None:
    """Three rows, temperature 2, three tenths for the label."""
    network, teacher, batch = tiny(0), tiny(1), batch_of(3)
    settings = dataclasses.replace(PLAIN, temperature=2.0, label_share=0.3)
    images = normalise(batch.pixels)
    with torch.no_grad():
        own, other = network(images).double().numpy(), teacher(images).double().numpy()
    expected = 0.0
    for row in range(3):
        student = np.exp(own[row] / 2) / np.exp(own[row] / 2).sum()
        wanted = np.exp(other[row] / 2) / np.exp(other[row] / 2).sum()
        label = math.log(np.exp(own[row]).sum()) - own[row, row]
        divergence = float((wanted * np.log(wanted / student)).sum())
        expected += batch.weight[row].item() * (0.3 * label + 0.7 * 4 * divergence) / 4
    assert taught(settings, teacher).loss(network, batch).share.item() == pytest.approx(expected, rel=1e-5)


def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn() -> None:
    network, batch = tiny(0), batch_of(3)
    settings = TrainingSettings(label_share=0.0, temperature=3.0)
    share = taught(settings, tiny(0)).loss(network, batch).share
    assert share.item() == pytest.approx(0, abs=1e-6)
    assert max(each.abs().max().item() for each in gradients(network, share)) < 1e-6


@pytest.mark.parametrize("mixed", [False, True])
def test_what_was_stored_of_whole_pictures_teaches_as_a_live_teacher_does(mixed: bool) -> None:
    """Where pictures are mixed, what was stored of the two is mixed; with shares of one the two ways agree."""
    network, teachers = tiny(0), (tiny(1), tiny(2))
    settings = dataclasses.replace(PLAIN, label_share=0.5)
    batch = batch_of(4)
    if mixed:
        batch = dataclasses.replace(batch, mix=torch.ones(3), image_id=np.arange(3))
    with torch.no_grad():
        said = tuple(teacher(normalise(batch.pixels)).half() for teacher in teachers)
    live = taught(settings, *teachers, shares=(0.25, 0.75)).loss(network, batch)
    stored = taught(settings, shares=(0.25, 0.75)).loss(network, dataclasses.replace(batch, taught=said))
    assert stored.share.item() == pytest.approx(live.share.item(), rel=2e-3)


def test_teachers_agree_on_the_mean_of_their_probabilities() -> None:
    """At temperature 2: 3/4 and 1/4 from one, even from the other, which counts three times as much."""
    logits = [torch.tensor([[2 * math.log(3), 0.0]]), torch.tensor([[5.0, 5.0]])]
    agreed = Teachers((0.25, 0.75), ()).agreed(logits, 2.0)
    torch.testing.assert_close(agreed, torch.tensor([[0.5625, 0.4375]]))
