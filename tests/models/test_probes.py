"""Probes of many recipes: each as if it were alone, what is left out has no say, and scikit-learn's answer."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from models.probes import ProbesSettings, Trials, probe_logits, standardised, train_probes

CLASSES = 3


def drawn(n: int = 240, d: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised features of three overlapping classes."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, n)
    features = torch.from_numpy((rng.normal(size=(CLASSES, d))[label] + rng.normal(size=(n, d))).astype(np.float32))
    return standardised(features, features), torch.from_numpy(label)


def trials(label: torch.Tensor, weights: list[torch.Tensor]) -> Trials:
    weight = torch.stack(weights, dim=1)
    return Trials(label[:, None].repeat(1, len(weights)), weight, torch.zeros_like(weight, dtype=torch.int64))


def test_recipes_trained_together_are_those_trained_alone() -> None:
    features, label = drawn()
    weights = [torch.ones(len(label)), torch.rand(len(label), generator=torch.Generator().manual_seed(1))]
    settings = ProbesSettings(epochs=3, batch_size=32)
    both = train_probes(features, trials(label, weights), CLASSES, settings, seed=4)
    for number, weight in enumerate(weights):
        alone = train_probes(features, trials(label, [weight]), CLASSES, settings, seed=4)
        torch.testing.assert_close(both[number], alone[0])
    assert not torch.allclose(both[0], both[1])


def test_the_answer_is_that_of_weighted_logistic_regression() -> None:
    features, label = drawn()
    weight = 0.1 + 1.8 * torch.rand(len(label), generator=torch.Generator().manual_seed(1))
    weight /= weight.mean()
    settings = ProbesSettings(epochs=400, batch_size=len(label), penalties=(0.05,))
    ours = train_probes(features, trials(label, [weight]), CLASSES, settings, seed=0)
    oracle = LogisticRegression(C=1 / (0.05 * len(label)), tol=1e-8, max_iter=2000)
    oracle.fit(features.numpy(), label.numpy(), sample_weight=weight.numpy())
    found = probe_logits(features, ours)[0, 0].softmax(dim=1)
    np.testing.assert_allclose(found.numpy(), oracle.predict_proba(features.numpy()), atol=2e-3)


def test_an_image_without_weight_has_no_say() -> None:
    features, label = drawn()
    weight = torch.ones(len(label))
    weight[:50] = 0
    other = label.clone()
    other[:50] = (other[:50] + 1) % CLASSES
    settings = ProbesSettings(epochs=2)
    told = [train_probes(features, trials(own, [weight]), CLASSES, settings, seed=0) for own in (label, other)]
    torch.testing.assert_close(told[0], told[1])


def test_a_late_stage_is_seen_late() -> None:
    features, label = drawn()
    plain = trials(label, [torch.ones(len(label))])
    late = dataclasses.replace(plain, stage=(torch.arange(len(label)) >= 120).long()[:, None])
    half = trials(label, [(torch.arange(len(label)) < 120).float()])
    once = ProbesSettings(epochs=1)
    # One epoch of two stages is over before the second one opens.
    torch.testing.assert_close(*(train_probes(features, t, CLASSES, once, seed=0) for t in (late, half)))
    twice = ProbesSettings(epochs=2)
    second = [train_probes(features, t, CLASSES, twice, seed=0) for t in (late, half)]
    assert not torch.allclose(second[0], second[1])


def test_a_constant_column_says_nothing() -> None:
    features = torch.tensor([[1.0, 7.0], [3.0, 7.0]])
    assert standardised(features, features)[:, 1].tolist() == [0.0, 0.0]


def test_a_recipe_without_images_is_named() -> None:
    features, label = drawn()
    with pytest.raises(ValueError, match="recipe number 1 leaves nothing"):
        train_probes(
            features,
            trials(label, [torch.ones(len(label)), torch.zeros(len(label))]),
            CLASSES,
            ProbesSettings(epochs=1),
            seed=0,
        )


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("batch_size", 0), ("momentum", 1.0), ("penalties", ())])
def test_settings_that_cannot_train_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"search.{name}"):
        ProbesSettings(**{name: value})  # type: ignore[arg-type]
