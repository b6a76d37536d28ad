"""The whole way on a real crawl: baseline, the best recipes, a second network, distillation, the learned ensemble.

    python -m benchmarks.chain [--folder build/shopcrawl] [--seeds 0 1] [--epochs 4] [--second timm:resnet26d]

The store is that of benchmarks/detection.py, evidence already made. The recipes are those whose probes did best on val
(`winnow search`); everything is reported on test. The ceiling is a training on the true labels, which are told to a
second store as the verdicts of people: what no handling of noisy labels can be expected to pass with one such network.
"""

import argparse
import dataclasses
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from assets.recipes import BASELINE, RECIPES
from benchmarks.recipes import CRAWL, Bench, best_of, tell
from benchmarks.shopcrawl import ROOT, table
from models.settings import TrainingSettings
from models.stages import Trainer
from pipeline.ensemble.learn import EnsembleSettings
from pipeline.evaluation import Judged
from pipeline.intervals import Surety, shares_of, sureties
from pipeline.stages.ensemble import LEARNED, make_ensemble
from pipeline.stages.manifest import make_manifest
from pipeline.stages.settled import make_settled
from pipeline.stages.summary import judged_by
from pipeline.stages.verdicts import take_verdicts
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import read_table

SECOND: Final = "second-network"
STUDENT: Final = "student"
ENSEMBLE: Final = "learned ensemble"
CEILING: Final = "true labels"
TOLD: Final = ("top1", "class_top1", "top5")


def main() -> None:
    """Train what is not trained yet, print and write the table."""
    options = _options()
    store = Store(options.folder / "evidence-baseline")
    chain = Chain(store, TrainingSettings(network="resnet18", epochs=options.epochs))
    bench = Bench(store)
    best = best_of(bench.probed(options.samples), 4)
    print(f"by their probes: {', '.join(best)}", flush=True)
    truth = Chain(truthful(store, options.folder), chain.settings)
    models: dict[str, list[Artifact]] = {}
    for seed in options.seeds:
        for name, model in chain.grown(best, seed, options).items():
            models.setdefault(name, []).append(model)
        models.setdefault(CEILING, []).append(truth.model(CEILING, BASELINE, seed, truth.settings))
    predicted = {
        name: [(truth if name == CEILING else chain).predictions(model) for model in own]
        for name, own in models.items()
    }
    members = [name for name in models if name != CEILING]
    predicted[ENSEMBLE] = [
        make_ensemble(store, LEARNED, seed, [predicted[name][k] for name in members], EnsembleSettings())
        for k, seed in enumerate(options.seeds)
    ]
    judged = {name: [judged_by(artifact)["test"] for artifact in own] for name, own in predicted.items()}
    rows = told(judged)
    weights = _weights(predicted[ENSEMBLE])
    print(f"\n{table(rows)}\n\n{table(weights)}")
    settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"settings": settings, "chain": rows, "weights": weights}, indent=1))
    print(f"\nwritten to {options.json}")


class Chain:
    """Trainings over one store."""

    def __init__(self, store: Store, settings: TrainingSettings) -> None:
        """Wire the trainings to the terminal."""
        self.store = store
        self.settings = settings
        self.trainer = Trainer(store, [CRAWL], 1, tell)

    def grown(self, best: Sequence[str], seed: int, options: argparse.Namespace) -> dict[str, Artifact]:
        """Baseline, best recipes, the best one by another network, and a student of these but the baseline."""
        models = {name: self.model(name, name, seed, self.settings) for name in (BASELINE, *best)}
        other = _with(self.settings, network=options.second)
        models[SECOND] = self.model(SECOND, best[0], seed, other)
        teachers = [(models[name], 1.0) for name in (*best, SECOND)]
        taught = _with(self.settings, teacher_view="stored", label_share=options.label_share)
        return models | {STUDENT: self.model(STUDENT, best[0], seed, taught, teachers)}

    def model(
        self,
        name: str,
        recipe: str,
        seed: int,
        settings: TrainingSettings,
        teachers: Sequence[tuple[Artifact, float]] = (),
    ) -> Artifact:
        """Train under a name on a recipe's manifest."""
        print(f"{name}, seed {seed}", flush=True)
        make_manifest(self.store, name, RECIPES[recipe].policy, [CRAWL])
        return self.trainer.make_model(name, seed, settings, teachers)

    def predictions(self, model: Artifact) -> Artifact:
        """What a model says of the clean splits."""
        return self.trainer.make_predictions(model)


def truthful(store: Store, folder: Path) -> Store:
    """A second store of the same files whose training labels are the true ones, told as the verdicts of people."""
    root = folder / "chain-truth"
    if not root.exists():
        beside = root.with_name(f"{root.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        for name in ("artifacts", "current", "crawls.json"):
            _linked(store.root / name, beside / name)
        beside.rename(root)
    second = Store(root)
    truth = pd.read_csv(folder / "dev.truth.csv")
    classes = read_table(second.current("listing", CRAWL).table("classes"))["wnid"].to_pylist()
    said = ["wrong" if label < 0 else classes[label] for label in truth.true_label]
    file = root / "truth.csv"
    pd.DataFrame({"crawl": CRAWL, "path": truth.path, "verdict": said})[truth.true_label != -2].to_csv(
        file, index=False
    )
    taken = take_verdicts(second, [CRAWL], file)
    settled = make_settled(second, [CRAWL])
    print(f"true labels: verdicts on {taken.images} images, {len(taken.rejected)} refused; {settled.facts}", flush=True)
    return second


def _linked(source: Path, target: Path) -> None:
    """The same files under another folder: published files never change, so that a hard link is a copy."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link)
    else:
        shutil.copy(source, target)


def told(judged: Mapping[str, Sequence[Judged]]) -> list[dict[str, Any]]:
    """One row for each model, percent of test: value [95% interval over images], gain, and errors taken away."""
    sure = sureties({name: shares_of(own) for name, own in judged.items()}, BASELINE)
    return [{"model": name} | _row(sure[name], sure[BASELINE], own) for name, own in judged.items()]


def _row(own: Surety, baseline: Surety, judged: Sequence[Judged]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for metric in TOLD:
        found = own.metrics[metric]
        row[metric] = f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    seeds = [100 * float(np.mean(each.rank == 0)) for each in judged]
    row["seeds"] = " ".join(f"{value:.1f}" for value in seeds)
    gain = own.gains.get("top1")
    row["gain in top1"] = f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]" if gain else ""
    for metric in TOLD:
        less = own.gains[metric].value / (1 - baseline.metrics[metric].value) if own.gains else 0.0
        row[f"{metric} errors less, %"] = f"{100 * less:.0f}" if own.gains else ""
    return row


def _weights(ensembles: Sequence[Artifact]) -> list[dict[str, Any]]:
    return [
        {"ensemble": made.partition}
        | {member.split("@")[0]: f"{weight:.2f}" for member, weight in made.facts["weights"].items()}
        for made in ensembles
    ]


def _with(settings: TrainingSettings, **changed: Any) -> TrainingSettings:
    return dataclasses.replace(settings, **changed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "shopcrawl")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "chain.json")
    parser.add_argument("--samples", type=int, default=5, help="of the crawl, that each probe is trained on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--second", default="timm:resnet26d", help="network of the second kind")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--label-share", type=float, default=0.3, help="of the label in the student's loss")
    return parser.parse_args()


if __name__ == "__main__":
    main()
