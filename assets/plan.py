"""`winnow plan`: what a run will take, by stage and by recipe, before anything heavy; afterwards plan beside fact."""

import dataclasses
import os
import platform
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import pydantic
from rich.console import Console

from assets.calibration import Calibrated, Calibration
from assets.plan_tables import fact_table, plan_table, recipe_plan_table
from assets.progress import TerminalProgress
from assets.recipes import teachers_first
from assets.run import crawls_at
from assets.settings import Settings, SettingsError
from pipeline.planning.facts import facts_of
from pipeline.planning.figures import Asked, CrawlFigures, Machine, Rates
from pipeline.planning.kept import keep_calibration, keep_plan, kept_calibration, kept_plan
from pipeline.planning.plan import GB, Planner, added, described, warnings
from pipeline.stages.listing import Crawl, make_listing
from pipeline.stages.sampled import Labels
from pipeline.storage.artifacts import Artifact, Store, identity

HERE: Final = "this machine"
CODE_VERSION: Final = "1"
STEPS: Final = 6  # of a calibration


@dataclass(frozen=True)
class Order:
    """What is to be planned, and how."""

    settings: Settings
    machine: Path | None  # description of another machine
    images: int  # of the calibration's larger trial
    fresh: bool  # measure again, whatever was measured before


def plan(store: Store, addresses: Sequence[str], order: Order, console: Console) -> None:
    """List the crawls, measure this machine on a sample of them, and tell what a run will take."""
    crawls = crawls_at(addresses, order.settings)
    described_machine = None if order.machine is None else read_machine(order.machine)
    planner, calibrated = foretell(store, crawls, order, console)
    for line in _told(planner.crawl, calibrated):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    shown = [planner]
    if described_machine is not None:
        rates = described(planner.rates, described_machine)
        shown.append(dataclasses.replace(planner, rates=rates, machine=described_machine))
    for each in shown:
        rows = each.rows()
        console.print(plan_table(each, rows))
        for line in warnings(rows, each.machine):
            console.print(f"warning: {line}", highlight=False, markup=False, soft_wrap=True)
    shares = calibrated.epoch_shares
    console.print(recipe_plan_table(shown, shares, adds(shown, order.settings, shares)))
    compare(store, console)


def compare_only(store: Store, console: Console) -> None:
    """Print the kept plan beside the facts.

    Raises:
        LookupError: there is no plan, or nothing of it has been made.
    """
    if kept_plan(store) is None:
        raise LookupError(f"{store.root} holds no plan: make one with `winnow plan CRAWL --store {store.root}`")
    if not compare(store, console):
        raise LookupError(f"nothing of the plan in {store.root} has been made yet: run `winnow run CRAWL` first")


def foretell(store: Store, crawls: Sequence[Crawl], order: Order, console: Console) -> tuple[Planner, Calibrated]:
    """The plan of this machine, which is kept with the store."""
    progress = TerminalProgress(console)
    listings = []
    for crawl in crawls:
        with progress.track(f"listing {crawl.name}", None, lambda _: None) as advance:
            listings.append(make_listing(store, crawl, on_progress=advance))
    calibrated = _calibrated(store, listings, crawls, order, progress)
    settings = order.settings
    planner = Planner(
        crawl=crawl_figures(listings),
        asked=asked_of(settings, settings.recipes, calibrated.epoch_shares),
        rates=calibrated.rates,
        machine=this_machine(store, calibrated.rates, calibrated.disk_mb_s),
        crawls=tuple(crawl.name for crawl in crawls),
        seeds=settings.seeds,
    )
    keep_plan(store, planner.machine, planner.rows())
    return planner, calibrated


def compare(store: Store, console: Console) -> bool:
    """Print the kept plan beside what the store's work took, where there is both; returns whether there is."""
    kept = kept_plan(store)
    facts = {} if kept is None else facts_of(store, kept[1])
    if kept is None or not facts:
        return False
    console.print(fact_table(kept[1], facts))
    return True


def _calibrated(
    store: Store, listings: Sequence[Artifact], crawls: Sequence[Crawl], order: Order, progress: TerminalProgress
) -> Calibrated:
    facts = [platform.processor(), platform.node(), os.cpu_count(), psutil.virtual_memory().total, order.images]
    settings = {**dataclasses.asdict(order.settings), "recipes": None, "seeds": None, "ensemble": None}
    key = identity("calibration", CODE_VERSION, [facts, settings], [listing.identity for listing in listings])
    kept = None if order.fresh else kept_calibration(store, key)
    if kept is not None:
        return Calibrated(**{**kept, "rates": Rates.from_json(kept["rates"])})
    with progress.track("measuring this machine on a sample", STEPS, lambda _: None) as advance:
        found = Calibration(listings, crawls, order.settings, order.images).run(lambda _: advance(1))
    keep_calibration(store, key, dataclasses.asdict(found))
    return found


def crawl_figures(listings: Sequence[Artifact]) -> CrawlFigures:
    """What the listings say, added up."""
    splits = {name: sum(listing.facts["splits"][name] for listing in listings) for name in ("train", "val", "test")}
    with_text = sum(listing.facts["splits"]["train"] * listing.facts["text_coverage"] for listing in listings)
    sizes = Labels.read(listings).class_sizes(listings[0].facts["classes"])
    return CrawlFigures(
        images=sum(splits.values()),
        **splits,
        class_sizes=tuple(sizes.tolist()),
        text_coverage=with_text / max(splits["train"], 1),
    )


def asked_of(settings: Settings, recipes: Sequence[str], shares: dict[str, float]) -> Asked:
    """What of the settings a plan reads, for some recipes and the teachers they bring along."""
    known = settings.known_recipes()
    ordered = tuple(teachers_first(recipes, known))
    return Asked(
        recipes=ordered,
        epoch_shares={name: shares.get(name, 1.0) for name in ordered},
        teachers={name: tuple(teacher for teacher, _ in known[name].teachers) for name in ordered},
        epochs=settings.training.epochs,
        folds=settings.features.folds,
        ensembles=len(settings.ensemble.members or settings.recipes) > 1,
        own_features=settings.features.weights is None,
        predict_training=settings.predictions.training,
        stored_teachers=settings.training.teacher_view == "stored",
        square=max(settings.density.square, settings.hdbscan.square),
        exact_images=settings.neighbours.exact_images,
        probes=settings.neighbours.probes,
    )


def adds(
    planners: Sequence[Planner], settings: Settings, shares: dict[str, float]
) -> dict[str, list[tuple[float, float, float]]]:
    """Recipe -> what it adds to the other recipes of the run, on each machine: seconds, bytes, GPU-hours."""

    def without(name: str) -> Asked:
        return asked_of(settings, [each for each in settings.recipes if each != name], shares)

    def with_it(name: str) -> Asked:
        return asked_of(settings, [*(each for each in settings.recipes if each != name), name], shares)

    return {name: [added(each, with_it(name), without(name)) for each in planners] for name in settings.known_recipes()}


def this_machine(store: Store, rates: Rates, disk_mb_s: float) -> Machine:
    """What this machine has, as far as it tells."""
    return Machine(
        name=HERE,
        cores=rates.cores,
        memory_gb=psutil.virtual_memory().total / GB,
        disk_gb=shutil.disk_usage(store.root).free / GB,
        disk_mb_s=disk_mb_s,
        gpus=rates.devices if rates.device == "cuda" else 0,
        gpu_tflops=rates.forward_images * rates.forward_flops / 1e12 if rates.device == "cuda" else None,
    )


def read_machine(file: Path) -> Machine:
    """The machine that a TOML file describes.

    Raises:
        SettingsError: an unknown or missing key, a wrong type or a value out of range.
    """
    known = [field.name for field in dataclasses.fields(Machine)]
    try:
        told: dict[str, Any] = {"name": file.stem, **tomllib.loads(file.read_text(encoding="utf-8"))}
    except FileNotFoundError:
        raise SettingsError(f"{file}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not valid TOML: {error}") from None
    for key in told:
        if key not in known:
            raise SettingsError(f"{file}: unknown key {key}; known are {', '.join(known)}")
    try:
        return pydantic.TypeAdapter(Machine).validate_python(told)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise SettingsError(f"{file}: {key + ': ' if key else ''}{first['msg']}") from None


def _told(crawl: CrawlFigures, calibrated: Calibrated) -> list[str]:
    present = sum(size > 0 for size in crawl.class_sizes)
    rates = calibrated.rates
    return [
        f"{crawl.images:,} images: {crawl.train:,} to train on, {crawl.val:,} val, {crawl.test:,} test; "
        f"{present:,} classes, the largest of {crawl.largest_class:,}; {crawl.text_coverage:.0%} have a text",
        f"measured in {calibrated.seconds:.0f} s with {rates.cores} workers: trains {rates.train_images:,.0f} images/s "
        f"on {rates.device}, applies the network to {rates.forward_images:,.0f} images/s "
        f"({rates.forward_flops / 1e9:.2f} GFLOP an image), writes {calibrated.disk_mb_s:,.0f} MB/s",
    ]
