"""A run made up by hand, published as the real stages publish it, and what a browser makes of its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.evidence_tables import EVIDENCE
from pipeline.records import CLASSES, IMAGES, LISTING, MANIFEST
from pipeline.report.page import RecipeNote
from pipeline.result_tables import CURVE, predictions
from pipeline.stages.report import ReportSettings, make_report, report_page
from pipeline.stages.summary import make_summary
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import Store, seeded
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import write_table

RECIPES = ["baseline", "weighed"]
HOSTILE = "<script>alert(1)</script><img src=http://evil.example/x.png onerror=alert(2)>"
NAMES = ["cat", 'dog"><script>alert(3)</script>', "empty"]

NONE = "\N{EN DASH}"  # stands for "no figure", and between a lowest and a highest

Row = dict[str, Any]


@dataclass(frozen=True)
class Image:
    """One listed image of the made-up crawl."""

    class_index: int
    split: str = "train"
    weight: float = 0.0
    cluster: int = 0
    reason: str | None = None
    path: str | None = None


#: Class 0: weights 1.5 1.5 0.25 (mean 1.083: one looks wrong). Class 1: one usable, one broken. Class 2: nothing.
CRAWL = [
    Image(0, weight=1.5),
    Image(0, weight=1.5),
    Image(0, weight=0.25, cluster=1),
    Image(1, weight=0.75),
    Image(1, reason="broken", path="pic\u202egpj.exe"),
    *[Image(0, "val")] * 2,
    *[Image(0, "test")] * 2,
    *[Image(1, "test")] * 2,
    Image(1, "val", reason="missing"),
]
#: Which of the four test images each recipe and seed recognises, and which of the two val images.
RIGHT = {
    ("baseline", 0): ([1, 1, 0, 0], [1, 0]),
    ("baseline", 1): ([1, 0, 0, 0], [1, 0]),
    ("weighed", 0): ([1, 1, 1, 0], [1, 1]),
    ("weighed", 1): ([1, 1, 1, 1], [1, 1]),
}


def publish(draft: Draft, name: str, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> Path:
    path = draft.table(name) / "part-00000.parquet"
    whole = [{**dict.fromkeys(schema.names), **row} for row in rows]
    write_table(path, schema, [pa.Table.from_pylist(whole, schema=schema)])
    return path


def ids(crawl: str, images: Sequence[Image]) -> list[int]:
    return [1000 * len(crawl) + k for k in range(len(images))]


def add_listing(store: Store, crawl: str, images: Sequence[Image]) -> None:
    rows: list[Row] = [
        {"image_id": own, "crawl": crawl, "path": image.path or f"{k}.jpg", "class_index": image.class_index}
        | {"split": image.split, "rank": k + 1, "title": HOSTILE if k == 0 else f"title {k}"}
        for k, (own, image) in enumerate(zip(ids(crawl, images), images, strict=True))
    ]
    classes = [{"class_index": k, "wnid": f"n{k}", "lemmas": [name], "gloss": "a & b"} for k, name in enumerate(NAMES)]

    def build(draft: Draft) -> Facts:
        draft.finish(0, {publish(draft, "listing", LISTING, rows): 0, publish(draft, "classes", CLASSES, classes): 0})
        return {"classes": len(NAMES)}

    store.make("listing", crawl, "l", build)


def add_images(store: Store, crawl: str, images: Sequence[Image]) -> None:
    usable = np.cumsum([image.reason is None for image in images])
    rows: list[Row] = [
        {"image_id": own, "status": "usable", "shard": 0, "row": int(usable[k]) - 1}
        if image.reason is None
        else {"image_id": own, "status": "quarantined", "reason": image.reason, "detail": HOSTILE}
        for k, (own, image) in enumerate(zip(ids(crawl, images), images, strict=True))
    ]

    def build(draft: Draft) -> Facts:
        pixels = draft.table("pixels") / "part-00000.npy"
        with write_array(pixels, (int(usable[-1]), 16, 16, 3), np.uint8) as out:
            out[:] = np.arange(usable[-1])[:, None, None, None] * 20
        draft.finish(0, {publish(draft, "images", IMAGES, rows): 0, pixels: 0})
        return {}

    store.make("images", crawl, "i", build)


def add_crawl(store: Store, crawl: str, images: Sequence[Image]) -> None:
    add_listing(store, crawl, images)
    add_images(store, crawl, images)


def add_tables(store: Store, stage: str, partition: str, name: str, schema: pa.Schema, rows: Sequence[Row]) -> None:
    def build(draft: Draft) -> Facts:
        draft.finish(0, {publish(draft, name, schema, rows): len(rows)})
        return {}

    store.make(stage, partition, "t", build)


def add_weights(store: Store, crawl: str, images: Sequence[Image]) -> None:
    own = [(k, image) for k, image in zip(ids(crawl, images), images, strict=True)]
    manifest = [
        {"image_id": k, "path": "x", "class_index": image.class_index, "weight": image.weight, "repeats": 1}
        | {"stage": 0, "kept": image.weight > 0, "reason": "so"}
        for k, image in own
    ]
    add_tables(store, "manifest", "weighed", "manifest", MANIFEST, manifest)
    trained = [(k, image) for k, image in own if image.split == "train" and image.reason is None]
    clusters = [{"image_id": k, "cluster": image.cluster, "cluster_share": 0.5, "distance": 0} for k, image in trained]
    add_tables(store, "evidence-kmeans", "all", "evidence", EVIDENCE["kmeans"], clusters)


def add_features(store: Store, crawl: str, images: Sequence[Image]) -> None:
    usable = sum(image.reason is None for image in images)

    def build(draft: Draft) -> Facts:
        path = draft.table("features") / "part-00000.npy"
        with write_array(path, (usable, 2), np.float16) as out:
            out[:] = np.arange(2 * usable).reshape(usable, 2) ** 2 % 7
        draft.finish(0, {path: usable})
        return {}

    store.make("features", crawl, "f", build)


#: By source, what it says of the images of CRAWL that are trained on: cats 0, 1 and 2, then the only dog. The tables
#: hold nothing of columns left out here.
SAID: dict[str, dict[str, list[Any]]] = {
    "duplicates": {
        "duplicate_group": [0, 4000, 2, 3],
        "training_copies": [1] * 4,
        "leak": [False, True, False, False],
        "exact_copies": [0] * 4,
        "near_copies": [0, 1, 0, 0],
    },
    "rank": {"position": [1, 2, 3, None], "top_ranked": [True, True, False, False]},
    "kmeans": {
        "cluster": [0, 0, 1, 0],
        "cluster_share": [0.75, 0.75, 0.25, 1.0],
        "distance": [1.0] * 4,
        "cluster_compactness": [0.5, 0.5, 0.0, None],
        "cluster_top_distance": [0.25, 0.25, 2.0, None],
    },
    "density": {"density": [2.0, 1.0, 0.0, None], "density_level": [0, 1, 2, -1]},
    "hdbscan": {
        "hdbscan_cluster": [0, 0, -1, -1],
        "membership": [1.0, 0.5, 0.0, 0.0],
        "outlier": [0.0, 0.25, 0.875, 1.0],
    },
    "neighbours": {
        "agreement": [0.75, 0.5, 0.0, None],
        "neighbour_class": [0, 0, 1, None],
        "neighbour_share": [0.75, 0.5, 1.0, None],
        "neighbour_similarity": [0.5] * 4,
    },
    "opinion": {
        "fold": [0] * 4,
        "confidence": [0.875, 0.25, 0.125, 0.5],
        "margin": [0.75, -0.25, -0.75, 0.0],
        "predicted_class": [0, 1, 1, 1],
        "label_issue": [False, False, True, False],
    },
    "aum": {"aum": [2.0, 1.0, -3.0, None], "sightings": [2, 2, 2, 0]},
    "confusion": {
        "confused_group": [0] * 4,
        "joint_cluster": [0, 0, 1, 0],
        "owner_class": [0, 0, 1, 0],
        "owner_share": [0.625, 0.625, 1.0, 0.625],
        "own_share": [0.625, 0.625, 0.0, 0.375],
    },
    "keyword": {
        "keyword": [0.75, None, 0.0, 0.5],
        "keyword_other": [0.0, None, 0.5, 0.0],
        "keyword_class": [None, None, 1, None],
    },
    "semantic": {
        "semantic": [0.5, None, 0.125, 0.25],
        "semantic_other": [0.25, None, 0.375, 0.0],
        "semantic_class": [1, None, 1, 0],
    },
    "fused": {
        "right_probability": [1.0, 0.75, 0.25, 0.5],
        "fused_class": [0, 0, 1, None],
        "fused_probability": [1.0, 0.75, 0.5, None],
        "query_right_share": [0.5, 0.5, 0.5, 0.5],
        "class_right_share": [0.5, 0.5, 0.5, 0.5],
    },
}


def add_evidence(store: Store, crawl: str, images: Sequence[Image], sources: Sequence[str] = tuple(SAID)) -> None:
    """Publish SAID of a crawl that begins as CRAWL does, with the tables beside it that some sources have."""
    add_features(store, crawl, images)
    every = ids(crawl, images)
    own = [every[0], every[1], every[2], every[3]]
    beside: dict[str, dict[str, list[Row]]] = {
        "duplicates": {"groups": [_double(every, 1, "train"), _double(every, 7, "test")]},
        "neighbours": {"nearest": [{"image_id": k, "neighbours": [i for i in own if i != k]} for k in own]},
        "opinion": {"classes": [{"class_index": 0, "right_share": 0.625}, {"class_index": 1, "right_share": None}]},
        "confusion": {
            "pairs": [{"class_a": 0, "class_b": 1, "a_as_b": 1, "b_as_a": 0, "rate": 0.375}],
            "groups": [{"confused_group": 0, "class_index": 0}, {"confused_group": 0, "class_index": 1}],
        },
        "fused": {
            "queries": [
                {"crawl": crawl, "query_id": 7, "class_index": 0, "images": 2, "right_share": 0.875},
                {"crawl": crawl, "query_id": None, "class_index": 1, "images": 1, "right_share": 0.5},
                {"crawl": crawl, "query_id": 8, "class_index": 0, "images": 1, "right_share": 0.25},
            ],
            "classes": [
                {"class_index": 0, "images": 3, "right_share": 0.625},
                {"class_index": 1, "images": 1, "right_share": 0.5},
            ],
        },
    }

    def build(source: str, draft: Draft) -> Facts:
        columns = SAID[source]
        rows = [{name: values[k] for name, values in columns.items()} | {"image_id": own[k]} for k in range(4)]
        files = {publish(draft, "evidence", EVIDENCE[source], rows): 4}
        for name, told in beside.get(source, {}).items():
            table = pa.Table.from_pylist(told)
            path = draft.table(name) / "part-00000.parquet"
            files[path] = write_table(path, table.schema, [table])
        draft.finish(0, files)
        return {"images": 4, "rounds": 1, "verified": 0}

    for source in sources:
        store.make(f"evidence-{source}", "all", "e", partial(build, source))


def _double(every: Sequence[int], k: int, split: str) -> Row:
    return {
        "duplicate_group": 4001,
        "image_id": every[k],
        "class_index": 0,
        "split": split,
        "exact": False,
        "leak": True,
    }


def add_training(store: Store, splits: Sequence[str] = ("val", "test")) -> None:
    tested = [
        (own, image)
        for own, image in zip(ids("shop", CRAWL), CRAWL, strict=True)
        if image.split in splits and image.reason is None
    ]
    for (recipe, seed), (test, val) in RIGHT.items():
        queue = {"test": list(test), "val": list(val)}
        rows = []
        for own, image in tested:
            logits = [0.0, 0.0, 0.0]
            logits[image.class_index if queue[image.split].pop(0) else 2] = 1.0
            told = {"image_id": own, "seed": seed, "split": image.split, "class_index": image.class_index}
            rows.append(told | {"logits": np.array(logits, np.float16)})
        add_tables(store, "predictions", seeded(recipe, seed), "predictions", predictions(3), rows)
        curve = [
            {"seed": seed, "epoch": epoch, "images": 4 * epoch, "loss": 1 / epoch, "learning_rate": 0.1, "seconds": 1.0}
            | ({"val_top1": 0.25 * epoch} if "val" in splits else {})
            for epoch in (1, 2, 3)
        ]
        add_tables(store, "model", seeded(recipe, seed), "curve", CURVE, curve)
    make_summary(store, RECIPES, [0, 1])


class Reader(HTMLParser):
    """What a browser would make of the page: its elements, the cells of its tables, and all of its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[list[str]]] = []  # of each table row, the pieces of text of each cell
        self.pieces: list[str] = []
        self.inside = False
        self.feed(html)
        self.words = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.cells.append([])
        elif tag in {"td", "th"}:
            self.cells[-1].append([])
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)
        if self.inside:
            self.cells[-1][-1].append(data)

    def row(self, *start: str) -> list[str]:
        """The first table row whose first cell holds the first word and which holds all the others."""
        told = [[" ".join(" ".join(cell).split()) for cell in row] for row in self.cells]
        return next(row for row in told if row and start[0] in row[0] and all(word in row for word in start[1:]))


NOTES = {"baseline": RecipeNote("baseline", 73.6, "Every image counts.", "A slide")}


def read(store: Store, recipes: Sequence[str] = RECIPES, settings: ReportSettings | None = None) -> Reader:
    """All pages of the report, one after another, the entry page first."""
    make_report(store, recipes, NOTES, settings)
    return Reader("".join(pages(store).values()))


def pages(store: Store) -> dict[str, str]:
    """The pages of the report by their path, the entry page first."""
    folder = report_page(store).parent
    found = sorted(
        folder.rglob("*.html"), key=lambda path: (len(path.relative_to(folder).parts), path != report_page(store), path)
    )
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in found}


def shown(store: Store, name: str) -> Reader:
    """One page of the report as it is."""
    return Reader(pages(store)[name])
