"""Probes of many recipes: each as if it were alone, what is left out has no say, and scikit-learn's answer."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from models.probes import Inputs, Trials, probe_logits, train_probes
from models.search_settings import SearchSettings

CLASSES = 3
CPU = torch.device("cpu")
Floats = npt.NDArray[np.float32]


def drawn(n: int = 240, d: int = 5) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int64]]:
    """Features of three overlapping classes."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, n)
    return (rng.normal(size=(CLASSES, d))[label] + rng.normal(size=(n, d))).astype(np.float16), label


def trials(label: npt.NDArray[np.int64], weights: list[Floats], draw: Floats | None = None) -> Trials:
    weight = np.stack(weights, axis=1)
    every = np.ones((len(label), 1), np.float32) if draw is None else draw
    return Trials(np.repeat(label[:, None], len(weights), axis=1), weight, np.zeros(weight.shape, np.int8), every)


def ones(n: int) -> Floats:
    return np.ones(n, np.float32)


def uneven(n: int) -> Floats:
    return (0.1 + 1.8 * np.random.default_rng(1).random(n)).astype(np.float32)


def test_recipes_and_samples_trained_together_are_those_trained_alone() -> None:
    features, label = drawn()
    inputs, settings = Inputs.of(features), SearchSettings(epochs=3, batch_size=32)
    weights, draw = [ones(240), uneven(240)], Trials.draws(np.arange(240), 2)
    both = train_probes(inputs, trials(label, weights, draw), CLASSES, settings, CPU)
    for recipe, weight in enumerate(weights):
        for sample in range(2):
            own = trials(label, [weight], draw[:, [sample]])
            alone = train_probes(inputs, own, CLASSES, settings, CPU)
            torch.testing.assert_close(both[:, recipe, sample], alone[:, 0, 0])
    assert not torch.allclose(both[:, 0], both[:, 1])
    assert not torch.allclose(both[:, :, 0], both[:, :, 1])


def test_the_answer_is_that_of_weighted_logistic_regression() -> None:
    features, label = drawn()
    inputs, weight = Inputs.of(features), uneven(240)
    settings = SearchSettings(epochs=200, batch_size=240, penalties=(0.05,))
    ours = train_probes(inputs, trials(label, [weight]), CLASSES, settings, CPU)
    whitened = inputs.read(slice(None), CPU)
    oracle = LogisticRegression(C=1 / (0.05 * 240), tol=1e-8, max_iter=2000)
    oracle.fit(whitened[:, :-1].numpy(), label, sample_weight=weight / weight.mean())
    found = probe_logits(whitened, ours)[:, 0, 0, 0].softmax(dim=1)
    np.testing.assert_allclose(found.numpy(), oracle.predict_proba(whitened[:, :-1].numpy()), rtol=0, atol=3e-4)


def test_the_mean_weight_is_no_matter() -> None:
    features, label = drawn()
    told = [
        train_probes(Inputs.of(features), trials(label, [scale * uneven(240)]), CLASSES, SearchSettings(epochs=2), CPU)
        for scale in (1, 8)
    ]
    torch.testing.assert_close(told[0], told[1])


def test_an_image_without_weight_has_no_say() -> None:
    features, label = drawn()
    weight = ones(240)
    weight[:50] = 0
    other = np.where(np.arange(240) < 50, (label + 1) % CLASSES, label)
    settings = SearchSettings(epochs=2, batch_size=32)
    told = [train_probes(Inputs.of(features), trials(own, [weight]), CLASSES, settings, CPU) for own in (label, other)]
    torch.testing.assert_close(told[0], told[1])


def test_a_late_stage_is_seen_late() -> None:
    features, label = drawn()
    inputs, first = Inputs.of(features), np.arange(240) < 120
    late = dataclasses.replace(trials(label, [ones(240)]), stage=(~first).astype(np.int8)[:, None])
    half = trials(label, [first.astype(np.float32)])
    once, twice = (SearchSettings(epochs=epochs, batch_size=32) for epochs in (1, 2))
    # One epoch of two stages is over before the second one opens.
    torch.testing.assert_close(*(train_probes(inputs, own, CLASSES, once, CPU) for own in (late, half)))
    second = [train_probes(inputs, own, CLASSES, twice, CPU) for own in (late, half)]
    assert not torch.allclose(second[0], second[1])


def test_whitened_axes_vary_alike_and_constant_columns_say_nothing() -> None:
    features = drawn(n=2000)[0] * np.array([1, 100, 1, 1, 0], np.float16)
    found = Inputs.of(features, shrinkage=1e-6).read(slice(None), CPU).numpy()
    np.testing.assert_allclose(found.mean(axis=0), [0, 0, 0, 0, 0, 1], atol=1e-3)
    np.testing.assert_allclose(np.sort(found.std(axis=0)), [0, 0, 1, 1, 1, 1], atol=0.02)
    shrunk = Inputs.of(features, shrinkage=1.0).read(slice(None), CPU).numpy()
    assert np.sort(shrunk.std(axis=0))[-2] < 0.1  # beside one axis of a hundred times the deviation


def test_a_draw_hangs_on_the_image_alone() -> None:
    draw = Trials.draws(np.arange(20_000), 2)
    np.testing.assert_array_equal(Trials.draws(np.array([7, 3]), 2), draw[[7, 3]])
    assert abs(draw.mean() - 1) < 0.02
    assert abs(((draw[:, 0] - 1) * (draw[:, 1] - 1)).mean()) < 0.05


def test_a_recipe_without_images_is_named() -> None:
    features, label = drawn()
    own = trials(label, [ones(240), np.zeros(240, np.float32)])
    with pytest.raises(ValueError, match="recipe number 1 leaves nothing"):
        train_probes(Inputs.of(features), own, CLASSES, SearchSettings(epochs=1), CPU)


def test_many_images_are_gone_through_less_often() -> None:
    settings = SearchSettings(epochs=10, most_images=1000)
    assert [settings.epochs_of(images) for images in (50, 250, 10_000)] == [10, 4, 2]
    assert SearchSettings(epochs=1).epochs_of(10_000) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("most_images", 0), ("batch_size", 0), ("momentum", 1.0), ("penalties", ()), ("penalties", (-1,))],
)
def test_settings_that_cannot_train_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"search.{name}"):
        SearchSettings(**{name: value})  # type: ignore[arg-type]
