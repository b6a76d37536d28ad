"""Every data stage on a Ray cluster makes the bytes that it makes on threads, whatever happens to the machines."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from benchmarks.faults.chain import CRAWLS, DECODE, NAME, SOURCES, write_crawl
from models.checkpoint import save_model
from models.gang import Gang
from models.networks import build_network
from models.settings import TrainingSettings
from models.specification import EncodingJob, ModelSpecification, read_job
from models.stages import Trainer
from models.worker import run_encoding
from pipeline.engine import Workers
from pipeline.evidence.confusion import ConfusionSettings
from pipeline.evidence.density import DensitySettings
from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.evidence.fusion import FusionSettings
from pipeline.evidence.hdbscan import HdbscanSettings
from pipeline.evidence.keyword import KeywordSettings
from pipeline.evidence.kmeans import KMeansSettings
from pipeline.evidence.neighbours import NeighbourSettings
from pipeline.evidence.probe import OpinionSettings
from pipeline.evidence.rank import RankSettings
from pipeline.evidence.semantic import SemanticSettings
from pipeline.result_tables import MARGINS
from pipeline.stages import classes
from pipeline.stages.aum import make_aum
from pipeline.stages.class_evidence import make_class_evidence
from pipeline.stages.class_sources import class_sources
from pipeline.stages.confusion import make_confusion
from pipeline.stages.duplicates import make_duplicates
from pipeline.stages.evidence import make_evidence
from pipeline.stages.fusion import make_fused
from pipeline.stages.images import make_images
from pipeline.stages.keyword import make_keyword
from pipeline.stages.listing import Crawl, make_listing, picture_files
from pipeline.stages.neighbours import make_neighbours
from pipeline.stages.opinion import make_opinion
from pipeline.stages.rank import make_rank
from pipeline.stages.semantic import make_semantic
from pipeline.storage import shelf
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import read_table, write_table
from tests.posted import Posted
from tests.ray_nodes import connected_to, ray_nodes


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    return write_crawl(tmp_path_factory.mktemp("crawl") / NAME)


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Several stretches, every array in a file of its own, and networks applied here where no cluster does it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as on a cluster
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes, "SHARD_IMAGES", 20)
        patch.setattr(shelf, "LEAST_BYTES", 1)
        patch.setattr("models.stages.launch", _run_here)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def wanted(_small: None, tmp_path_factory: pytest.TempPathFactory, crawl: Crawl) -> dict[str, str]:
    """Of everything, as it is made on threads."""
    store = Store(tmp_path_factory.mktemp("here"))
    everything(store, crawl, 2)
    return digests(store)


def _run_here(path: Path, _processes: int, on_event: Callable[[dict[str, Any]], None]) -> None:
    job = read_job(path)
    assert isinstance(job, EncodingJob)
    run_encoding(job, Gang(), on_event)


def network(store: Store, number: int) -> Artifact:
    """Untrained, and said to have seen the images of even or odd place."""

    def build(draft: Draft) -> Facts:
        told = ModelSpecification(
            settings=TrainingSettings(network="resnet18"),
            seed=number,
            classes=3,
            image_size=DECODE.image_size,
            features=512,
            parameters=1,
        )
        save_model(draft.folder, build_network("resnet18", 3, number), told)
        ids = sorted(read_table(store.current("listing", NAME).table("listing"), ("image_id",))["image_id"].to_pylist())
        seen = [{"image_id": own, "aum": own % 7 - 3.0, "sightings": 2} for own in ids[number::2]]
        path = draft.table("margins") / "part-00000.parquet"
        write_table(path, MARGINS, [pa.Table.from_pylist(seen, schema=MARGINS)])
        draft.finish(0, {each: 1 for each in draft.folder.rglob("*") if each.is_file()})
        return {}

    return store.make("model", f"baseline.fold-{number}@0", f"model-{number}", build)


def encode(store: Store, workers: Workers) -> list[Artifact]:
    """Features of a cross-fitted baseline of two networks."""
    models = [network(store, number) for number in (0, 1)]
    cluster = None if isinstance(workers, int) else workers
    Trainer(store, CRAWLS, 1, lambda _: None, cluster).make_features(NAME, models, workers=workers)
    return models


def gather(store: Store, workers: Workers, models: list[Artifact]) -> None:
    """All evidence."""
    made: list[tuple[Callable[..., object], object]] = [
        (make_duplicates, DuplicateSettings()),
        (make_rank, RankSettings()),
        (make_class_evidence, class_sources(KMeansSettings(clusters=2), DensitySettings(), HdbscanSettings())),
        (make_neighbours, NeighbourSettings(exact_images=10)),
        (make_opinion, OpinionSettings()),
        (make_confusion, ConfusionSettings(least_images=1)),
        (make_aum, models),
        (make_keyword, KeywordSettings()),
        (make_semantic, SemanticSettings()),
    ]
    for make, settings in made:
        make(store, CRAWLS, settings, workers=workers)
    make_fused(store, CRAWLS, [*SOURCES, "aum"], FusionSettings(), workers=workers)
    make_evidence(store, CRAWLS, [*SOURCES, "aum"], workers=workers)


def decode(store: Store, crawl: Crawl, workers: Workers, on_progress: Callable[[int], None] = lambda _: None) -> None:
    listing = make_listing(store, crawl)
    files = picture_files(listing, crawl)
    make_images(store, listing, files, DECODE, workers=workers, on_progress=on_progress)


def everything(
    store: Store, crawl: Crawl, workers: Workers, on_progress: Callable[[int], None] = lambda _: None
) -> None:
    decode(store, crawl, workers, on_progress)
    gather(store, workers, encode(store, workers))


def digests(store: Store) -> dict[str, str]:
    """Of everything that was made."""
    files = [path for path in sorted((store.root / "artifacts").rglob("*")) if path.is_file()]
    return {str(path.relative_to(store.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_what_is_sent_to_other_machines_is_all_that_a_stage_needs(
    tmp_path: Path, crawl: Crawl, wanted: dict[str, str]
) -> None:
    store = Store(tmp_path)
    told: list[int] = []
    everything(store, crawl, Posted(store.root / "scratch"), told.append)
    assert not list((store.root / "scratch").rglob("*.raw"))
    assert digests(store) == wanted
    assert told == [21, 21, 21, 3]


@pytest.mark.slow
def test_every_stage_makes_the_same_bytes(tmp_path: Path, crawl: Crawl, wanted: dict[str, str]) -> None:
    store = Store(tmp_path)
    with ray_nodes(1) as nodes:
        everything(store, crawl, connected_to(nodes, store.root / "scratch"))
    assert digests(store) == wanted


@pytest.mark.slow
def test_a_machine_that_is_lost_costs_no_byte(tmp_path: Path, crawl: Crawl, wanted: dict[str, str]) -> None:
    store = Store(tmp_path)
    with ray_nodes(2) as nodes:
        cluster = connected_to(nodes, store.root / "scratch")
        others = sorted(nodes.worker_nodes, key=str)

        def lose_one(_images: int) -> None:
            if len(nodes.worker_nodes) == 2:
                nodes.remove_node(others[0], allow_graceful=False)

        decode(store, crawl, cluster, lose_one)
        assert len(nodes.worker_nodes) == 1
        models = encode(store, cluster)
        nodes.remove_node(others[1], allow_graceful=False)  # what it was about to be sent goes elsewhere
        gather(store, cluster, models)
    assert digests(store) == wanted
