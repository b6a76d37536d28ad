"""Human label noise: CIFAR-10N, a crawl without text or rank: wrong labels found, networks trained with our weights.

    python -m benchmarks.cifar10n prepare [--images 5000]
    python -m benchmarks.cifar10n detect  [--images 5000] [--network resnet18] [--epochs 8] [--folds 1]
    python -m benchmarks.cifar10n train   [--images 5000] [--network resnet18] [--epochs 8] [--seeds 0 1]
    python -m benchmarks.cifar10n ceiling [the same]       # and one more, with the truth told as verdicts
    python -m benchmarks.cifar10n train --images 50000 --network resnet18-small --epochs 100 --folds 5 --seeds 0 1 2 \
        --batch-size 512 --device cuda                                          # the whole of it, for a GPU

Each takes what the one before has made, or makes it. The labels are what one person each said of the training images of
CIFAR-10 (Wei et al., *Learning with noisy labels revisited*, 2022, "random 1", 17.2% wrong); the test images have
their true labels: a fifth of each class is val. The crawl is one table with the pictures' bytes, a label and a split,
and nothing else. The truth lies beside it, is read here, after the run, and nowhere else. `--images` takes the same
share of each given class, at the same steps, and a fifth as many images of test, at least 2,000.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, roc_auc_score

from assets.recipes import BASELINE
from benchmarks.shopcrawl import ROOT, table
from pipeline.evidence.probe import Probe
from pipeline.intervals import Surety, shares_of, sureties
from pipeline.stages.classes import ClassOrder, read_column
from pipeline.stages.probing import FoldedImages, probabilities
from pipeline.stages.summary import judged_by
from pipeline.storage.arrays import ArrayShards, open_array
from pipeline.storage.artifacts import Store, seeded
from pipeline.storage.tables import read_table

DATA = ROOT.parent / "shared" / "data" / "cifar10n"
TRAINING_IMAGES = 50_000
LEAST_JUDGING_IMAGES = 2_000
VAL_EVERY = 5  # of a class's test images, one is val
ORACLE = "relabel, told the truth"
#: The score of "wrong" that each source gives, from the columns of the wide evidence view: higher is more suspect.
SCORES: dict[str, Callable[[Any], Any]] = {
    "kmeans: cluster size": lambda e: -e.cluster_share,
    "density": lambda e: -e.density / e.groupby("class_index").density.transform("count"),
    "hdbscan: outlier": lambda e: e.outlier,
    "neighbours: agreement": lambda e: -e.agreement,
    "aum": lambda e: -e.aum,
    "opinion: confidence": lambda e: -e.confidence,
    "opinion: margin": lambda e: -e.margin,
    "opinion: verdict": lambda e: e.label_issue,
    "fused": lambda e: -e.right_probability,
}
Row = dict[str, Any]


class Crawl:
    """A share of the data as a crawl, in a folder of its own."""

    def __init__(self, folder: Path, images: int) -> None:
        """`images` of training."""
        self.images = images
        self.folder = folder / f"cifar10n-{images}"
        self.crawl = self.folder / "crawl"
        self.truth = self.folder / "truth.csv"

    def prepare(self) -> None:
        """Write the table, and the truth beside it; what is there already stays."""
        if self.crawl.is_dir():
            return
        with zipfile.ZipFile(DATA / "images.zip") as archive:
            train, clean = self._chosen(archive.namelist())
            self.folder.mkdir(parents=True, exist_ok=True)
            train[["path", "label", "true_label"]].to_csv(self.truth, index=False)
            building = self.crawl.with_suffix(".partial")
            building.mkdir(exist_ok=True)
            rows = pd.concat([train, clean])[["path", "label", "split"]]
            _write(building / "cifar10n.parquet", rows, archive)
        building.rename(self.crawl)

    def _chosen(self, members: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The training images and those of val and test: path, label, split, and true_label of the former."""
        tested = sorted(name for name in members if name.startswith("test/") and name.endswith(".jpg"))
        clean = pd.DataFrame({"path": tested, "label": [name.split("/")[1] for name in tested]})
        names = np.array(sorted(clean.label.unique()))  # the order of the alphabet is that of CIFAR-10
        told = pd.read_csv(DATA / "labels.csv")
        train = pd.DataFrame({"path": told.file, "label": names[told.label], "true_label": names[told.true_label]})
        train, clean = _share(train, self.images), _share(clean, max(LEAST_JUDGING_IMAGES, self.images // 5))
        position = clean.groupby("label").cumcount()
        return train.assign(split="train"), clean.assign(split=np.where(position % VAL_EVERY, "test", "val"))


def _share(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """About `count` rows: of each label the same share, at equal steps."""
    share = min(1.0, count / len(rows))
    taken = np.floor((rows.groupby("label").cumcount() + 1) * share + 1e-9)
    return rows[taken > np.floor(rows.groupby("label").cumcount() * share + 1e-9)]


def _write(path: Path, rows: pd.DataFrame, archive: zipfile.ZipFile) -> None:
    schema = pa.schema({"path": pa.string(), "image": pa.binary(), "label": pa.string(), "split": pa.string()})
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows), 1000):
            some = rows.iloc[start : start + 1000]
            told = some.assign(image=[archive.read(name) for name in some.path])
            writer.write_table(pa.Table.from_pandas(told[schema.names], schema, preserve_index=False))


def main() -> None:
    """Do what the command says, print the tables and write them."""
    options = _options()
    crawl = Crawl(options.folder.resolve(), options.images)
    crawl.prepare()
    print(f"the crawl: {crawl.crawl}\nits truth: {crawl.truth}")
    if options.command == "prepare":
        return
    store = Store(crawl.folder / f"{options.network}-{options.epochs}-{options.folds}")
    _winnow(options, crawl, store, "evidence")
    results = {"detection": _detection(store, pd.read_csv(crawl.truth))}
    print(f"\n{table(results['detection'])}", flush=True)
    if options.command in ("train", "ceiling"):
        results["accuracy"] = _accuracy(options, crawl, store)
        print(f"\n{table(results['accuracy'])}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    options.json.write_text(json.dumps({"settings": settings, **results}, indent=1))
    print(f"\nwritten to {options.json}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["prepare", "detect", "train", "ceiling"])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "cifar10n")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "cifar10n.json")
    parser.add_argument("--images", type=int, default=5000, help="of training, 50,000 at most")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument(
        "--folds", type=int, default=1, help="2 and more: features of networks that never saw the image"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--recipes", nargs="+", default=["fused", "relabel"], help="beside the baseline")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    return parser.parse_args()


def _winnow(
    options: argparse.Namespace, crawl: Crawl, store: Store, command: str, recipes: tuple[str, ...] = ()
) -> None:
    """A command over the crawl, with the settings of the options in a file beside the store."""
    chosen = json.dumps([BASELINE, *recipes])
    (crawl.folder / "winnow.toml").write_text(
        f'recipes = {chosen}\nseeds = {options.seeds}\n[crawl.columns]\nimage = "image"\n[images]\nimage_size = 32\n'
        f"[features]\nfolds = {options.folds}\n[training]\nnetwork = {json.dumps(options.network)}\n"
        f"epochs = {options.epochs}\nbatch_size = {options.batch_size}\n"
    )
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if options.device == "cpu" else {}
    places = ["--config", str(crawl.folder / "winnow.toml"), "--store", str(store.root)]
    subprocess.run(
        [sys.executable, "-m", "assets.cli", command, str(crawl.crawl), *places],
        cwd=ROOT,
        check=True,
        env=os.environ | hidden,
    )


def _detection(store: Store, truth: pd.DataFrame) -> list[Row]:
    """Every source, and cleanlab on the probabilities of the opinion."""
    evidence = read_table(store.current("evidence").table("evidence")).to_pandas()
    (crawl,) = store.partitions("listing")
    paths = read_table(store.current("listing", crawl).table("listing"), ("image_id", "path")).to_pandas()
    rows = evidence.merge(paths, on="image_id").merge(truth, on="path", validate="one_to_one")
    if len(rows) != len(evidence):
        raise ValueError(f"the truth file knows {len(rows)} of {len(evidence)} images")
    wrong = (rows.label != rows.true_label).to_numpy()
    print(f"\n{len(rows):,} training images, {100 * wrong.mean():.1f}% wrong")
    scores = {name: np.asarray(score(rows), np.float64) for name, score in SCORES.items()}
    return [_row(name, score, wrong) for name, score in (scores | _cleanlab(store, crawl)).items()]


def _row(name: str, score: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_]) -> Row:
    """Images of which the source knows nothing stand in the middle."""
    known = np.isfinite(score)
    filled = np.where(known, score, np.median(score[known]))
    return {
        "source": name,
        "unknown": int((~known).sum()),
        "AUROC": f"{roc_auc_score(wrong, filled):.3f}",
        "average precision": f"{average_precision_score(wrong, filled):.3f}",
    }


def _cleanlab(store: Store, crawl: str) -> dict[str, npt.NDArray[np.float64]]:
    """What cleanlab makes of the very probabilities that `opinion` has, NaN where there are none."""
    from cleanlab.filter import find_label_issues  # noqa: PLC0415 - a peer, slow to import
    from cleanlab.rank import get_label_quality_scores  # noqa: PLC0415

    known, label, chance = out_of_fold(store, crawl)
    told = {
        f"cleanlab: {method.replace('_', ' ')}": 1
        - get_label_quality_scores(label[known], chance[known], method=method)
        for method in ("self_confidence", "normalized_margin")
    }
    adjusted = get_label_quality_scores(label[known], chance[known], adjust_pred_probs=True)
    told["cleanlab: self confidence, adjusted"] = 1 - adjusted
    told["cleanlab: find_label_issues"] = find_label_issues(label[known], chance[known], filter_by="confident_learning")
    whole = {name: np.full(len(label), np.nan) for name in told}
    for name, score in told.items():
        whole[name][known] = score
    return whole


def out_of_fold(store: Store, crawl: str) -> tuple[npt.NDArray[np.bool_], Any, npt.NDArray[np.float32]]:
    """(t,) whether there is an opinion of an image, (t,) its label, (t, C) probabilities by the probe of its fold."""
    opinion = store.current("evidence-opinion")
    order = ClassOrder.read([store.current("listing", crawl)], [store.current("images", crawl)])
    shards = ArrayShards([store.current("features", crawl).table("features")])
    images = FoldedImages(order, shards, read_column(opinion, order, "fold"))
    stored = [open_array(path) for path in sorted(opinion.table("probe").glob("*.npy"))]
    chance = np.full((len(order), images.classes), np.nan, np.float32)
    for block, own in probabilities(images, [Probe(one[:-1], one[-1]) for one in stored], slice(0, len(order))):
        chance[block] = own
    return np.isfinite(chance[:, 0]), np.asarray(order.class_index), chance


def _accuracy(options: argparse.Namespace, crawl: Crawl, store: Store) -> list[Row]:
    """Percent of test, every recipe from the same seeds; of `ceiling`, also what the truth would give."""
    _winnow(options, crawl, store, "run", tuple(options.recipes))
    stores = dict.fromkeys((BASELINE, *options.recipes), store)
    if options.command == "ceiling":
        stores[ORACLE] = _told(options, crawl, store)
    judged = {
        name: [
            judged_by(own.current("predictions", seeded("relabel" if name == ORACLE else name, seed)))["test"]
            for seed in options.seeds
        ]
        for name, own in stores.items()
    }
    sure = sureties({name: shares_of(own) for name, own in judged.items()}, BASELINE)
    return [
        _accuracy_row(name, sure[name], [100 * float((each.rank < 1).mean()) for each in judged[name]])
        for name in judged
    ]


def _told(options: argparse.Namespace, crawl: Crawl, store: Store) -> Store:
    """A copy of the store that was told the truth about all training images as verdicts, and trained `relabel` on."""
    told = Store(store.root.with_name(f"{store.root.name}-truth"))
    if not told.root.exists():
        shutil.copytree(store.root, told.root)
        verdicts = crawl.folder / "truth-as-verdicts.csv"
        truth = pd.read_csv(crawl.truth).assign(crawl=store.partitions("listing")[0])
        truth.rename(columns={"true_label": "verdict"})[["crawl", "path", "verdict"]].to_csv(verdicts, index=False)
        command = [sys.executable, "-m", "assets.cli", "verdicts", str(verdicts), "--store", str(told.root)]
        subprocess.run(command, cwd=ROOT, check=True)
    _winnow(options, crawl, told, "run", ("relabel",))
    return told


def _accuracy_row(name: str, sure: Surety, seeds: list[float]) -> Row:
    found, gain = sure.metrics["top1"], sure.gains.get("top1")
    return {
        "recipe": name,
        "top-1": f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]",
        "gain": f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]" if gain else "",
        "each seed": ", ".join(f"{value:.1f}" for value in seeds),
    }


if __name__ == "__main__":
    main()
