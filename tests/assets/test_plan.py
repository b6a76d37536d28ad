"""`winnow plan`: on rates that are kept, and once with a calibration of its own."""

import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from assets import plan as plans
from assets.calibration import Calibrated
from assets.settings import SettingsError, read_settings
from assets.trial import Trial
from pipeline.demo.crawl import write_demo_crawl
from pipeline.demo.noise import DemoSettings
from pipeline.planning.figures import Line
from pipeline.planning.kept import kept_plan
from pipeline.planning.laws import ROWS
from pipeline.stages.listing import Crawl, make_listing
from pipeline.stages.sampled import Labels
from pipeline.storage.artifacts import Store
from tests.assets.conftest import ROOT, SmallRun
from tests.planning.test_plan import RATES

MACHINE = "cores = 64\nmemory_gb = 0.1\ngpus = 8\ngpu_tflops = 990\n"
MEASURED = Calibrated(
    dataclasses.replace(RATES, seconds={stage: Line(fixed=1.0, per_unit=0.001) for stage in (*ROWS, "predictions")}),
    {"baseline": 1.0},
    100.0,
    5.0,
)


def test_plan_and_described_machine_beside_the_facts_of_a_run(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "_calibrated", lambda *_: MEASURED)
    file = tmp_path / "eight.toml"
    file.write_text(MACHINE)
    settings = read_settings(small_run.folder / "winnow.toml", {})
    store, console = Store(small_run.store), Console(record=True, width=200, file=io.StringIO())
    plans.plan(store, [str(small_run.folder / "crawl")], plans.Order(settings, file, 10, fresh=False), console)
    told = console.export_text()
    assert "10 classes" in told
    assert "Plan for this machine" in told
    assert "Plan for eight" in told
    assert "GPU-hours, eight" in told
    assert "eight has 0.1" in told
    assert "distill-ensemble" in told
    kept = kept_plan(store)
    assert kept is not None
    rows = {row.stage: row for row in kept[1]}
    assert rows["model"].partitions == ("baseline@0", "kmeans-size@0")
    ratios = told[told.index("Plan beside fact") :]
    assert "all that is made" in ratios
    made = {
        line.split("│")[1].strip(): line.split("│")[3].strip() for line in ratios.splitlines() if line.count("│") > 5
    }
    unmade = [stage for stage, fact in made.items() if fact == "-"]
    assert unmade == [], "every stage that is planned is one that a run makes, by its own name"


def test_what_stages_load_is_not_loaded_before_it_is_measured() -> None:
    code = "import sys, assets.plan; print(*{'torch', 'faiss', 'hdbscan', 'sklearn'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == []


def test_a_store_without_a_plan_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="winnow plan CRAWL"):
        plans.compare_only(Store(tmp_path), Console(quiet=True))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cores = 2\nspeed = 3", "known are name, cores"),
        ("memory_gb = 2", "cores"),
        ("cores = 0", "machine.cores must be above 0"),
        ("cores = ", "not valid TOML"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "machine.toml").write_text(text)
    with pytest.raises(SettingsError, match=told):
        plans.read_machine(tmp_path / "machine.toml")
    with pytest.raises(SettingsError, match="no such file"):
        plans.read_machine(tmp_path / "none.toml")


def test_a_trial_runs_every_stage_that_is_planned_by_its_rows(tmp_path: Path) -> None:
    write_demo_crawl(tmp_path / "crawl", DemoSettings(train_images=500, val_images=10, test_images=10))
    crawl = Crawl(name="crawl", address=str(tmp_path / "crawl"))
    listing = make_listing(Store(tmp_path / "store"), crawl)
    settings = read_settings(None, {"images": {"image_size": 32}, "run": {"workers": 1}})
    trial = Trial([listing], [crawl], settings, 16, tmp_path / "trial", Labels.read([listing]).sample(100))
    trial.evidence()
    took = trial.took()
    assert set(ROWS) - set(took) == {"summary"}
    assert all(one.disk > 0 and one.memory_mb > 0 for one in took.values())
    shares = trial.epoch_shares()
    assert shares["baseline"] == 1.0
    assert 0 < shares["kmeans-large"] < 1 < shares["official-baseline"]
    assert set(shares) == set(settings.known_recipes())


@pytest.mark.slow
def test_a_calibration_measures_all_that_a_plan_reads(small_run: SmallRun) -> None:
    told = small_run.winnow("plan", "crawl", "--sample", "100", "--fresh")
    assert "measured in" in told
    assert "Plan beside fact" in told
    assert "Plan beside fact" in small_run.winnow("plan")
