"""What every recipe is worth on a real crawl: a linear probe over stored features for all, trainings for the best.

    python benchmarks/recipes.py [--features baseline mobilenet] [--seeds 0 1] [--train 4] [--epochs 4]

The stores are those of benchmarks/detection.py, evidence already made. A probe is trained on each recipe's manifest
with several penalties; val chooses among them, test is reported. Then the recipes whose probes did best, and the
baseline, are trained end to end from the same seeds.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from assets.recipes import BASELINE, RECIPES
from benchmarks.shopcrawl import ROOT, table
from models.probes import ProbesSettings, Trials, probe_logits, standardised, train_probes
from models.specification import TrainingSettings
from models.stages import Trainer
from pipeline.evaluation import label_ranks, score
from pipeline.records import SPLITS
from pipeline.stages.manifest import make_manifest
from pipeline.stages.population import Population, read_population
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import NotMadeError, Store, seeded
from pipeline.storage.tables import read_table

CRAWL = "dev"
CLEAN = ("val", "test")
METRICS = ("top1", "class_top1", "class_top5")


class Bench:
    """A store with all evidence: its images as tensors, and what each recipe makes of them."""

    def __init__(self, store: Store) -> None:
        """Read labels and features of the usable images."""
        self.store = store
        listing, images = store.current("listing", CRAWL), store.current("images", CRAWL)
        self.classes: int = listing.facts["classes"]
        self.population: Population = read_population([listing], [images])
        self.shards = ArrayShards([store.current("features", CRAWL).table("features")])
        self.train = np.flatnonzero(self.population.usable & (self.population.split == SPLITS.index("train")))
        self.training = self._features(self.train)
        self.clean = {name: self._of_split(name) for name in CLEAN}

    def _features(self, rows: npt.NDArray[np.int64]) -> torch.Tensor:
        found = self.shards.gather(self.population.shard[rows], self.population.row[rows])
        return torch.from_numpy(found.astype(np.float32))

    def _of_split(self, split: str) -> tuple[torch.Tensor, npt.NDArray[np.int32]]:
        rows = np.flatnonzero(self.population.usable & (self.population.split == SPLITS.index(split)))
        return standardised(self._features(rows), self.training), self.population.class_index[rows]

    def manifests(self) -> list[str]:
        """Make the manifest of every recipe whose evidence the store has; returns their names."""
        made = []
        for name, recipe in RECIPES.items():
            try:
                make_manifest(self.store, name, recipe.policy, [CRAWL])
            except NotMadeError as error:
                print(f"{name}: left out, {error}")
            else:
                made.append(name)
        return made

    def trials(self, names: list[str]) -> Trials:
        """What the recipes decided of the training images."""
        columns = ("class_index", "weight", "repeats", "stage")
        tables = [read_table(self.store.current("manifest", name).table("manifest"), columns) for name in names]
        read = {
            column: np.stack([table[column].to_numpy()[self.train] for table in tables], axis=1) for column in columns
        }
        counts = read["weight"] * read["repeats"]
        return Trials(
            torch.from_numpy(read["class_index"].astype(np.int64)),
            torch.from_numpy(counts.astype(np.float32)),
            torch.from_numpy(read["stage"].astype(np.int64)),
        )

    def probed(self, names: list[str], seeds: list[int]) -> list[dict[str, Any]]:
        """One row for each recipe, percent of test, in the order of the catalogue."""
        settings, started = ProbesSettings(), time.monotonic()
        features, trials = standardised(self.training, self.training), self.trials(names)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for seed in seeds:
            probes = train_probes(features, trials, self.classes, settings, seed=seed)
            scores = {split: self._scores(probes, split) for split in CLEAN}
            for at, name in enumerate(names):
                chosen = int(np.argmax([one["top1"] for one in scores["val"][at]]))
                found[name].append(scores["test"][at][chosen] | {"val top1": scores["val"][at][chosen]["top1"]})
        print(
            f"{len(names)} recipes x {len(seeds)} seeds x {len(settings.penalties)} penalties over "
            f"{tuple(features.shape)} features in {time.monotonic() - started:.1f} s"
        )
        return [_row(name, found[name], found[BASELINE]) for name in names]

    def _scores(self, probes: torch.Tensor, split: str) -> list[list[dict[str, float]]]:
        """Of each recipe and penalty, percent."""
        features, label = self.clean[split]
        return [[_score(logits.numpy(), label) for logits in each] for each in probe_logits(features, probes)]

    def trained(self, names: list[str], seeds: list[int], settings: TrainingSettings) -> list[dict[str, Any]]:
        """Train end to end; one row for each recipe, percent of test."""
        trainer = Trainer(self.store, [CRAWL], 1, _tell)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for seed in seeds:
            for name in names:
                print(f"training {name}, seed {seed}", flush=True)
                model = trainer.make_model(name, seed, settings)
                table = read_table(trainer.make_predictions(model).table("predictions"))
                told = {split: _of_predictions(table, split) for split in CLEAN}
                found[name].append(told["test"] | {"val top1": told["val"]["top1"]})
                print(f"{seeded(name, seed)}: {found[name][-1]}", flush=True)
        return [_row(name, found[name], found[BASELINE]) for name in names]


def main() -> None:
    """Probe, train, print and write the tables."""
    options = _options()
    results: dict[str, Any] = {}
    for features in options.features:
        bench = Bench(Store(options.folder / f"evidence-{features}"))
        results[features] = bench.probed(bench.manifests(), options.seeds)
        print(f"\nlinear probes over features of {features}\n{table(results[features])}\n", flush=True)
    if options.train or options.recipes:
        bench = Bench(Store(options.folder / f"evidence-{options.features[0]}"))
        chosen = options.recipes or best_of(results[options.features[0]], options.train)
        settings = TrainingSettings(network=options.network, epochs=options.epochs)
        results["end to end"] = bench.trained([BASELINE, *chosen], options.seeds, settings)
        print(f"\nend to end\n{table(results['end to end'])}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    settings_told = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    options.json.write_text(json.dumps({"settings": settings_told, **results}, indent=1))
    print(f"\nwritten to {options.json}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "shopcrawl")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "recipes.json")
    parser.add_argument("--features", nargs="+", choices=["baseline", "mobilenet"], default=["baseline", "mobilenet"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
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


def _tell(event: dict[str, Any]) -> None:
    if event["event"] == "epoch":
        print(f"  epoch {event['epoch']} of {event['epochs']}: {event['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
