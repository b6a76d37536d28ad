"""`winnow run` over a whole small crawl: everything is there, nothing is made twice, only what hangs on a change is."""

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from assets.demo import findings
from pipeline.records import LISTING
from pipeline.stages import ensemble
from pipeline.storage.artifacts import Store
from tests.assets.conftest import SmallRun

ENSEMBLES = [f"predictions/{name}@0" for name in ensemble.ENSEMBLES]
FIRST = [
    "listing/crawl",
    "images/crawl",
    "evidence-duplicates/all",
    "manifest/baseline",
    "model/baseline@0",
    "evidence-aum/all",
    "features/crawl",
    "evidence-rank/all",
    "evidence-kmeans/all",
    "evidence-density/all",
    "evidence-hdbscan/all",
    "evidence-neighbours/all",
    "evidence-opinion/all",
    "evidence-confusion/all",
    "texts/crawl",
    "evidence-keyword/all",
    "text-vectors/all",
    "evidence-semantic/all",
    "settled/all",
    "evidence-fused/all",
    "evidence/all",
    "predictions/baseline@0",
    "manifest/kmeans-size",
    "model/kmeans-size@0",
    "predictions/kmeans-size@0",
    *ENSEMBLES,
    "summary/all",
    "report/all",
]


def test_the_first_run_makes_every_stage_once(small_run: SmallRun) -> None:
    made = small_run.work()[: len(FIRST)]
    assert sorted(made) == sorted(FIRST)
    # leaks are known before anything is trained, and all evidence before anything is weighed
    order = ("evidence-duplicates/all", "manifest/baseline", "features/crawl", "evidence/all", "manifest/kmeans-size")
    assert sorted(order, key=made.index) == list(order)


def test_a_second_run_computes_nothing(small_run: SmallRun) -> None:
    small_run.run()  # the report tells of every manifest there is: other tests may have made some since
    before = small_run.work()
    said = small_run.run()
    assert small_run.work_since(before) == []
    assert "0 stages computed" in said


@pytest.mark.slow
def test_another_k_redoes_clusters_and_what_hangs_on_them(small_run: SmallRun) -> None:
    settings = small_run.folder / "winnow.toml"
    text = settings.read_text()
    settings.write_text(text.replace("clusters = 3", "clusters = 2"))
    before = small_run.work()
    small_run.run()
    assert small_run.work_since(before) == [
        "evidence-kmeans/all",
        "evidence/all",
        "manifest/kmeans-size",
        "model/kmeans-size@0",
        "predictions/kmeans-size@0",
        *ENSEMBLES,
        "summary/all",
        "report/all",
    ]
    settings.write_text(text)
    before = small_run.work()
    small_run.run()
    assert small_run.work_since(before) == []  # both sets of clusters are kept


def test_every_table_is_where_path_says_and_opens_in_duckdb_and_pandas(small_run: SmallRun) -> None:
    names = ("listing", "images", "evidence/kmeans", "manifest/kmeans-size", "predictions/baseline", "summary")
    folders = {name: Path(small_run.winnow("path", name).strip()) for name in names}
    counts = {name: len(duckdb.read_parquet(f"{folder}/*.parquet")) for name, folder in folders.items()}
    listing = pd.read_parquet(folders["listing"])
    assert list(listing.columns) == LISTING.names
    assert counts["listing"] == counts["images"] == counts["manifest/kmeans-size"] == len(listing) == 550
    images = pd.read_parquet(folders["images"])
    quarantined = images[images.status == "quarantined"]
    assert len(images) == 550
    assert (images.status == "usable").sum() + quarantined.reason.notna().sum() == 550
    manifest = pd.read_parquet(folders["manifest/kmeans-size"])
    kept = manifest[manifest.kept]
    assert abs(kept.weight.mean() - 1) < 1e-5
    assert set(manifest[~manifest.kept].weight) == {0}
    weights = pd.read_parquet(small_run.winnow("path", "weights/ensemble-learned").strip())
    assert weights[weights.class_index.isna()].member.tolist() == ["baseline@0", "kmeans-size@0"]
    intervals = pd.read_parquet(small_run.winnow("path", "intervals").strip())
    assert set(intervals.recipe) == {"baseline", "kmeans-size", *ensemble.ENSEMBLES}
    assert intervals[intervals.recipe != "baseline"].gain.notna().all()
    predictions = pd.read_parquet(folders["predictions/baseline"])
    assert len(predictions) == counts["predictions/baseline"] == 50
    assert len(predictions.logits[0]) == listing.class_index.max() + 1


def test_the_demo_says_what_the_weights_found(small_run: SmallRun) -> None:
    told = findings(Store(small_run.store), small_run.folder / "crawl")
    assert "These pictures are synthetic" in told
    images, wrong = map(int, re.findall(r"Of ([\d,]+) readable training pictures ([\d,]+) carry", told)[0])
    assert 450 < images < 500
    assert 0.2 < wrong / images < 0.4


@pytest.mark.slow
def test_a_student_is_trained_after_its_teacher(small_run: SmallRun) -> None:
    """The teacher stands from before, so nothing but the student is trained; it is scored as other recipes are."""
    before = small_run.work()
    small_run.run("--recipes", "distill-baseline")
    assert small_run.work_since(before) == [
        "manifest/distill-baseline",
        "model/distill-baseline@0",
        "predictions/distill-baseline@0",
        "summary/all",
        "report/all",
    ]
    summary = pd.read_parquet(small_run.winnow("path", "summary").strip())
    assert "distill-baseline" in set(summary.recipe)


def test_mistakes_end_as_one_line(small_run: SmallRun) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "assets.cli", "path", "manifest/absent", "--store", str(small_run.store)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"winnow: {small_run.store} holds no manifest of absent yet: "
        "run `winnow run` (or materialise it in the UI) first\n"
    )


def test_a_verdict_makes_anew_what_hangs_on_it_and_nothing_else(small_run: SmallRun) -> None:
    manifest = Store(small_run.store).current("manifest", "kmeans-size")
    kept = pd.read_parquet(manifest.table("manifest")).query("kept").image_id.to_list()
    (small_run.folder / "v.csv").write_text(f"image_id,verdict\n{kept[0]},wrong\n{kept[1]},right\n7,right\n")
    before = small_run.work()
    said = small_run.winnow("verdicts", "v.csv")
    assert "v.csv, line 4: the crawls of this store list no such image_id" in said
    small_run.run()
    assert small_run.work_since(before) == [
        "verdicts/all",
        "settled/all",
        "evidence-fused/all",
        "evidence/all",
        "manifest/kmeans-size",
        "model/kmeans-size@0",
        "predictions/kmeans-size@0",
        *ENSEMBLES,
        "summary/all",
        "report/all",
    ]
    rows = pd.read_parquet(Store(small_run.store).current("manifest", "kmeans-size").table("manifest"))
    found = rows.set_index("image_id").reason
    assert found[kept[0]] == "a person found its label wrong, not trained on"
    assert "a person found its label right" in found[kept[1]]
    before = small_run.work()
    small_run.winnow("verdicts", "v.csv")
    small_run.run()
    assert small_run.work_since(before) == []  # what was said survives, and saying it again changes nothing
    page = small_run.winnow("review", "kmeans-size", "--count", "5")
    assert "5 images whose verdict would change the manifest of kmeans-size most" in page
