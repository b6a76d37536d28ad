"""What ensembles of real trainings are worth: every ensemble of some recipes beside its members, with intervals.

    python benchmarks/ensembles.py STORE [--recipes baseline relabel] [--seeds 0 1]

The store's predictions of the recipes must be made (`winnow run`, or benchmarks/recipes.py). The ensembles are made in
it as `winnow run` makes them; one more, over the models of all seeds together, is told of and not kept.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shopcrawl import ROOT, table
from pipeline.ensemble.learn import EnsembleSettings
from pipeline.intervals import METRICS, shares_of, sureties
from pipeline.stages.ensemble import ENSEMBLES, make_ensemble
from pipeline.stages.summary import BASELINE, judged_by
from pipeline.storage.artifacts import Artifact, Store, seeded

TOLD = ("top1", "top5", "class_top1")


def main() -> None:
    """Make the ensembles and print what they reach."""
    options = _options()
    store = Store(options.store)
    members = {
        seed: [store.current("predictions", seeded(name, seed)) for name in options.recipes] for seed in options.seeds
    }
    predicted = {name: [own[at] for own in members.values()] for at, name in enumerate(options.recipes)}
    seconds: dict[str, float] = {}
    for name in ENSEMBLES:
        started = time.perf_counter()
        predicted[name] = [make_ensemble(store, name, seed, own, EnsembleSettings()) for seed, own in members.items()]
        seconds[name] = (time.perf_counter() - started) / len(members)
    everyone = [member for own in members.values() for member in own]
    with tempfile.TemporaryDirectory() as folder:
        for name in ENSEMBLES[1:]:
            predicted[f"{name}, all seeds"] = [
                make_ensemble(Store(Path(folder)), name, 0, everyone, EnsembleSettings())
            ]
        rows = _rows(predicted)
    weights = [
        {"member": member, "weight": round(weight, 2), "strength per class": made.facts["strength"]}
        for made in predicted[ENSEMBLES[-1]]
        for member, weight in made.facts["weights"].items()
    ]
    took = [{"ensemble": name, "seconds": round(value, 1)} for name, value in seconds.items()]
    for title, told in (
        ("on test", rows),
        ("learned weights", weights),
        ("seconds each, where it was not there yet", took),
    ):
        print(f"\n{title}\n{table(told)}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"test": rows, "weights": weights, "seconds": took}, indent=1))
    print(f"\nwritten to {options.json}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument(
        "--recipes", nargs="+", default=[BASELINE, "class-reweight", "density-curriculum", "fused", "relabel"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "ensembles.json")
    return parser.parse_args()


def _rows(predicted: dict[str, list[Artifact]]) -> list[dict[str, Any]]:
    """One row for each recipe and ensemble, in percent: value [95% interval over images], and the gain in top-1."""
    judged = {name: [judged_by(artifact)["test"] for artifact in own] for name, own in predicted.items()}
    sure = sureties({name: shares_of(own) for name, own in judged.items()}, BASELINE)
    rows = []
    for name, own in judged.items():
        row: dict[str, Any] = {"recipe": name}
        for metric in METRICS:
            found = sure[name].metrics[metric]
            if metric in TOLD:
                row[metric] = f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
        gain = sure[name].gains.get("top1")
        row["gain in top1"] = f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]" if gain else ""
        row["log loss"] = f"{np.mean([each.surprise.mean() for each in own]):.3f}"
        row["calibration error"] = f"{100 * np.mean([each.calibration_error for each in own]):.1f}"
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
