"""The three recipes over a real crawl with known truth: accuracy, detection, wall time and memory of every stage.

    python benchmarks/shopcrawl.py [--image-size 32] [--epochs 4] [--processes 1] [--seeds 0 1]

Runs `winnow run` (what is already made is not made again), prints the tables of docs/results.md and writes them as
JSON. The truth file is read here, after the run, and nowhere else.
"""

import argparse
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from assets.recipes import DEFAULT_RECIPES
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import read_table

ROOT = Path(__file__).resolve().parents[1]
ARCHIVE = ROOT.parent / "shared" / "data" / "shopcrawl" / "shopcrawl.tar"
METRICS = ("top1", "top5", "class_top1", "class_top5")


def main() -> None:
    """Run the crawl and print what came out."""
    options = _options()
    folder = options.folder.resolve()
    crawl = extracted(folder)
    (folder / "winnow.toml").write_text(
        f"seeds = {options.seeds}\n[images]\nimage_size = {options.image_size}\n"
        f"[training]\nepochs = {options.epochs}\n[run]\nprocesses = {options.processes}\n"
    )
    command = [sys.executable, "-m", "assets.cli", "run", str(crawl), "--config", str(folder / "winnow.toml")]
    subprocess.run([*command, "--store", str(folder / "store")], cwd=ROOT, check=True)
    store = Store(folder / "store")
    results = {
        "accuracy": _accuracy(store),
        "detection": _detection(store, pd.read_csv(folder / "dev.truth.csv")),
        "classes": _classes(store, pd.read_csv(folder / "dev.truth.csv")),
        "stages": _stages(store),
    }
    for name, rows in results.items():
        print(f"\n{name}\n{table(rows)}")
    keep(options, results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "shopcrawl")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "shopcrawl.json")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    return parser.parse_args()


def keep(options: argparse.Namespace, results: Mapping[str, object]) -> None:
    """Write what was found, and by which settings, to `options.json`."""
    settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"settings": settings, **results}, indent=1))
    print(f"\nwritten to {options.json}")


def extracted(folder: Path) -> Path:
    """The crawl's own folder, below `folder`; the truth file lies beside it."""
    if not (folder / "dev").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
    return folder / "dev"


def _accuracy(store: Store) -> list[dict[str, Any]]:
    """Percent, mean over seeds and half the distance between the seeds, per recipe and split."""
    rows = read_table(store.current("summary").table("summary")).to_pandas()
    told = []
    for (recipe, split), group in rows.groupby(["recipe", "split"], sort=False):
        row: dict[str, Any] = {"recipe": recipe, "split": split, "images": int(group.images.iloc[0])}
        for metric in METRICS:
            values = 100 * group[metric].to_numpy()
            row[metric] = f"{values.mean():.1f} ±{np.ptp(values) / 2:.1f}"
        told.append(row)
    return told


def _detection(store: Store, truth: pd.DataFrame) -> list[dict[str, Any]]:
    """How well a low weight tells a wrong label; 0.5 is chance."""
    readable = truth[truth.true_label != -2]
    told = []
    for recipe in DEFAULT_RECIPES:
        table = read_table(store.current("manifest", recipe).table("manifest"), ("path", "weight", "class_index"))
        rows = readable.merge(table.to_pandas(), on="path", validate="one_to_one")
        wrong = (rows.web_label != rows.true_label).to_numpy()
        within = rows.weight / rows.groupby("class_index").weight.transform("mean")
        told.append(
            {
                "recipe": recipe,
                "images": len(rows),
                "wrong": int(wrong.sum()),
                "AUROC": f"{roc_auc_score(wrong, -rows.weight):.3f}",
                "AUROC within classes": f"{roc_auc_score(wrong, -within):.3f}",
                "mean weight, right": f"{rows.weight[~wrong].mean():.3f}",
                "mean weight, wrong": f"{rows.weight[wrong].mean():.3f}",
            }
        )
    return told


def _classes(store: Store, truth: pd.DataFrame) -> list[dict[str, Any]]:
    """How right each class is, and how right its largest cluster: where cluster size is good evidence and where not."""
    columns = ("path", "class_index", "cluster", "cluster_share")
    table = read_table(store.current("manifest", "kmeans-size").table("manifest"), columns).to_pandas()
    rows = truth[truth.true_label != -2].merge(table, on="path", validate="one_to_one")
    rows["right"] = rows.web_label == rows.true_label
    catalogue = read_table(store.current("listing", "dev").table("classes")).to_pandas().set_index("class_index")
    told = []
    for index, own in rows.groupby("class_index"):
        largest = own[own.cluster == 0]
        told.append(
            {
                "class": catalogue.lemmas[index][0],
                "images": len(own),
                "right, %": f"{100 * own.right.mean():.0f}",
                "largest cluster, %": f"{100 * largest.cluster_share.iloc[0]:.0f}",
                "right in it, %": f"{100 * largest.right.mean():.0f}",
            }
        )
    return told


def _stages(store: Store) -> list[dict[str, Any]]:
    """Wall time and peak memory of the work behind the store, summed and maximised over partitions."""
    work = pd.DataFrame(store.work())
    rows = work.groupby("stage", sort=False).agg(
        times=("seconds", "size"), seconds=("seconds", "sum"), peak_mb=("peak_mb", "max")
    )
    return [
        {"stage": stage, "times": int(row.times), "seconds": round(row.seconds, 1), "peak MB": round(row.peak_mb)}
        for stage, row in rows.iterrows()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of equal keys as a Markdown table."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row[name]) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
