"""Features and predictions of the tiny crawls, by a model trained on them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.checkpoint import load_model
from models.encode import Encoder, encode
from models.gang import Gang
from models.networks import normalise
from models.specification import EncodingJob, Output
from models.worker import run_encoding
from pipeline.result_tables import predictions
from pipeline.storage.arrays import open_array
from pipeline.storage.draft import Draft
from pipeline.storage.tables import read_table
from tests.models.conftest import CLASSES, TinyCrawl


def files(folder: Path) -> list[str]:
    return sorted(Draft(folder).files())


def test_every_usable_image_has_its_features_beside_its_pixels(
    trained: Path, crawls: list[TinyCrawl], tmp_path: Path
) -> None:
    job = EncodingJob(model=trained, outputs=("features",), crawls=(crawls[0].folders,), out=tmp_path)
    run_encoding(job, Gang(), lambda _: None)
    assert files(tmp_path) == [f"features/part-{part:05d}.npy" for part in range(4)]
    network, specification = load_model(trained)
    for part in range(4):
        pixels = open_array(crawls[0].folders.pixels / f"part-{part:05d}.npy")
        features = open_array(tmp_path / "features" / f"part-{part:05d}.npy")
        assert features.dtype == np.float16
        assert features.shape == (len(pixels), specification.features)
        with torch.inference_mode():
            expected = network.features(normalise(torch.from_numpy(pixels.copy()))).numpy()
        np.testing.assert_allclose(features, expected, rtol=2e-3, atol=1e-3)


def test_predictions_tell_of_each_held_out_image_of_all_crawls(
    trained: Path, crawls: list[TinyCrawl], tmp_path: Path
) -> None:
    job = EncodingJob(model=trained, outputs=("logits",), crawls=tuple(crawl.folders for crawl in crawls), out=tmp_path)
    events: list[dict[str, object]] = []
    run_encoding(job, Gang(), events.append)
    table = read_table(tmp_path / "predictions")
    assert table.schema.equals(predictions(CLASSES))
    assert len(files(tmp_path)) == 6  # as many parts as the two crawls have shards
    for split in ("train", "val", "test"):
        wanted = [crawl.image_id[crawl.usable & (crawl.split == split)] for crawl in crawls]
        found = table.filter(np.array(table["split"]) == split)["image_id"].to_pylist()
        assert sorted(found) == (sorted(np.concatenate(wanted).tolist()) if split != "train" else [])
    labels = {ident: label for crawl in crawls for ident, label in zip(crawl.image_id, crawl.class_index, strict=True)}
    assert [labels[ident] for ident in table["image_id"].to_pylist()] == table["class_index"].to_pylist()
    assert set(table["seed"].to_pylist()) == {3}
    logits = np.array(table["logits"].to_pylist())
    assert (logits.argmax(1) == table["class_index"].to_numpy()).mean() > 0.9  # it learned to tell colours
    assert events[-1] == {"event": "progress", "done": len(table), "total": len(table), "unit": "images"}


def test_both_at_once_are_what_each_is_alone(trained: Path, crawls: list[TinyCrawl], tmp_path: Path) -> None:
    outputs: dict[str, tuple[Output, ...]] = {
        "both": ("features", "logits"),
        "features": ("features",),
        "logits": ("logits",),
    }
    for name, asked in outputs.items():
        job = EncodingJob(model=trained, outputs=asked, crawls=(crawls[1].folders,), out=tmp_path / name)
        run_encoding(job, Gang(), lambda _: None)
    assert files(tmp_path / "both") == files(tmp_path / "features") + files(tmp_path / "logits")
    for part in files(tmp_path / "features"):
        np.testing.assert_array_equal(open_array(tmp_path / "both" / part), open_array(tmp_path / "features" / part))
    both, alone = (read_table(tmp_path / name / "predictions") for name in ("both", "logits"))
    assert both.drop_columns("logits").equals(alone.drop_columns("logits"))
    first, second = (np.array(table["logits"].to_pylist()) for table in (both, alone))
    np.testing.assert_allclose(first, second, rtol=2e-3, atol=1e-3)


def test_finished_parts_are_left_alone_and_ranks_share_the_rest(
    trained: Path, crawls: list[TinyCrawl], tmp_path: Path
) -> None:
    job = EncodingJob(model=trained, outputs=("features",), crawls=(crawls[0].folders,), out=tmp_path)
    encode(job, Encoder(*load_model(trained), Gang(1, 2)), lambda _done, _total: None)
    assert files(tmp_path) == ["features/part-00001.npy", "features/part-00003.npy"]
    before = [(tmp_path / path).stat().st_mtime_ns for path in files(tmp_path)]
    told: list[tuple[int, int]] = []
    encode(job, Encoder(*load_model(trained), Gang(0, 1)), lambda done, total: told.append((done, total)))
    assert files(tmp_path) == [f"features/part-{part:05d}.npy" for part in range(4)]
    assert [(tmp_path / path).stat().st_mtime_ns for path in files(tmp_path)[1::2]] == before
    assert told == [(40, 56), (56, 56)]  # parts hold 16, 16, 16 and 8; two were there


def test_pictures_of_another_size_are_refused(trained: Path) -> None:
    encoder = Encoder(*load_model(trained), Gang())
    with pytest.raises(ValueError, match="trained on 16 pixels a side"):
        encoder.apply(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2), ("features",), lambda _: None)


def test_numbers_too_large_for_float16_are_refused(trained: Path) -> None:
    network, specification = load_model(trained)
    with torch.no_grad():
        network.head.weight.mul_(1e6)
    with pytest.raises(ValueError, match="float16 cannot hold"):
        Encoder(network, specification, Gang()).apply(
            np.zeros((2, 16, 16, 3), np.uint8), np.arange(2), ("features", "logits"), lambda _: None
        )


def test_weights_of_another_network_are_refused(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes())
    text = (trained / "specification.json").read_text()
    (tmp_path / "specification.json").write_text(text.replace('"classes": 3', '"classes": 4'))
    with pytest.raises(ValueError, match="does not fit its specification"):
        load_model(tmp_path)
