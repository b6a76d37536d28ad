"""How detection of wrong labels depends on how long the baseline was trained, and on whether it saw the labels.

    python benchmarks/epochs.py [--epochs 1 2 4 8] [--folds 1 5] [--weights ../shared/data/mobilenet_v2]
    python benchmarks/epochs.py --crawl demo --images 500 --epochs 1 --folds 1 2      (a minute, to see that it runs)

A row for each number of epochs and of folds: features of a baseline trained so long (1 fold: on all images; K folds:
K networks, each asked about the fold it never saw), and the evidence made from them by the stages that a run uses. A
row more for frozen weights. Stages that are made stay made, so a killed benchmark goes on where it was. The truth
file is read here, after each row, and nowhere else.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from assets.recipes import BASELINE, recipe_named
from benchmarks.shopcrawl import ROOT, extracted, table
from models.features import FeaturesSettings
from models.settings import TrainingSettings
from models.stages import Trainer, make_extractor
from pipeline.crawl.decode import DecodeSettings
from pipeline.demo.crawl import truth_path, write_demo_crawl
from pipeline.demo.noise import DemoSettings
from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.evidence.neighbours import NeighbourSettings
from pipeline.evidence.probe import OpinionSettings
from pipeline.stages.aum import make_aum
from pipeline.stages.duplicates import make_duplicates
from pipeline.stages.eligible import Fold
from pipeline.stages.images import make_images
from pipeline.stages.listing import Crawl, make_listing, picture_files
from pipeline.stages.manifest import make_manifest
from pipeline.stages.neighbours import make_neighbours
from pipeline.stages.opinion import make_opinion
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import read_table

CRAWL = "crawl"
UNDECODABLE = -2
#: Evidence and its column; the less, the more suspect.
SOURCES = {"neighbours": "agreement", "opinion": "confidence", "aum": "aum"}


@dataclass(frozen=True)
class Bench:
    """A decoded crawl, its truth, and what every row shares."""

    store: Store
    truth: pd.DataFrame  # path, web_label, true_label
    options: argparse.Namespace

    def baseline(self, epochs: int, folds: int, seed: int) -> dict[str, Any]:
        """Train, encode, measure: one row."""
        started = time.monotonic()
        trainer = Trainer(self.store, [CRAWL], self.options.processes, _tell)
        warmup = min(1.0, epochs / 2)  # a training of one epoch would else end at its peak rate
        settings = TrainingSettings(network=self.options.network, epochs=epochs, warmup_epochs=warmup)
        models = []
        for number in range(folds):
            name = BASELINE if folds == 1 else f"{BASELINE}.fold-{number}"
            held_out = None if folds == 1 else Fold(number=number, folds=folds, seed=0)
            make_manifest(self.store, name, recipe_named(BASELINE).policy, [CRAWL], held_out)
            print(f"training {name}, {epochs} epochs, seed {seed}", flush=True)
            models.append(trainer.make_model(name, seed, settings))
        trainer.make_features(CRAWL, models, workers=self.options.workers)
        aum = make_aum(self.store, [CRAWL], models, workers=self.options.workers)
        told = {"features": "baseline", "epochs": epochs, "folds": folds, "seed": seed}
        told["val top-1, %"] = f"{100 * np.mean([model.facts['top1_val'] for model in models]):.1f}"
        return told | self._detection(aum) | {"seconds": round(time.monotonic() - started)}

    def frozen(self, weights: str) -> dict[str, Any]:
        """Encode with a user's weights, measure: one row."""
        started = time.monotonic()
        trainer = Trainer(self.store, [CRAWL], self.options.processes, _tell)
        trainer.make_features(CRAWL, [make_extractor(self.store, FeaturesSettings(weights=weights))])
        told = {"features": Path(weights).name, "epochs": "", "folds": "", "seed": "", "val top-1, %": ""}
        return told | self._detection(None) | {"seconds": round(time.monotonic() - started)}

    def _detection(self, aum: Artifact | None) -> dict[str, str]:
        workers = self.options.workers
        made = {
            "neighbours": make_neighbours(self.store, [CRAWL], NeighbourSettings(), workers=workers),
            "opinion": make_opinion(self.store, [CRAWL], OpinionSettings(), workers=workers),
        }
        if aum is not None:
            made["aum"] = aum
        paths = read_table(self.store.current("listing", CRAWL).table("listing"), ("image_id", "path")).to_pandas()
        rows = paths.merge(self.truth, on="path", validate="one_to_one")
        told: dict[str, str] = {}
        for name, column in SOURCES.items():
            measured = ("", "")
            if name in made:
                found = read_table(made[name].table("evidence"), ("image_id", column)).to_pandas()
                measured = _measured(found.merge(rows, on="image_id", validate="one_to_one"), column)
            told |= dict(zip((f"{column} AUROC", f"{column} AP"), measured, strict=True))
        return told


def main() -> None:
    """Make the rows one after another; print and write them after each."""
    options = _options()
    bench = _prepared(options)
    rows: list[dict[str, Any]] = []
    for weights in options.weights:
        _add(rows, bench.frozen(weights), options)
    for seed in options.seeds:
        for epochs in options.epochs:
            for folds in options.folds:
                _add(rows, bench.baseline(epochs, folds, seed), options)
    print(f"\n{table(rows)}\n\nwritten to {options.json}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "epochs")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "epochs.json")
    parser.add_argument("--crawl", choices=["shopcrawl", "demo"], default="shopcrawl")
    parser.add_argument("--images", type=int, default=2400, help="training images of the demo's crawl, at least 500")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--folds", type=int, nargs="+", default=[1], help="1 is the plain baseline")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--weights", nargs="*", default=[], help="frozen MobileNetV2 weights, a file or its folder")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def _prepared(options: argparse.Namespace) -> Bench:
    """The crawl listed, decoded and searched for doubles."""
    folder = options.folder.resolve() / (f"demo-{options.images}" if options.crawl == "demo" else "shopcrawl")
    if options.crawl == "demo":
        where = folder / "crawl"
        if not where.exists():
            write_demo_crawl(where, DemoSettings(train_images=options.images))
        truth = pd.read_csv(truth_path(where))
    else:
        where = extracted(folder)
        truth = pd.read_csv(folder / "dev.truth.csv")
    store = Store(folder / f"store-{options.image_size}")
    crawl = Crawl(name=CRAWL, address=str(where))
    listing = make_listing(store, crawl)
    images = DecodeSettings(image_size=options.image_size)
    make_images(store, listing, picture_files(listing, crawl), images, workers=options.workers)
    make_duplicates(store, [CRAWL], DuplicateSettings(), workers=options.workers)
    return Bench(store, truth[truth.true_label != UNDECODABLE], options)


def _measured(rows: pd.DataFrame, column: str) -> tuple[str, str]:
    """AUROC and average precision of a low value for "the label is wrong"; an unknown value stands in the middle."""
    wrong = (rows.web_label != rows.true_label).to_numpy()
    score = -rows[column].fillna(rows[column].median()).to_numpy(np.float64)
    return f"{roc_auc_score(wrong, score):.3f}", f"{average_precision_score(wrong, score):.3f}"


def _add(rows: list[dict[str, Any]], row: dict[str, Any], options: argparse.Namespace) -> None:
    rows.append(row)
    print(table([row]), flush=True)
    settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1))


def _tell(event: dict[str, Any]) -> None:
    if event["event"] == "epoch":
        val = event["val_top1"]
        print(f"  epoch {event['epoch']} of {event['epochs']}: loss {event['loss']:.3f}, val top-1 {val}", flush=True)


if __name__ == "__main__":
    main()
