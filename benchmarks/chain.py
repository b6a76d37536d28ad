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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from assets.recipes import BASELINE, RECIPES
from benchmarks.recipes import CRAWL, Bench, best_of, tell
from benchmarks.shopcrawl import ROOT, table
from models.settings import TrainingSettings
from models.stages import Trainer
from pipeline.chain import reductions
from pipeline.ensemble.learn import EnsembleSettings
from pipeline.evaluation import Judged
from pipeline.intervals import METRICS, shares_of
from pipeline.policy.catalogue import RULES
from pipeline.policy.fused import RelabelSettings
from pipeline.policy.policy import Policy
from pipeline.policy.rule import Part
from pipeline.stages.ensemble import LEARNED, make_ensemble
from pipeline.stages.manifest import make_manifest
from pipeline.stages.settled import make_settled
from pipeline.stages.summary import judged_by
from pipeline.stages.verdicts import take_verdicts
from pipeline.storage.artifacts import Artifact, Store
from pipeline.storage.tables import read_table

SECOND: Final = "second-network"
STUDENT: Final = "student"
ENSEMBLE: Final = "learned-ensemble"
CEILING: Final = "true-labels"
#: every image counts 1 as what people found it to be, and nothing where that is none of the classes
AS_FOUND: Final = Policy(parts=(Part(rule=RULES["relabel"], settings=RelabelSettings(floor=1.0, sure=1.0)),))
LEAST_SHARE: Final = 0.1  # of a teacher who is worth asking about every picture


def main() -> None:
    """Train what is not trained yet, print and write the table."""
    options = _options()
    store = Store(options.folder / "evidence-baseline")
    chain = Chain(store, TrainingSettings(network="resnet18", epochs=options.epochs))
    bench = Bench(store)
    best = best_of(bench.probed(options.samples), 4)
    print(f"by their probes: {', '.join(best)}", flush=True)
    truth = Chain(truthful(store, options.folder), chain.settings)
    ceiling = [truth.model(CEILING, AS_FOUND, seed, truth.settings) for seed in options.seeds]
    models = chain.grown(best, options)
    predicted = {name: [chain.predictions(model) for model in own] for name, own in models.items()}
    learned = [chain.learned(f"all-{k}", own) for k, own in enumerate(zip(*models.values(), strict=True))]
    predicted |= {ENSEMBLE: learned, CEILING: [truth.predictions(model) for model in ceiling]}
    judged = {name: [judged_by(artifact)["test"] for artifact in own] for name, own in predicted.items()}
    results = {
        "on test": told(judged),
        "errors": reduced(judged),
        "weights": _weights(predicted[ENSEMBLE], options.seeds),
    }
    for rows in results.values():
        print(f"\n{table(rows)}")
    settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"settings": settings, **results}, indent=1))
    print(f"\nwritten to {options.json}")


class Chain:
    """Trainings over one store."""

    def __init__(self, store: Store, settings: TrainingSettings) -> None:
        """Wire the trainings to the terminal."""
        self.store = store
        self.settings = settings
        self.trainer = Trainer(store, [CRAWL], 1, tell)

    def grown(self, best: Sequence[str], options: argparse.Namespace) -> dict[str, list[Artifact]]:
        """Of every seed: baseline, best recipes, the best by another network, and the student of all these.

        The best of the recipes is the one whose trainings did best on val. The teachers' shares are what they weigh in
        their learned ensemble.
        """
        seeds = options.seeds
        models = {
            name: [self.model(name, RECIPES[name].policy, seed, self.settings) for seed in seeds]
            for name in (BASELINE, *best)
        }
        chosen = max(best, key=lambda name: self._on_val(models[name]))
        print(f"best on val: {chosen}", flush=True)
        policy = RECIPES[chosen].policy
        other = dataclasses.replace(self.settings, network=options.second)
        models[SECOND] = [self.model(SECOND, policy, seed, other) for seed in seeds]
        taught = dataclasses.replace(self.settings, label_share=options.label_share)
        students = []
        for k, seed in enumerate(seeds):
            own = [each[k] for each in models.values()]
            shares = self.learned(f"teachers-{k}", own).facts["weights"]
            print(f"teachers: {shares}", flush=True)
            teachers = [(model, shares[model.partition]) for model in own]
            students.append(
                self.model(STUDENT, policy, seed, taught, [each for each in teachers if each[1] > LEAST_SHARE])
            )
        return models | {STUDENT: students}

    def learned(self, name: str, models: Iterable[Artifact]) -> Artifact:
        """The learned ensemble of some models, in a store of its own beside this one."""
        store = Store(self.store.root.parent / "chain-ensembles" / name)
        return make_ensemble(store, LEARNED, 0, [self.predictions(model) for model in models], EnsembleSettings())

    def _on_val(self, models: Sequence[Artifact]) -> float:
        """Their mean top-1."""
        return float(np.mean([(judged_by(self.predictions(model))["val"].rank == 0).mean() for model in models]))

    def model(
        self,
        name: str,
        policy: Policy,
        seed: int,
        settings: TrainingSettings,
        teachers: Sequence[tuple[Artifact, float]] = (),
    ) -> Artifact:
        """Train under a name on the manifest of a policy and of what people found."""
        print(f"{name}, seed {seed}", flush=True)
        make_manifest(self.store, name, policy, [CRAWL], settled=make_settled(self.store, [CRAWL]))
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
    """One row for each model, percent of test with 95% intervals over images: what it reached, each seed's top-1."""
    steps = reductions({name: shares_of(own) for name, own in judged.items()})
    return [
        {"model": name}
        | {metric: _percent(steps[name][metric], "value") for metric in METRICS}
        | {"seeds": " ".join(f"{100 * float(np.mean(each.rank == 0)):.1f}" for each in own)}
        for name, own in judged.items()
    ]


def reduced(judged: Mapping[str, Sequence[Judged]]) -> list[dict[str, Any]]:
    """One row for each model: percent of the baseline's errors that are gone, with 95% intervals over images."""
    steps = reductions({name: shares_of(own) for name, own in judged.items()})
    return [
        {"model": name} | {f"{metric} errors gone": _percent(own[metric], "reduced") for metric in METRICS}
        for name, own in steps.items()
        if name != BASELINE
    ]


def _percent(row: Mapping[str, Any], name: str) -> str:
    return f"{100 * row[name]:.1f} [{100 * row[f'{name}_low']:.1f}, {100 * row[f'{name}_high']:.1f}]"


def _weights(ensembles: Sequence[Artifact], seeds: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {"seed": seed} | {member.split("@")[0]: f"{weight:.2f}" for member, weight in made.facts["weights"].items()}
        for seed, made in zip(seeds, ensembles, strict=True)
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "shopcrawl")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "chain.json")
    parser.add_argument("--samples", type=int, default=5, help="of the crawl, that each probe is trained on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--second", default="timm:resnet26d", help="network of the second kind")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--label-share", type=float, default=0.5, help="of the label in the student's loss")
    return parser.parse_args()


if __name__ == "__main__":
    main()
