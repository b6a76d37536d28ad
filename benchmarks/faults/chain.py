"""A tiny crawl, and every stage over it, a network's training and encoding made up: what the faults are done to."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from safetensors.numpy import save

from assets.recipes import RECIPES
from pipeline.crawl.decode import DecodeSettings
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
from pipeline.stages.class_evidence import make_class_evidence
from pipeline.stages.class_sources import class_sources
from pipeline.stages.confusion import make_confusion
from pipeline.stages.duplicates import make_duplicates
from pipeline.stages.evidence import make_evidence
from pipeline.stages.fusion import make_fused
from pipeline.stages.fusion_tables import Verified
from pipeline.stages.images import make_images
from pipeline.stages.keyword import make_keyword
from pipeline.stages.listing import Crawl, make_listing, picture_files
from pipeline.stages.manifest import make_manifest
from pipeline.stages.neighbours import make_neighbours
from pipeline.stages.opinion import make_opinion
from pipeline.stages.rank import make_rank
from pipeline.stages.semantic import make_semantic
from pipeline.stages.settled import make_settled
from pipeline.storage.arrays import open_array, write_array
from pipeline.storage.artifacts import Store, identity, inputs_of
from pipeline.storage.atomic import atomic_file
from pipeline.storage.documents import change_document
from pipeline.storage.draft import Draft, Facts

NAME: Final = "tiny"
CRAWLS: Final = [NAME]
CLASSES: Final = ("apple", "boat", "cat")
DECODE: Final = DecodeSettings(image_size=128, shard_mb=1)  # 21 images a shard
SOURCES: Final = ["rank", "kmeans", "density", "hdbscan", "neighbours", "opinion", "confusion", "keyword", "semantic"]


def write_crawl(folder: Path) -> Crawl:
    """Sixty-six noisy pictures of three classes with titles, one of them broken, one missing, told by a table."""
    folder.mkdir(parents=True)
    rows = []
    for number in range(66):
        label, split = CLASSES[number % 3], "train" if number < 60 else ("val", "test")[number % 2]
        rows.append({"path": f"{number:02d}.png", "label": label, "split": split, "rank": number // 3 + 1})
        rows[-1] |= {"title": f"a {label} number {number}", "query": label, "source": "made up"}
        _draw(folder / f"{number:02d}.png", number)
    (folder / "07.png").write_bytes(b"no picture")
    (folder / "08.png").unlink()
    (folder / "list.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return Crawl(NAME, str(folder))


def _draw(path: Path, number: int) -> None:
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 90, (40, 40, 3)) + 80 * np.eye(3, dtype=int)[number % 3]
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def reading(store: Store, crawl: Crawl, workers: int = 1) -> None:
    """The stages that read the crawl."""
    listing = make_listing(store, crawl)
    make_images(store, listing, picture_files(listing, crawl), DECODE, workers=workers)


def stages(workers: int = 1) -> dict[str, Callable[[Store], object]]:
    """Every stage after the pictures are read, by what it makes first: all evidence and a manifest, in their order."""
    inside = class_sources(KMeansSettings(clusters=2), DensitySettings(), HdbscanSettings())
    gathered: dict[str, Callable[..., object]] = {
        "evidence-duplicates": partial(_gather, workers, make_duplicates, DuplicateSettings()),
        "evidence-rank": partial(_gather, workers, make_rank, RankSettings()),
        "evidence-kmeans": partial(_gather, workers, make_class_evidence, inside),
        "evidence-neighbours": partial(_gather, workers, make_neighbours, NeighbourSettings()),
        "evidence-opinion": partial(_gather, workers, make_opinion, OpinionSettings()),
        "evidence-confusion": partial(_gather, workers, make_confusion, ConfusionSettings()),
        "evidence-keyword": partial(_gather, workers, make_keyword, KeywordSettings()),
        "evidence-semantic": partial(_gather, workers, make_semantic, SemanticSettings()),
    }
    policy = RECIPES["kmeans-size"].policy
    return {
        "model": make_weights,
        "features": make_features,
        **gathered,
        "settled": lambda store: make_settled(store, CRAWLS),
        "evidence-fused": lambda store: make_fused(
            store, CRAWLS, SOURCES, FusionSettings(), Verified.read(store.current("settled")), workers=workers
        ),
        "evidence": lambda store: make_evidence(store, CRAWLS, SOURCES, workers=workers),
        "manifest": lambda store: make_manifest(store, "kmeans-size", policy, CRAWLS, settled=store.current("settled")),
    }


def _gather(workers: int, make: Callable[..., object], settings: object, store: Store) -> object:
    return make(store, CRAWLS, settings, workers=workers)


def make_features(store: Store) -> None:
    """A vector of sixteen means an image, in the place of a network's."""
    images = store.current("images", NAME)

    def build(draft: Draft) -> Facts:
        for number, part in enumerate(sorted(images.table("pixels").glob("part-*.npy"))):
            if draft.finished(number) is None:
                pixels = open_array(part)
                path = draft.table("features") / part.name
                with write_array(path, (len(pixels), 16), np.float16) as out:
                    out[:] = pixels.reshape(len(pixels), 4, 32, 4, 32, 3).mean((2, 4, 5)).reshape(-1, 16) / 255
                draft.finish(number, {path: len(pixels)})
        return {"images": images.facts["usable"]}

    store.make("features", NAME, identity("features", "made up", {}, inputs_of([images])), build)


def make_weights(store: Store) -> None:
    """A file of weights, in the place of a training's."""

    def build(draft: Draft) -> Facts:
        if draft.finished(0) is None:
            path = draft.folder / "model.safetensors"
            with atomic_file(path) as temporary:
                temporary.write_bytes(save({"weight": np.arange(4096, dtype=np.float32).reshape(64, 64)}))
            draft.finish(0, {path: 1})
        return {"epochs": 1}

    store.make("model", "tiny@0", identity("model", "made up", {}, []), build)


def make_everything(store: Store, crawl: Crawl, workers: int = 1) -> None:
    """All of it, and the documents that a run leaves."""
    change_document(store.root, "settings", {}, lambda _: {})
    change_document(store.root, "crawls", {}, lambda _: {crawl.name: {"name": crawl.name, "address": crawl.address}})
    reading(store, crawl, workers)
    for make in stages(workers).values():
        make(store)
