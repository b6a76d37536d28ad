"""Naming new pictures and handing models on, over the store of a whole small run."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from assets.model_export import export_model
from assets.outcome import outcome
from assets.predict import predict
from models.trained import find_trained
from pipeline.result_tables import LABELLED
from pipeline.storage.artifacts import NotMadeError, Store
from pipeline.storage.tables import read_table
from tests.assets.conftest import SmallRun


@pytest.fixture(scope="module")
def store(small_run: SmallRun) -> Store:
    return Store(small_run.store)


@pytest.fixture(scope="module")
def pictures(small_run: SmallRun, store: Store) -> pd.DataFrame:
    """The crawl's usable test pictures: where they lie."""
    listing = pd.read_parquet(store.current("listing", "crawl").table("listing"))
    images = pd.read_parquet(store.current("images", "crawl").table("images"))[["image_id", "status"]]
    told = listing.merge(images, on="image_id")
    told = told[(told.split == "test") & (told.status == "usable")]
    return told.assign(path=[str(small_run.folder / "crawl" / path) for path in told.path])


def say(store: Store, model: str, *places: str, out: Path | None = None, width: int = 250) -> str:
    console = Console(file=io.StringIO(), width=width)
    predict(store, model, list(places), out, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("model", ["baseline", "kmeans-size@0", "ensemble-learned", "ensemble-vote-average@0"])
def test_pictures_are_named_as_the_stored_predictions_name_them(
    store: Store, pictures: pd.DataFrame, model: str, tmp_path: Path
) -> None:
    out = tmp_path / "labels.parquet"
    say(store, model, *pictures.path, out=out)
    found = pd.read_parquet(out)
    assert list(found.columns) == LABELLED.names
    assert found.path.tolist() == pictures.path.tolist()
    assert found.reason.isna().all()
    partition = model if "@" in model else f"{model}@0"
    stored = pd.read_parquet(store.current("predictions", partition).table("predictions")).set_index("image_id")
    logits = np.stack(stored.logits.loc[pictures.image_id].tolist()).astype(float)
    chance = np.exp(logits - logits.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probability_1, chance.max(axis=1), rtol=0.08)  # bfloat16, other batches
    wnids = read_table(store.current("listing", "crawl").table("classes"))["wnid"].to_pylist()
    sure = np.sort(chance, axis=1)[:, -1] - np.sort(chance, axis=1)[:, -2] > 0.04
    assert (
        sure.any() or model == "ensemble-learned"
    )  # which has learned that models of one epoch are not to be believed
    guess = [wnids[index] for index in chance.argmax(axis=1)]
    assert found.wnid_1[sure].tolist() == [own for own, clear in zip(guess, sure, strict=True) if clear]
    assert (found.filter(like="probability").diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)


def test_hostile_files_become_rows_and_nothing_of_them_steers_the_terminal(
    store: Store, pictures: pd.DataFrame, tmp_path: Path
) -> None:
    good = Path(pictures.path.iloc[0]).read_bytes()
    (tmp_path / "[red]=cmd|1\x1b[2J.jpg").write_bytes(good)
    (tmp_path / "cut.jpg").write_bytes(good[:100])
    said = say(store, "baseline", str(tmp_path))
    assert "\x1b" not in said
    assert "[red]=cmd|1\N{REPLACEMENT CHARACTER}[2J.jpg" in said
    assert "broken" in next(line for line in said.splitlines() if "cut.jpg" in line)
    out = tmp_path / "labels.csv"
    say(store, "baseline", str(tmp_path / "cut.jpg"), str(tmp_path / "absent.jpg"), out=out)
    table = pd.read_csv(out)
    assert table.columns.tolist() == LABELLED.names
    assert table.reason.tolist() == ["broken", "missing"]
    assert table.wnid_1.isna().all()


def test_what_cannot_be_named_is_refused_in_a_line(store: Store, small_run: SmallRun, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too many for a terminal: name a table with --out"):
        say(store, "baseline", str(small_run.folder / "crawl"))
    with pytest.raises(ValueError, match="no file in"):
        say(store, "baseline", str(tmp_path))
    with pytest.raises(ValueError, match=r"called .parquet or .csv"):
        say(store, "baseline", str(tmp_path), out=tmp_path / "labels.txt")
    with pytest.raises(
        NotMadeError, match=r"no model fused@0 .* there are: baseline@0, kmeans-size@0, ensemble-average@0"
    ):
        say(store, "fused", str(tmp_path))
    with pytest.raises(NotMadeError, match="no predictions of ensemble-vote@7"):
        say(store, "ensemble-vote@7", str(tmp_path))


def test_an_exported_model_is_whole_and_names_the_same(store: Store, pictures: pd.DataFrame, tmp_path: Path) -> None:
    folder, console = tmp_path / "model", Console(file=io.StringIO(), width=200)
    export_model(store, "baseline", folder, "torchscript", console)
    export_model(store, "baseline@0", folder, "torchscript", console)
    assert console.file.getvalue().endswith(", as it stood\n")  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="stands there already"):
        export_model(store, "kmeans-size", folder, "safetensors", console)
    with pytest.raises(ValueError, match="export each of baseline@0, kmeans-size@0"):
        export_model(store, "ensemble-average", tmp_path / "other", "safetensors", console)
    elsewhere = Store(tmp_path / "nowhere")
    path = pictures.path.iloc[0]
    assert say(elsewhere, str(folder), path).splitlines()[1:] == say(store, "baseline", path).splitlines()[1:]
    assert not elsewhere.root.exists()
    assert find_trained(elsewhere, str(folder), 0).classes == find_trained(store, "baseline", 0).classes
    card = (folder / "README.md").read_text()
    rows = read_table(store.current("summary").table("intervals")).to_pylist()
    (row,) = (r for r in rows if (r["recipe"], r["split"], r["metric"]) == ("baseline", "test", "top1"))
    value, low, high = (100 * (1 - row[end]) for end in ("value", "high", "low"))
    assert f"| test | {row['images']} | {value:.1f} ({low:.1f} to {high:.1f}) |" in card
    trained_on = len(read_table(store.current("model", "baseline@0").table("margins")))
    assert f"Trained on {trained_on:,} images." in card


def test_a_run_ends_with_what_it_came_to(store: Store) -> None:
    told = outcome(store)
    assert told is not None
    best = store.current("summary").facts["best"]
    assert told.startswith(f"best on val: {best['recipe']}, top-1 on test {100 * best['top1']:.1f}% (")
