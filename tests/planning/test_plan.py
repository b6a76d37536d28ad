"""Plans worked by hand from made-up rates."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.planning.figures import Asked, CrawlFigures, Line, Machine, Rates
from pipeline.planning.laws import IN_CLASS, neighbour_products, seconds_in_class
from pipeline.planning.plan import Planner, Row, added, described, gpu_hours, total_seconds, warnings
from pipeline.stages.ensemble import ENSEMBLES

CRAWL = CrawlFigures(images=120, train=100, val=20, test=0, class_sizes=(60, 40), text_coverage=0.5)
ASKED = Asked(
    recipes=("baseline", "student"),
    epoch_shares={"baseline": 1.0, "student": 0.5},
    teachers={"student": ("baseline",)},
    epochs=2,
    folds=1,
    ensembles=False,
    own_features=True,
    predict_training=False,
    stored_teachers=False,
    square=5000,
    exact_images=20_000,
    probes=8,
)
RATES = Rates(
    cores=2,
    device="cpu",
    devices=1,
    seconds={
        "images": Line(start=1.0, fixed=2.0, per_unit=0.1),
        "manifest": Line(fixed=1.0, per_unit=0.01),
        "predictions": Line(fixed=3.0),
        "ensemble": Line(fixed=0.25),
    },
    disk={"images": Line(per_unit=1000.0), "model": Line(fixed=5000.0)},
    memory_mb={"images": 500.0},
    in_class={"kmeans": ((10, 1.0), (100, 4.0))},
    products=1000.0,
    features=4,
    launch=7.0,
    train_images=10.0,
    forward_images=40.0,
    feature_images=60.0,
    forward_flops=1e9,
    feature_flops=2e9,
)
HERE = Machine(name="here", cores=2)
PLANNER = Planner(CRAWL, ASKED, RATES, HERE, ("shop",), (0, 1))


def rows_of(planner: Planner) -> dict[str, Row]:
    return {row.stage: row for row in planner.rows()}


def test_each_stage_follows_its_law() -> None:
    rows = rows_of(PLANNER)
    assert rows["images"].seconds == pytest.approx(1 + 2 + 0.1 * 120)
    assert rows["images"].disk == 120_000
    assert rows["manifest"].seconds == pytest.approx(2 * (1 + 0.01 * 120)), "a manifest for each recipe"
    assert rows["evidence-neighbours"].seconds == pytest.approx(100**2 / 1000)
    assert rows["features"].seconds == pytest.approx(3 + 120 / 60)
    assert rows["features"].disk == 2 * 4 * 120
    assert rows["predictions"].seconds == pytest.approx(4 * (3 + 20 / 40)), "two recipes, two seeds"
    assert rows["predictions"].disk == 4 * 20 * 2 * 2
    assert "teaching" not in rows
    rows = rows_of(dataclasses.replace(PLANNER, asked=dataclasses.replace(ASKED, ensembles=True)))
    assert len(rows["predictions"].partitions) == 4 + 2 * len(ENSEMBLES)
    assert rows["predictions"].seconds == pytest.approx(4 * (3 + 20 / 40) + 2 * len(ENSEMBLES) * 0.25)
    assert rows["predictions"].disk == (4 + 2 * len(ENSEMBLES)) * 20 * 2 * 2


def test_trainings_see_their_share_and_students_ask_their_teachers() -> None:
    model = rows_of(PLANNER)["model"]
    baseline = 7 + 2 * (100 / 10 + 20 / 40)
    student = 7 + 2 * (50 / 10 + (50 + 20) / 40)
    assert model.partitions == ("baseline@0", "baseline@1", "student@0", "student@1")
    assert model.seconds == pytest.approx(2 * (baseline + student))
    assert model.disk == 4 * 5000


def test_stored_teachers_are_asked_once_about_every_image() -> None:
    rows = rows_of(dataclasses.replace(PLANNER, asked=dataclasses.replace(ASKED, stored_teachers=True)))
    assert rows["teaching"].partitions == ("baseline@0", "baseline@1")
    assert rows["teaching"].seconds == pytest.approx(2 * (3 + 120 / 40))
    assert rows["teaching"].disk == 2 * 2 * 2 * 120
    student = 7 + 2 * (50 / 10 + 20 / 40)
    assert rows["model"].seconds == pytest.approx(2 * (7 + 2 * (10 + 0.5) + student))


def test_cross_fitted_baselines_train_a_network_for_each_fold() -> None:
    asked = dataclasses.replace(ASKED, folds=4, recipes=("fused",), epoch_shares={"fused": 1.0}, teachers={})
    rows = rows_of(dataclasses.replace(PLANNER, asked=asked, seeds=(0,)))
    fold = 7 + 2 * (75 / 10 + 20 / 40)
    assert rows["model"].seconds == pytest.approx(4 * fold + 7 + 2 * (10 + 0.5))
    assert rows["features"].seconds == pytest.approx(4 * (3 + 120 / 60))


def test_given_weights_need_no_baseline_and_no_margins() -> None:
    asked = dataclasses.replace(ASKED, own_features=False, recipes=("fused",), epoch_shares={"fused": 1.0})
    rows = rows_of(dataclasses.replace(PLANNER, asked=asked))
    assert rows["model"].partitions == ("fused@0", "fused@1")
    assert "evidence-aum" not in rows


def test_classes_are_joined_on_logarithmic_axes_and_grow_as_their_square() -> None:
    steps = ((10, 1.0), (1000, 100.0))
    sizes = np.array([100, 3, 0, 2000, 10_000])  # halfway, never less than the smallest, nothing, square, linear again
    assert seconds_in_class(steps, sizes, 5000) == pytest.approx([10.0, 1.0, 0.0, 400.0, 100 * 25 * 2])


def test_a_large_class_holds_up_all_others() -> None:
    rates = dataclasses.replace(RATES, in_class={"kmeans": ((10, 1.0), (100, 4.0)), "density": ((10, 1.0), (100, 2.0))})
    for sizes, seconds in (((100,), 6.0), ((100, 100), 6.0), ((100, 100, 100), 9.0)):
        planner = dataclasses.replace(PLANNER, rates=rates, crawl=dataclasses.replace(CRAWL, class_sizes=sizes))
        rows = rows_of(planner)
        for kind in IN_CLASS:  # one pass, whose records share its time
            assert rows[f"evidence-{kind}"].seconds == pytest.approx(seconds / 3)


def test_neighbours_are_searched_in_cells_above_the_limit() -> None:
    assert neighbour_products(20_000, ASKED) == 20_000**2
    # 200 cells in 56 groups, of which 16 are asked; 8 cells of 128 images
    assert neighbour_products(25_600, ASKED) == 25_600 * (56 + 16 * 200 / 56 + 8 * 128)
    assert neighbour_products(10**10, dataclasses.replace(ASKED, probes=99)) == pytest.approx(
        10**10 * (2 * 35_355 + 4096), rel=1e-3
    )


def test_line_takes_start_constant_and_slope_apart() -> None:
    line = Line.through(5.0, (10, 2.0), (110, 12.0))
    assert (line.start, line.fixed, line.per_unit) == pytest.approx((3.0, 1.0, 0.1))
    assert Line.through(None, (10, 3.0), (110, 2.0)) == Line(fixed=3.0), "noise gives no negative slope"
    assert Line.through(1.0, (10, 3.0), (10, 3.0)).of(20) == pytest.approx(6.0)


def test_a_described_machine_scales_what_was_measured() -> None:
    machine = Machine(name="eight", cores=16, core_speed=2.0, gpus=8, gpu_tflops=100.0, gpu_utilisation=0.25)
    rates = described(RATES, machine)
    assert rates.seconds["images"] == Line(start=0.5, fixed=1.0, per_unit=0.1 / 16)
    assert rates.in_class == {"kmeans": ((10, 0.5), (100, 2.0))}
    assert rates.products == 16_000
    assert rates.forward_images == pytest.approx(8 * 100e12 * 0.25 / 1e9)
    assert rates.feature_images == pytest.approx(rates.forward_images / 2)
    assert rates.train_images == pytest.approx(rates.forward_images / 3)
    bare = described(RATES, Machine(name="cores alone", cores=4))
    assert (bare.train_images, bare.forward_images, bare.feature_images) == (20, 80, 120)
    assert described(RATES, HERE) == RATES


def test_gpu_hours_count_every_gpu_while_networks_run() -> None:
    rows = [
        Row(stage="model", partitions=("a",), seconds=1800, disk=0, memory_mb=0, network=True),
        Row(stage="images", partitions=("a",), seconds=9000, disk=0, memory_mb=0),
    ]
    assert gpu_hours(rows, 8) == 4.0
    assert gpu_hours(rows, 0) == 0.0


def test_the_disk_bounds_every_stage() -> None:
    rows = rows_of(dataclasses.replace(PLANNER, machine=dataclasses.replace(HERE, disk_mb_s=0.001)))
    assert rows["images"].seconds == pytest.approx(120)


def test_a_recipe_adds_itself_and_its_missing_teachers() -> None:
    alone = dataclasses.replace(ASKED, recipes=("other",), epoch_shares={"other": 1.0}, teachers={})
    both = dataclasses.replace(
        ASKED, recipes=("other", "baseline", "student"), epoch_shares={**ASKED.epoch_shares, "other": 1.0}
    )
    seconds, disk, hours = added(PLANNER, both, alone)
    baseline, student = 7 + 2 * 10.5, 7 + 2 * (5 + 70 / 40)
    # The baseline of seed 0 is trained for its features already, and its manifest made.
    assert seconds == pytest.approx(2.2 + baseline + 2 * student + 4 * 3.5)
    assert disk == 3 * 5000 + 4 * 80
    assert hours == 0


def test_warnings_name_what_is_not_enough() -> None:
    rows = PLANNER.rows()
    assert warnings(rows, HERE) == []
    told = warnings(rows, dataclasses.replace(HERE, disk_gb=1e-6, memory_gb=0.4))
    assert len(told) == 2
    assert "disk" in told[0]
    assert told[1].startswith("images needs about 0.5 GB")


@pytest.mark.parametrize(
    ("name", "value"),
    [("cores", 0), ("gpus", -1), ("gpu_utilisation", 1.5), ("memory_gb", 0.0), ("core_speed", float("nan"))],
)
def test_impossible_machines_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"machine.{name}"):
        Machine(**{"name": "x", "cores": 1, name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="gpu_tflops"):
        Machine(name="x", cores=1, gpus=1)


def test_rates_survive_json() -> None:
    assert Rates.from_json(json.loads(json.dumps(RATES.as_json()))) == RATES


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=5), st.integers(0, 4), st.integers(1, 3000))
def test_more_images_never_take_less(sizes: list[int], which: int, more: int) -> None:
    def planned(own: list[int]) -> float:
        train = sum(own)
        crawl = CrawlFigures(images=train + 20, train=train, val=20, test=0, class_sizes=tuple(own), text_coverage=1.0)
        return total_seconds(dataclasses.replace(PLANNER, crawl=crawl).rows())

    larger = [size + more * (at == which % len(sizes)) for at, size in enumerate(sizes)]
    assert planned(sizes) <= planned(larger) + 1e-9
