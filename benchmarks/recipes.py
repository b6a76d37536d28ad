"""What every recipe is worth on a real crawl: a linear probe over stored features for all, trainings for the best.

    python benchmarks/recipes.py [--features baseline mobilenet] [--seeds 0 1] [--train 4] [--epochs 4]

The stores are those of benchmarks/detection.py, evidence already made. `winnow search` tries each recipe over both
kinds of features. Then the recipes whose probes did best, and the baseline, are trained end to end from the same seeds.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import spearmanr

from assets.recipes import BASELINE, RECIPES
from benchmarks.shopcrawl import ROOT, table
from models.search import make_search
from models.search_settings import SearchSettings
from models.settings import TrainingSettings
from models.stages import Trainer
from pipeline.evaluation import label_ranks, score
from pipeline.stages.manifest import make_manifest
from pipeline.storage.artifacts import NotMadeError, Store, seeded
from pipeline.storage.tables import read_table

CRAWL = "dev"
CLEAN = ("val", "test")
CLOSE = 2.5  # points of top-1
METRICS = ("top1", "class_top1", "class_top5")


class Bench:
    """A store with all evidence, and what each recipe is worth on it."""

    def __init__(self, store: Store) -> None:
        """Learn which recipes the store has evidence for, and make their manifests."""
        self.store = store
        self.recipes = []
        for name, recipe in RECIPES.items():
            if recipe.teachers:  # whose worth is its teachers', not its manifest's
                continue
            try:
                make_manifest(store, name, recipe.policy, [CRAWL])
            except NotMadeError as error:
                print(f"{name}: left out, {error}")
            else:
                self.recipes.append(name)

    def probed(self, samples: int) -> list[dict[str, Any]]:
        """One row for each recipe, percent of val, in the order of the catalogue."""
        started = time.monotonic()
        found = make_search(self.store, [CRAWL], self.recipes, SearchSettings(samples=samples))
        if found.made:
            print(f"{len(self.recipes)} recipes x {samples} samples in {time.monotonic() - started:.1f} s")
        return [
            {
                "recipe": row["recipe"],
                "published top-5": RECIPES[row["recipe"]].published or "-",
                "val top1": f"{100 * row['top1']:.1f}",
                "val class_top1": f"{100 * row['class_top1']:.1f}",
                "gain in val top1": f"{100 * row['gain']:+.1f}",
                "95% interval": f"{100 * row['gain_low']:+.1f} to {100 * row['gain_high']:+.1f}",
                "better, %": round(100 * row["better"]),
            }
            for row in read_table(found.table("search")).to_pylist()
        ]

    def trained(self, names: list[str], seeds: list[int], settings: TrainingSettings) -> list[dict[str, Any]]:
        """Train end to end; one row for each recipe, percent of test."""
        trainer = Trainer(self.store, [CRAWL], 1, tell)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for seed in seeds:
            for name in names:
                print(f"training {name}, seed {seed}", flush=True)
                model = trainer.make_model(name, seed, dataclasses.replace(settings, **RECIPES[name].training))
                table = read_table(trainer.make_predictions(model).table("predictions"))
                told = {split: _of_predictions(table, split) for split in CLEAN}
                found[name].append(told["test"] | {"val top1": told["val"]["top1"]})
                print(f"{seeded(name, seed)}: {found[name][-1]}", flush=True)
        return [_row(name, found[name], found[BASELINE]) for name in names]


def main() -> None:
    """Probe, train, print and write the tables."""
    options = _options()
    results: dict[str, Any] = {}
    benches = {name: Bench(Store(options.folder / f"evidence-{name}")) for name in options.features}
    for features, bench in benches.items():
        results[features] = bench.probed(options.samples)
        print(f"\nlinear probes over features of {features}\n{table(results[features])}\n", flush=True)
    if options.train or options.recipes:
        first = options.features[0]
        chosen = options.recipes or best_of(results[first], options.train)
        settings = TrainingSettings(network=options.network, epochs=options.epochs)
        results["end to end"] = benches[first].trained([BASELINE, *chosen], options.seeds, settings)
        results["agreement"] = _agreement(results[first], results["end to end"])
        print(f"\nend to end\n{table(results['end to end'])}\n\n{results['agreement']}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    settings_told = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    options.json.write_text(json.dumps({"settings": settings_told, **results}, indent=1))
    print(f"\nwritten to {options.json}")


def _agreement(probed: list[dict[str, Any]], trained: list[dict[str, Any]]) -> str:
    """Rank correlation of probes and whole trainings over the recipes that have both, and over those that lie close."""
    probes = {row["recipe"]: float(row["val top1"]) for row in probed}
    close = [row for row in trained if abs(probes[row["recipe"]] - probes[BASELINE]) <= CLOSE]
    all_told, close_told = (f"{len(rows)} recipes: Spearman {_spearman(probes, rows):.2f}" for rows in (trained, close))
    return (
        f"val top-1 of probes and of whole trainings, {all_told}; "
        f"those whose probes are within {CLOSE:g} points of the baseline's, {close_told}"
    )


def _spearman(probes: dict[str, float], trained: list[dict[str, Any]]) -> float:
    whole = [float(row["val top1"].split()[0]) for row in trained]
    return float(spearmanr([probes[row["recipe"]] for row in trained], whole).statistic)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "shopcrawl")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "recipes.json")
    parser.add_argument("--features", nargs="+", choices=["baseline", "mobilenet"], default=["baseline", "mobilenet"])
    parser.add_argument("--samples", type=int, default=5, help="of the crawl, that each probe is trained on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the whole trainings")
    parser.add_argument("--train", type=int, default=4, help="recipes to train end to end, the best by their probes")
    parser.add_argument("--recipes", nargs="*", default=[], help="train these instead")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--epochs", type=int, default=4)
    return parser.parse_args()


def best_of(rows: list[dict[str, Any]], count: int) -> list[str]:
    """The recipes whose probes did best on val, the baseline aside."""
    others = [row for row in rows if row["recipe"] != BASELINE]
    return [row["recipe"] for row in sorted(others, key=lambda row: -float(row["val top1"].split()[0]))[:count]]


def _score(logits: npt.NDArray[np.float32], label: npt.NDArray[np.int32]) -> dict[str, float]:
    found = score(label_ranks(logits, label), label)
    return {metric: 100 * getattr(found, metric) for metric in METRICS}


def _of_predictions(predictions: pa.Table, split: str) -> dict[str, float]:
    own = predictions.filter(pc.equal(predictions["split"], split))
    label = own["class_index"].to_numpy()
    logits = own["logits"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(len(label), -1)
    return _score(logits.astype(np.float32), label)


def _row(name: str, seeds: list[dict[str, float]], baseline: list[dict[str, float]]) -> dict[str, Any]:
    """Mean over the seeds and half their distance; the gain over the baseline from the same seeds."""
    published = RECIPES[name].published
    row: dict[str, Any] = {"recipe": name, "published top-5": published if published is not None else "-"}
    for metric in ("val top1", *METRICS):
        values = [told[metric] for told in seeds]
        row[metric] = f"{np.mean(values):.1f} ±{np.ptp(values) / 2:.1f}"
    gains = [own["top1"] - other["top1"] for own, other in zip(seeds, baseline, strict=True)]
    return row | {"gain in top1": f"{np.mean(gains):+.1f}"}


def tell(event: dict[str, Any]) -> None:
    """Print the end of each epoch."""
    if event["event"] == "epoch":
        print(f"  epoch {event['epoch']} of {event['epochs']}: {event['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
