"""Does it pay to ask the images of the review queue? Verdicts on its first images beside as many on random ones.

    python -m benchmarks.review --store build/shopcrawl/evidence-baseline [--seeds 10]

The store is one that `winnow evidence` made of the crawl (`benchmarks/detection.py` does). Verdicts are the truth's;
each speaks for the images of the same bytes, as in the store. Judged are the images that no verdict is on, nor on a
double of them: how well the fused evidence tells wrong labels afterwards, and what those weigh in the recipe `fused`.
The queue draws images of a query by their ids; with other ids it is another draw, so that it has a spread as random
images have. Beside it, what it does not do: ask the images whose labels are most in doubt, or those whose own weight a
verdict would change most.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from assets.recipes import RECIPES
from benchmarks.fusion import CRAWL
from benchmarks.shopcrawl import ROOT, table
from pipeline.evidence.fusion import FusionSettings
from pipeline.evidence.fusion_views import SOURCES
from pipeline.policy.decision import NO_CLASS
from pipeline.policy.review import Images, ReviewSettings, candidates, choose, moderated, own_change
from pipeline.policy.rule import SoftSettings, soft
from pipeline.stages.fusion import make_fused
from pipeline.stages.fusion_tables import Verified
from pipeline.stages.manifest import make_manifest
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import read_table

COUNTS = (100, 200, 300)
RECIPE = "fused"
Ids = npt.NDArray[np.int64]


def main() -> None:
    """Ask, fuse, judge; print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "shopcrawl", help="of the truth file")
    parser.add_argument("--store", type=Path, default=ROOT / "build" / "shopcrawl" / "evidence-baseline")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "review.json")
    parser.add_argument("--seeds", type=int, default=10, help="draws of random images, and of the queue")
    options = parser.parse_args()
    bench = Bench(Store(options.store), pd.read_csv(options.folder / "dev.truth.csv"))
    rows = [bench.judged("nobody", 0, [np.empty(0, np.int64)])]
    for name, asked in (
        ("random images", [bench.random(seed) for seed in range(options.seeds)]),
        ("the review queue", [bench.queue(seed) for seed in range(options.seeds)]),
        ("most in doubt", [bench.first(lambda at: -np.abs(at.right_probability - 0.5))]),
        ("largest change of its own", [bench.first(bench.own_change)]),
    ):
        rows += [bench.judged(name, count, asked) for count in COUNTS]
    bench.fused(np.empty(0, np.int64))  # the store is left as it was found
    print(table([{key: f"{own:.3f}" if isinstance(own, float) else own for key, own in row.items()} for row in rows]))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=1))
    print(f"\nwritten to {options.json}")


class Bench:
    """A store's images beside the truth."""

    def __init__(self, store: Store, truth: pd.DataFrame) -> None:
        """Read everything that is known of each image without a verdict."""
        self._store = store
        fused = self.fused(np.empty(0, np.int64))
        manifest = make_manifest(store, RECIPE, RECIPES[RECIPE].policy, [CRAWL])
        listing, images = (store.current(name, CRAWL).table(name) for name in ("listing", "images"))
        known = read_table(fused.table("evidence"), ("image_id", "right_probability")).to_pandas()
        for folder, columns in (
            (store.current("evidence-duplicates").table("evidence"), ("duplicate_group", "training_copies", "leak")),
            (manifest.table("manifest"), ("weight", "repeats")),
            (listing, ("path", "query_id", "class_index")),
            (images, ("sha256",)),
        ):
            own = read_table(folder, ("image_id", *columns)).to_pandas()
            known = known.merge(own, on="image_id", validate="one_to_one")
        known = known.merge(truth, on="path", validate="one_to_one").reset_index(drop=True)
        known["right"] = known.web_label == known.true_label
        known["query"] = known.groupby(["class_index", "query_id"]).ngroup()
        self.known = known

    def fused(self, asked: Ids) -> Any:
        """What the stage makes of the store with verdicts on some images."""
        told = None
        if len(asked):
            own = self.known[self.known.sha256.isin(self.known.sha256[self.known.image_id.isin(asked)])]
            each = 1 / own.groupby("sha256").image_id.transform("size").to_numpy()
            found = np.where(own.true_label < 0, NO_CLASS, own.true_label).astype(np.int32)
            told = Verified(own.image_id.to_numpy(), own.right.to_numpy(), found, each.astype(np.float32))
        return make_fused(self._store, [CRAWL], list(SOURCES), FusionSettings(), told, workers=1)

    def random(self, seed: int) -> Ids:
        """Images drawn from all."""
        return np.asarray(self.known.sample(max(COUNTS), random_state=seed).image_id)

    def queue(self, seed: int) -> Ids:
        """The review queue; of seed 0 the one that `winnow review` makes."""
        at = self.known
        ids = at.image_id.to_numpy()
        images = Images(
            image_id=np.random.default_rng(seed).permutation(ids) if seed else ids,
            label=at.class_index.to_numpy(),
            query=at["query"].to_numpy().astype(np.int32),
            group=at.duplicate_group.to_numpy(),
            right=at.right_probability.to_numpy().astype(np.float64),
            weight=(at.weight * at.repeats).to_numpy().astype(np.float64),
            copies=at.training_copies.to_numpy(),
            askable=~at.leak.to_numpy(),
            asked=np.zeros(len(at), np.bool_),
        )
        settings = ReviewSettings(count=max(COUNTS))
        quota = settings.quota(at.class_index.nunique())
        chosen, _ = choose(candidates(images, 0, quota, moves=True), settings.count, quota)
        return np.asarray(ids[chosen.row])

    def first(self, score: Callable[[pd.DataFrame], Any]) -> Ids:
        """The images of the largest score, one of each duplicate group."""
        order = self.known.assign(score=score(self.known)).sort_values(["score", "image_id"], ascending=[False, True])
        return np.asarray(order[~order.leak].drop_duplicates("duplicate_group").image_id[: max(COUNTS)])

    @staticmethod
    def own_change(at: pd.DataFrame) -> Any:
        """By how much a verdict is expected to change what an image counts."""
        counts = (at.weight * at.repeats * at.training_copies).to_numpy()
        usual = at.assign(counts=counts).groupby("class_index").counts.transform("mean").to_numpy()
        return own_change(moderated(at.right_probability.to_numpy()), counts, usual)

    def judged(self, name: str, count: int, draws: list[Ids]) -> dict[str, Any]:
        """Means over several lists of images, of which the first are asked."""
        told = pd.DataFrame([self._judged(asked[:count]) for asked in draws])
        mean = told.mean()
        return {
            "asked": name,
            "verdicts": count,
            "AUROC": float(mean.auroc),
            "over draws": f"{told.auroc.min():.3f} to {told.auroc.max():.3f}" if len(told) > 1 else "",
            "average precision": float(mean.precision),
            "weight of wrong": float(mean.wrong),
            "settled": round(mean.settled),
        }

    def _judged(self, asked: Ids) -> dict[str, float]:
        found = read_table(self.fused(asked).table("evidence"), ("image_id", "right_probability")).to_pandas()
        at = self.known.drop(columns="right_probability").merge(found, on="image_id", validate="one_to_one")
        right = at.right_probability.to_numpy().astype(np.float64)
        weight = soft(right, at.class_index.to_numpy(), SoftSettings().floor)
        wrong = ~at.right.to_numpy()
        looked_at = at.image_id.isin(asked)
        left = ~at.duplicate_group.isin(at.duplicate_group[looked_at]).to_numpy()
        return {
            "auroc": roc_auc_score(wrong[left], 1 - right[left]),
            "precision": average_precision_score(wrong[left], 1 - right[left]),
            "wrong": weight[left & wrong].mean(),
            "settled": at.sha256.isin(at.sha256[looked_at]).sum(),
        }


if __name__ == "__main__":
    main()
