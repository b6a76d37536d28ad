"""The card beside an exported model: what it was trained on, how, how often it errs, and how it is read."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.export import GRAPHS, TOLERANCE, Format
from models.specification import ModelSpecification
from models.trained import ClassLabel
from pipeline.intervals import Estimate

CLASSES_SHOWN: Final = 100

_READERS: Final[dict[Format, str]] = {
    "safetensors": """\
import json, torch
from pathlib import Path
from models.checkpoint import load_model  # Winnow's own
from models.networks import normalise
from pipeline.crawl.decode import DecodeSettings, decode

network, told = load_model(Path("."))
picture = decode(Path("picture.jpg").read_bytes(), DecodeSettings(image_size=told.image_size)).pixels
chance, index = network(normalise(torch.from_numpy(picture[None]), told.mean, told.std)).detach().softmax(1).topk(1)
print(json.loads(Path("classes.json").read_text())[int(index)]["names"], float(chance))""",
    "torchscript": """\
import json, numpy, torch
from PIL import Image

side = json.load(open("specification.json"))["image_size"]
picture = Image.open("picture.jpg").convert("RGB").resize((side, side), Image.Resampling.BOX)
graph = torch.jit.load("model.torchscript.pt")
chance, index = graph(torch.from_numpy(numpy.array(picture)[None])).detach().softmax(1).topk(1)
print(json.load(open("classes.json"))[int(index)]["names"], float(chance))""",
    "onnx": """\
import json, numpy, onnxruntime
from PIL import Image

side = json.load(open("specification.json"))["image_size"]
picture = Image.open("picture.jpg").convert("RGB").resize((side, side), Image.Resampling.BOX)
(logits,) = onnxruntime.InferenceSession("model.onnx").run(None, {"pixels": numpy.array(picture)[None]})
chance = numpy.exp(logits[0] - logits.max()) / numpy.exp(logits[0] - logits.max()).sum()
print(json.load(open("classes.json"))[int(chance.argmax())]["names"], float(chance.max()))""",
}


@dataclass(frozen=True)
class SplitScore:
    """How a model does on one clean split."""

    split: str
    images: int
    metrics: Mapping[str, Estimate]  # by pipeline.intervals.METRICS
    log_loss: float
    calibration_error: float


@dataclass(frozen=True)
class Card:
    """Everything the card tells."""

    name: str
    recipe: str  # what it does, in words
    crawls: Sequence[str]  # a line each
    images: int  # it was trained on
    specification: ModelSpecification
    scores: Sequence[SplitScore]
    classes: Sequence[ClassLabel]
    form: Format
    difference: float | None  # of the graph's logits from the network's, at most


def card_text(card: Card) -> str:
    """The card as Markdown. Names of crawls and classes are a stranger's: nothing of them is markup."""
    told = card.specification
    graph = GRAPHS.get(card.form)
    files = [
        "- `model.safetensors`: the weights; `specification.json`: what network they are of, and its preprocessing",
        "- `classes.json`: the classes in the order of the logits",
    ]
    if graph:
        files.append(
            f"- `{graph}`: uint8 pictures `[B, {told.image_size}, {told.image_size}, 3]` to float32 logits "
            f"`[B, {told.classes}]`; on stored pictures these differ from the network's by at most "
            f"{card.difference:.0e} (allowed are {TOLERANCE:g} and {TOLERANCE:g} of their size)"
        )
    parts = [
        f"# {plain(card.name)}",
        f"`{told.settings.network}`, {told.parameters:,} parameters, {told.classes:,} classes, pictures of "
        f"{told.image_size} x {told.image_size} pixels; trained by Winnow on pictures gathered from the web.",
        "## Files", "\n".join(files),
        "## Data", "\n".join(f"- {plain(line)}" for line in card.crawls),
        f"Trained on {card.images:,} images. Their labels are search terms and partly wrong.",
        "## Recipe", plain(card.recipe),
        "## Training", _settings(told),
        "## Errors", _scores(card.scores),
        "## Preprocessing", _preprocessing(told),
        "## Reading it", f"`winnow predict FOLDER picture.jpg`, or:\n\n```python\n{_READERS[card.form]}\n```",
        "## Licence",
        "Winnow does not know the licences of the pictures this was trained on. Before passing the weights on, find "
        "out what the owners and the sites they were found on allow.",
        "## Classes", _classes(card.classes),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text on one line of Markdown that stays text: every mark is escaped, and what steers a terminal is gone."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&$-])", r"\\\1", line)


def _settings(told: ModelSpecification) -> str:
    rows = [(item.name, getattr(told.settings, item.name)) for item in dataclasses.fields(told.settings)]
    lines = [f"| {name} | {plain(str(value))} |" for name, value in [*rows, ("seed", told.seed)]]
    return "\n".join(["| setting | value |", "| --- | --- |", *lines])


def _scores(scores: Sequence[SplitScore]) -> str:
    if not scores:
        return "Not measured: the crawls have no clean split, or `winnow run` has not scored this model yet."
    lines = [
        f"| {score.split} | {score.images:,} | {_error(score.metrics['top1'])} | {_error(score.metrics['top5'])} "
        f"| {_error(score.metrics['class_top1'])} | {_error(score.metrics['class_top5'])} | {score.log_loss:.3f} "
        f"| {100 * score.calibration_error:.1f} |"
        for score in scores
    ]
    head = "| split | images | top-1 | top-5 | top-1, class mean | top-5, class mean | log loss | calibration |"
    told = (
        "Errors in percent on clean labels with 95% intervals over images; the last column is how far, in percent, the "
        "probability of the first guess lies from how often it is right. val chose among recipes; test did not."
    )
    return "\n".join([told, "", head, "| --- " * 8 + "|", *lines])


def _error(accuracy: Estimate) -> str:
    value, low, high = (100 * (1 - share) for share in (accuracy.value, accuracy.high, accuracy.low))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def _preprocessing(told: ModelSpecification) -> str:
    numbers = [" ".join(f"{number:g}" for number in values) for values in (told.mean, told.std)]
    return (
        f"Turn the picture as its EXIF says, put what is transparent on white, squash it to {told.image_size} x "
        f"{told.image_size} RGB pixels (shrinking averages areas), divide by 255, subtract {numbers[0]} from red, "
        f"green and blue, divide by {numbers[1]}."
    )


def _classes(classes: Sequence[ClassLabel]) -> str:
    lines = [
        f"{number}. {plain(label.wnid)}: {plain(', '.join(label.names))}"
        for number, label in enumerate(classes[:CLASSES_SHOWN])
    ]
    more = len(classes) - CLASSES_SHOWN
    return "\n".join(lines) + (f"\n\nand {more:,} more in `classes.json`." if more > 0 else "")
