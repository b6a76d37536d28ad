"""The same input, settings and seed again, with other numbers of workers: the same bytes."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.faults.chain import CLASSES, NAME, make_everything
from benchmarks.faults.copies import contents
from benchmarks.faults.stops import check_bytes
from benchmarks.faults.tally import Tally, hold
from models.launch import launch
from models.settings import TrainingSettings
from models.specification import CrawlFolders, TrainingJob
from pipeline.stages.listing import Crawl
from pipeline.storage.artifacts import Store

SETTINGS: Final = TrainingSettings(network="resnet18", epochs=2, batch_size=16)
WEIGHED: Final = ("model.safetensors", "margins/part-00000.parquet")  # a curve also tells seconds


def evidence_again(whole: Store, crawl: Crawl, work: Path, tries: int) -> Tally:
    """From the crawl to the manifest, in another folder, with two workers and with one in turn."""
    tally = Tally("listing to manifest again, with 1 and 2 workers: every byte equal")
    for number in range(tries):
        workers = 2 - number % 2
        store = Store(work / f"again-{number}")
        with tally.attempt(f"{workers} workers"):
            make_everything(store, crawl, workers)
            check_bytes(contents(store), contents(whole))
        shutil.rmtree(store.root, ignore_errors=True)
    return tally


def trainings_again(store: Store, work: Path) -> Iterator[Tally]:
    """A training on the CPU, made anew with as many processes as before."""
    listing, images = store.current("listing", NAME), store.current("images", NAME)
    folders = CrawlFolders(
        listing=listing.table("listing"), images=images.table("images"), pixels=images.table("pixels")
    )
    job = TrainingJob(
        manifest=store.current("manifest", "kmeans-size").table("manifest"),
        crawls=(folders,),
        classes=len(CLASSES),
        settings=SETTINGS,
        seed=3,
        out=work,
    )
    for processes in (1, 2):
        tally = Tally(f"a training again, {processes} processes: weights and margins equal, byte for byte")
        first = _trained(job, work / f"{processes}-first", processes)
        with tally.attempt(f"{processes} processes"):
            again = _trained(job, work / f"{processes}-again", processes)
            hold(again == first, "other bytes")
        yield tally


def _trained(job: TrainingJob, out: Path, processes: int) -> list[bytes]:
    out.mkdir(parents=True)
    file = out / "job.json"
    replace(job, out=out).save(file)
    launch(file, processes, lambda _: None)
    return [(out / name).read_bytes() for name in WEIGHED]
