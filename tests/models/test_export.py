"""Exported models: whole, read again, and graphs that say what the network says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.card import Card, SplitScore, card_text, plain
from models.checkpoint import load_model
from models.export import Deployed, check_format, write_model
from models.networks import normalise
from models.trained import ClassLabel, Trained, exported
from pipeline.intervals import Estimate
from tests.models.conftest import CLASSES, SIZE

LABELS = tuple(ClassLabel(f"n{number}", (f"class {number}", "other"), "a gloss") for number in range(CLASSES))
PIXELS = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def single(trained: Path) -> Trained:
    return Trained("mine@3", (trained,), None, LABELS)


def test_weights_and_classes_are_read_again(single: Trained, tmp_path: Path) -> None:
    assert write_model(single, "safetensors", tmp_path, PIXELS) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "classes.json",
        "model.safetensors",
        "specification.json",
    ]
    again, told = load_model(tmp_path)
    network, specification = load_model(single.networks[0])
    assert told == specification
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), network.state_dict().values(), strict=True)
    )
    assert exported(tmp_path).classes == LABELS


def test_a_graph_says_what_the_network_says(single: Trained, tmp_path: Path) -> None:
    difference = write_model(single, "torchscript", tmp_path, PIXELS)
    assert difference is not None
    assert difference < 1e-4
    network, _ = load_model(tmp_path)
    with torch.inference_mode():
        wanted = network(normalise(torch.from_numpy(PIXELS)))
        found = torch.jit.load(tmp_path / "model.torchscript.pt")(torch.from_numpy(PIXELS))  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_graph_that_says_something_else_is_not_handed_out(
    single: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plainly = Deployed.forward

    def wrong(self: Deployed, pixels: Tensor) -> Tensor:
        return plainly(self, pixels) + 0.01

    monkeypatch.setattr(Deployed, "forward", wrong)
    with pytest.raises(
        ValueError, match=r"model.torchscript.pt says other than the network: logits differ by up to 0.01"
    ):
        write_model(single, "torchscript", tmp_path, PIXELS)
    assert not (tmp_path / "model.torchscript.pt").exists()


def test_an_ensemble_is_refused_with_its_members(tmp_path: Path) -> None:
    two = (tmp_path / "a@0" / "id", tmp_path / "b@0" / "id")
    with pytest.raises(ValueError, match="several networks: export each of a@0, b@0"):
        write_model(Trained("ensemble-average@0", two, None, LABELS), "safetensors", tmp_path, PIXELS)


def test_formats_that_are_not_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="there are safetensors, torchscript, onnx"):
        check_format("pickle")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ValueError, match="ONNX takes onnxscript, not installed here: pip install onnxscript"):
        check_format("onnx")


def test_onnx_says_what_the_network_says(single: Trained, tmp_path: Path) -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    difference = write_model(single, "onnx", tmp_path, PIXELS)
    assert difference is not None
    assert difference < 1e-4


@pytest.mark.parametrize("damage", ["{}", "[", '[{"wnid": "a"}]', "[1]"])
def test_a_damaged_list_of_classes_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / "classes.json").write_text(damage)
    if damage == "{}":
        assert exported(tmp_path).classes == ()  # refused by the number of classes later on
    else:
        with pytest.raises(ValueError, match=r"classes.json: no list of classes"):
            exported(tmp_path)


def card(single: Trained, **told: object) -> Card:
    _, specification = load_model(single.networks[0])
    sure = Estimate(0.75, 0.7, 0.9)
    score = SplitScore("test", 1234, dict.fromkeys(("top1", "top5", "class_top1", "class_top5"), sure), 0.5, 0.031)
    values = {"name": "mine@3", "recipe": "Weighs.", "crawls": ["shop: 12 pictures"], "images": 9, "scores": [score]}
    whole = values | {"classes": LABELS, "form": "safetensors", "difference": None, "specification": specification}
    return Card(**(whole | told))  # type: ignore[arg-type]


def test_the_card_tells_errors_with_their_intervals(single: Trained) -> None:
    text = card_text(card(single))
    error = "25.0 (10.0 to 30.0)"
    assert f"| test | 1,234 | {error} | {error} | {error} | {error} | 0.500 | 3.1 |" in text
    assert "| epochs | 3 |" in text
    assert "Trained on 9 images." in text
    assert "2. n2: class 2, other" in text
    assert "Not measured" in card_text(card(single, scores=[]))


def test_nothing_of_a_crawl_becomes_markup_on_the_card(single: Trained) -> None:
    evil = "<script>x</script> [a](http://b) `c` | d\n# e\x1b[2J"
    text = card_text(card(single, crawls=[evil], classes=[ClassLabel(evil, (evil,), evil)], recipe=evil))
    for mark in ("<script>", "[a](", "\n# e", "\x1b"):
        assert mark not in text
    assert plain("a_b\n*c*") == r"a\_b \*c\*"


@pytest.mark.parametrize("form", ["safetensors", "torchscript"])
def test_the_reader_on_the_card_reads(
    single: Trained, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With pictures of 32 pixels, the smallest the decoder makes."""
    from PIL import Image  # noqa: PLC0415

    write_model(single, check_format(form), tmp_path, PIXELS)
    told = json.loads((tmp_path / "specification.json").read_text())
    (tmp_path / "specification.json").write_text(json.dumps(told | {"image_size": 32}))
    Image.new("RGB", (90, 60), (200, 40, 40)).save(tmp_path / "picture.jpg")
    text = card_text(card(single, form=form, difference=1e-6))
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102 - our own, as a user would run it
    assert re.fullmatch(r"\['class \d', 'other'\] (0\.\d+|1\.0)\n", capsys.readouterr().out)
