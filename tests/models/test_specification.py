import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from models.specification import (
    CrawlFolders,
    EncodingJob,
    ModelSpecification,
    TrainingJob,
    TrainingSettings,
    read_job,
    read_model_specification,
)

CRAWL = CrawlFolders(listing=Path("/s/listing"), images=Path("/s/images"), pixels=Path("/s/pixels"))
TRAINING = TrainingJob(
    manifest=Path("/s/manifest"),
    crawls=(CRAWL, CRAWL),
    classes=4,
    settings=TrainingSettings(epochs=5),
    seed=1,
    out=Path("/s/out"),
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
    ],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be"):
        TrainingSettings(**{name: value})


def test_a_model_specification_holds_no_path(tmp_path: Path) -> None:
    told = ModelSpecification(settings=TRAINING.settings, seed=1, classes=4, image_size=64, features=512, parameters=9)
    told.save(tmp_path / "specification.json")
    assert read_model_specification(tmp_path / "specification.json") == told
    assert "/" not in (tmp_path / "specification.json").read_text()
