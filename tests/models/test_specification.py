import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from models.settings import TrainingSettings
from models.specification import (
    CrawlFolders,
    EncodingJob,
    ModelSpecification,
    Teacher,
    TrainingJob,
    read_job,
    read_model_specification,
)

CRAWL = CrawlFolders(listing=Path("/s/listing"), images=Path("/s/images"), pixels=Path("/s/pixels"))
TRAINING = TrainingJob(
    manifest=Path("/s/manifest"),
    crawls=(CRAWL, CRAWL),
    classes=4,
    settings=TrainingSettings(epochs=5, compile=True, weights="sha256:00", stage_starts=(0.5, 0.75)),
    seed=1,
    out=Path("/s/out"),
    weights=Path("/s/weights.pt"),
    teachers=(Teacher(model=Path("/s/teacher")), Teacher(model=Path("/s/other"), share=2.0)),
)
ENCODING = EncodingJob(model=Path("/s/model"), outputs=("features", "logits"), crawls=(CRAWL,), out=Path("/s/out"))


@pytest.mark.parametrize("job", [TRAINING, ENCODING])
def test_a_saved_job_is_read_as_it_was(job: TrainingJob | EncodingJob, tmp_path: Path) -> None:
    job.save(tmp_path / "job.json")
    assert read_job(tmp_path / "job.json") == job


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"job": "cooking"}, "job is 'cooking'"),
        ({"seed": None}, "seed must be int, not None"),
        ({"seed": True}, "seed must be int, not True"),
        ({"seed": -1}, r"seed must be in \[0, 2\*\*31\), not -1"),
        ({"classes": "4"}, "classes must be int, not '4'"),
        ({"crawls": []}, "crawls must be at least one"),
        ({"crawls": [{"listing": "/s"}]}, r"crawls\[0\]: unknown fields \[\], missing fields \['images', 'pixels'\]"),
        ({"settings": 3}, "settings must be an object of fields, not 3"),
        ({"settings": {"epoch": 3}}, r"settings: unknown fields \['epoch'\]"),
        ({"settings": {"compile": 1}}, "settings: compile must be bool, not 1"),
        ({"settings": {"weights": 1}}, "settings: weights must be str, not 1"),
        ({"teachers": [{"model": "/s", "share": 0}]}, r"teachers\[0\]: share must be above 0, not 0"),
        ({"teachers": [{"model": "/s"}, {"model": "/s", "logits": "/l"}]}, "all asked .* or all stored"),
        ({"settings": {"flip": 1.5}}, r"settings: flip must be in \[0, 1\], not 1.5"),
        ({"colour": 1}, r"unknown fields \['colour'\]"),
    ],
)
def test_a_wrong_job_is_refused_by_file_and_field(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    TRAINING.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=complaint) as refusal:
        read_job(path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff"])
def test_what_is_no_job_at_all_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"job\.json"):
        read_job(path)


def test_features_are_of_one_crawl() -> None:
    with pytest.raises(ValueError, match="a single one where features are asked for"):
        dataclasses.replace(ENCODING, crawls=(CRAWL, CRAWL))
    assert dataclasses.replace(ENCODING, outputs=("logits",), crawls=(CRAWL, CRAWL)).splits == ("val", "test")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("base_learning_rate", 0.0),
        ("base_learning_rate", float("nan")),
        ("warmup_epochs", 16.0),
        ("momentum", 1.0),
        ("weight_decay", -1.0),
        ("label_smoothing", 1.0),
        ("gradient_norm", 0.0),
        ("crop_area", 0.0),
        ("crop_aspect", 0.5),
        ("flip", 1.1),
        ("schedule", "linear"),
        ("optimizer", "adam"),
        ("weighting", "both"),
        ("stage_starts", (0.5, 0.5)),
        ("stage_starts", (0.0,)),
        ("stage_starts", (1.0,)),
        ("mixup", -0.1),
        ("ema_decay", 1.0),
        ("accumulate", 0),
        ("temperature", 0.0),
        ("label_share", 1.1),
        ("teacher_view", "own"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be"):
        TrainingSettings(**{name: value})


def test_settings_that_came_later_are_told_where_they_are_on_and_not_where_they_are_off() -> None:
    first = {
        "network", "epochs", "batch_size", "base_learning_rate", "warmup_epochs", "momentum", "weight_decay",
        "label_smoothing", "gradient_norm", "crop_area", "crop_aspect", "flip",
    }  # fmt: skip
    assert set(TrainingSettings().told(taught=False)) == first
    assert set(TrainingSettings(mixup=0.2, weights="w").told(taught=False)) == first | {"mixup", "weights"}
    teaching = {"temperature", "label_share", "teacher_view"}
    assert set(TrainingSettings().told(taught=True)) == first | teaching
    told = TrainingSettings(temperature=5.0, label_share=0.1, teacher_view="stored", mixup=0.2)
    assert told.untaught() == TrainingSettings(mixup=0.2)


def test_a_model_specification_holds_no_path(tmp_path: Path) -> None:
    told = ModelSpecification(settings=TrainingSettings(), seed=1, classes=4, image_size=64, features=512, parameters=9)
    told.save(tmp_path / "specification.json")
    assert read_model_specification(tmp_path / "specification.json") == told
    assert "/" not in (tmp_path / "specification.json").read_text()
