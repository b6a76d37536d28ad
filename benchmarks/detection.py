"""How well each source of evidence tells a wrong label, on a real crawl with known truth.

    python benchmarks/detection.py [--features baseline mobilenet] [--image-size 32] [--epochs 4]

Runs `winnow evidence` over the crawl (what is already made is not made again), once with the features of the crawl's
own baseline and once with those of ImageNet weights. The truth file is read here, after the run, and nowhere else.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler

from benchmarks.shopcrawl import ROOT, extracted, keep, table
from pipeline.stages.classes import ClassOrder
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import read_table

WEIGHTS = ROOT.parent / "shared" / "data" / "mobilenet_v2"
CRAWL = "dev"
#: The score of "wrong" that each source gives, from the columns of the wide evidence view: higher is more suspect.
SCORES: dict[str, Callable[[Any], Any]] = {
    "rank": lambda e: e.position / e.groupby("class_index").position.transform("max"),
    "kmeans: cluster size": lambda e: -e.cluster_share,
    "kmeans: compactness": lambda e: e.cluster_compactness,
    "kmeans: distance to top-ranked": lambda e: e.cluster_top_distance,
    "density": lambda e: -e.density / e.groupby("class_index").density.transform("count"),
    "density level": lambda e: e.density_level,
    "hdbscan: membership": lambda e: -e.membership,
    "hdbscan: outlier": lambda e: e.outlier,
    "neighbours: agreement": lambda e: -e.agreement,
    "opinion: confidence": lambda e: -e.confidence,
    "opinion: margin": lambda e: -e.margin,
    "opinion: verdict": lambda e: e.label_issue,
    "aum": lambda e: -e.aum,
    "confusion: own share": lambda e: -e.own_share,
    "keyword": lambda e: -e.keyword,
    "keyword - other classes": lambda e: e.keyword_other - e.keyword,
    "semantic": lambda e: -e.semantic,
    "semantic - other classes": lambda e: e.semantic_other - e.semantic,
    "fused": lambda e: -e.right_probability,
}


def main() -> None:
    """Make the evidence, hold it against the truth, print and write both tables."""
    options = _options()
    folder = options.folder.resolve()
    crawl = extracted(folder)
    truth = pd.read_csv(folder / "dev.truth.csv")
    results = {}
    for features in options.features:
        store = Store(folder / f"evidence-{features}")
        _run(crawl, store, features, options)
        results[features] = _detection(store, truth)
        print(f"\nfeatures: {features}\n{table(results[features])}")
    keep(options, results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "shopcrawl")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "detection.json")
    parser.add_argument("--features", nargs="+", choices=["baseline", "mobilenet"], default=["baseline", "mobilenet"])
    parser.add_argument("--image-size", type=int, default=32, help="of the baseline; the ImageNet weights take 64")
    parser.add_argument("--network", default="resnet18", help="of the baseline")
    parser.add_argument("--epochs", type=int, default=4)
    return parser.parse_args()


def _run(crawl: Path, store: Store, features: str, options: argparse.Namespace) -> None:
    own = features == "baseline"
    settings = f"[images]\nimage_size = {options.image_size if own else 64}\n"
    settings += f'[training]\nnetwork = "{options.network}"\nepochs = {options.epochs}\n'
    if not own:
        settings += f'[features]\nweights = "{WEIGHTS}"\n'
    file = crawl.parent / f"evidence-{features}.toml"
    file.write_text(settings)
    command = [sys.executable, "-m", "assets.cli", "evidence", str(crawl), "--config", str(file)]
    subprocess.run([*command, "--store", str(store.root)], cwd=ROOT, check=True)


def _detection(store: Store, truth: pd.DataFrame) -> list[dict[str, Any]]:
    rows = known(store, CRAWL, truth)
    wrong = (rows.web_label != rows.true_label).to_numpy()
    made = [name for name in SCORES if name != "aum" or "aum" in rows]  # given weights need no baseline, so no margins
    scores = {name: SCORES[name](rows) for name in made}
    scores["cleanlab: self-confidence"] = -_cleanlab(store, rows.class_index.to_numpy())
    return [_row(name, np.asarray(score, np.float64), wrong) for name, score in scores.items()]


def known(store: Store, crawl: str, truth: pd.DataFrame) -> Any:
    """The usable training images of a crawl: all that is known of each, and the truth about it.

    Raises:
        ValueError: the truth about some is not told.
    """
    evidence = read_table(store.current("evidence").table("evidence")).to_pandas()
    paths = read_table(store.current("listing", crawl).table("listing"), ("image_id", "path")).to_pandas()
    own = evidence.merge(paths, on="image_id", validate="one_to_one")
    rows = own.merge(truth, on="path", validate="one_to_one")
    if len(rows) != len(own):
        raise ValueError(f"the truth file knows {len(rows)} of {len(own)} images")
    return rows


def filled(score: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Images of which the source knows nothing stand in the middle."""
    told = np.isfinite(score)
    return np.where(told, score, np.median(score[told]) if told.any() else 0.0)


def unknown(score: npt.NDArray[np.float64]) -> str:
    """How many images the source knows nothing of, in percent."""
    return f"{100 * (1 - np.isfinite(score).mean()):.1f}"


def _row(name: str, score: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "source": name,
        "images": len(score),
        "unknown, %": unknown(score),
        "AUROC": f"{roc_auc_score(wrong, filled(score)):.3f}",
        "average precision": f"{average_precision_score(wrong, filled(score)):.3f}",
    }


def _cleanlab(store: Store, label: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
    """Cleanlab's label quality on the same features: its usual recipe, five-fold logistic regression."""
    from cleanlab.rank import get_label_quality_scores  # noqa: PLC0415 - a peer, slow to import

    order = ClassOrder.read([store.current("listing", CRAWL)], [store.current("images", CRAWL)])
    shards = ArrayShards([store.current("features", CRAWL).table("features")])
    features = StandardScaler().fit_transform(order.gather(shards, slice(None)).astype(np.float32))
    probabilities = cross_val_predict(
        LogisticRegression(max_iter=200, C=0.01), features, label, cv=5, method="predict_proba"
    )
    return np.asarray(get_label_quality_scores(label, probabilities), np.float64)


if __name__ == "__main__":
    main()
