"""Fused evidence on a real crawl with known truth: how well it tells wrong labels, and whether it is honest.

    python benchmarks/fusion.py --store build/shopcrawl/evidence-baseline [--seeds 5]
    python benchmarks/fusion.py --images 16000000

The store is one that `winnow evidence` made of the crawl (`benchmarks/detection.py` does). Fused without any clean
label; with verdicts on a few images drawn at random, judged on the images that are neither those nor doubles of them;
and with a view left out. The truth is read here, after the evidence was made, for the verdicts and the figures.
With `--images`, made-up images instead: seconds and memory of the fit.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.shopcrawl import ROOT, table
from pipeline.evidence.fusion import FusionSettings, Seen, fit_mixture
from pipeline.evidence.fusion_views import SOURCES, VIEWS
from pipeline.evidence.reliability import Reliability, reliability
from pipeline.measure import MemorySampler
from pipeline.report.charts import reliability_diagram
from pipeline.stages.fusion import make_fused
from pipeline.stages.fusion_tables import Verified
from pipeline.storage.artifacts import Artifact, NotMadeError, Store
from pipeline.storage.tables import read_table

CRAWL = "dev"
VERIFIED = (30, 100, 300, 1000)


def main() -> None:
    """Fuse, hold it against the truth, print and write the tables."""
    options = _options()
    if options.images:
        print(table([_made_up(options.images)]))
        return
    truth = pd.read_csv(options.folder / "dev.truth.csv")
    bench = Bench(Store(options.store), truth)
    rows = [bench.judged("no clean label", bench.fused())]
    rows += [bench.judged(f"without the {view}", bench.fused(without=view)) for view in VIEWS if bench.lacks(view)]
    rows += [_over_seeds(bench, count, options.seeds) for count in VERIFIED]
    moved = bench.relabelled()
    shown = [{name: f"{own:.3f}" if isinstance(own, float) else own for name, own in row.items()} for row in rows]
    print(table(shown), "\n\nmoved to another class\n", table(moved), sep="")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"detection": rows, "relabelled": moved}, indent=1))
    options.json.with_suffix(".svg").write_bytes(bench.diagram())
    print(f"\nwritten to {options.json}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "shopcrawl", help="of the truth file")
    parser.add_argument("--store", type=Path, default=ROOT / "build" / "shopcrawl" / "evidence-baseline")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "fusion.json")
    parser.add_argument("--seeds", type=int, default=5, help="draws of the verified images")
    parser.add_argument("--images", type=int, default=0, help="made-up images to fit, instead of a crawl")
    return parser.parse_args()


class Bench:
    """A store's fused evidence beside the truth."""

    def __init__(self, store: Store, truth: pd.DataFrame) -> None:
        """Find out which sources the store has."""
        self._store = store
        self.sources = [name for name in SOURCES if self._has(name)]
        paths = read_table(store.current("listing", CRAWL).table("listing"), ("image_id", "path", "query_id"))
        groups = read_table(store.current("evidence-duplicates").table("evidence"), ("image_id", "duplicate_group"))
        self._known = (
            groups.to_pandas()
            .merge(paths.to_pandas(), on="image_id", validate="one_to_one")
            .merge(truth, on="path", validate="one_to_one")
        )
        self._known["right"] = self._known.web_label == self._known.true_label

    def _has(self, name: str) -> bool:
        try:
            self._store.current(f"evidence-{name}")
        except NotMadeError:
            return False
        return True

    def lacks(self, view: str) -> bool:
        """Whether anything is left when a view is taken away."""
        return 0 < len(self._without(view)) < len(self.sources)

    def _without(self, view: str | None) -> list[str]:
        return [name for name in self.sources if view is None or VIEWS[SOURCES[name].view] != view]

    def fused(self, without: str | None = None, verified: Verified | None = None) -> Artifact:
        """What the stage makes of the store."""
        return make_fused(self._store, [CRAWL], self._without(without), FusionSettings(), verified, workers=1)

    def drawn(self, count: int, seed: int) -> Verified:
        """Verdicts on images drawn at random."""
        chosen = self._known.sample(count, random_state=seed)
        return Verified.of(chosen.image_id.to_numpy(), chosen.right.to_numpy())

    def rows(self, artifact: Artifact) -> pd.DataFrame:
        """The fused table beside the truth."""
        return read_table(artifact.table("evidence")).to_pandas().merge(self._known, on="image_id")

    def judged(self, name: str, artifact: Artifact, verified: Verified | None = None) -> dict[str, Any]:
        """Figures of all images that nobody verified, and that are no doubles of such."""
        rows = self.rows(artifact)
        shares = {
            kind: rows.groupby(key)[["right_probability", "right"]].mean().diff(axis=1).right.abs().mean()
            for kind, key in (("query", "query_id"), ("class", "web_label"))
        }
        if verified is not None:
            own = rows.duplicate_group[rows.image_id.isin(verified.image_id)]
            rows = rows[~rows.duplicate_group.isin(own)]
        right, said = rows.right.to_numpy(), rows.right_probability.to_numpy()
        return {
            "fused": name,
            "AUROC": float(roc_auc_score(right, said)),
            "over draws": "",
            "ECE": reliability(said, right).error,
            "ECE by verdicts": _by_verdicts(artifact).error,
            "query share off by": float(shares["query"]),
            "class share off by": float(shares["class"]),
            "right share": float(said.mean()),
            "truly": float(right.mean()),
        }

    def relabelled(self) -> list[dict[str, Any]]:
        """How often the class is right that images would be moved to, by how sure it must be."""
        rows = self.rows(self.fused())
        other = rows[rows.fused_class.notna() & (rows.fused_class != rows.web_label)]
        found = []
        for sure in (0.5, 0.7, 0.8, 0.9, 0.95):
            own = other[other.fused_probability >= sure]
            found.append(
                {
                    "sure": sure,
                    "moved": len(own),
                    "that class is right, %": f"{100 * (own.fused_class == own.true_label).mean():.1f}",
                    "the label was right, %": f"{100 * own.right.mean():.1f}",
                }
            )
        return found

    def diagram(self) -> bytes:
        """The reliability of what is said without clean labels."""
        rows = self.rows(self.fused())
        found = reliability(rows.right_probability.to_numpy(), rows.right.to_numpy())
        return reliability_diagram(found.said.tolist(), found.found.tolist(), found.images.tolist())


def _by_verdicts(artifact: Artifact) -> Reliability:
    """What the verified images say of it, each judged by the verdicts on others; no truth is asked."""
    table = read_table(artifact.table("judged"), ("right", "held_out_probability"))
    return reliability(table["held_out_probability"].to_numpy(), table["right"].to_numpy(zero_copy_only=False))


def _over_seeds(bench: Bench, count: int, seeds: int) -> dict[str, Any]:
    drawn = [bench.drawn(count, seed) for seed in range(seeds)]
    told = pd.DataFrame([bench.judged("", bench.fused(verified=own), own) for own in drawn])
    spread = f"{told.AUROC.min():.3f} to {told.AUROC.max():.3f}"
    mean = told.drop(columns=["fused", "over draws"]).mean().to_dict()
    return {"fused": f"{count} verified", "AUROC": mean.pop("AUROC"), "over draws": spread, **mean}


def _made_up(images: int) -> dict[str, Any]:
    """As many classes and queries as WebVision 2.0 for every 16 million images."""
    rng = np.random.default_rng(0)
    queries = max(2, images * 12_600 // 16_000_000)
    class_of = np.sort(rng.integers(max(1, queries * 2 // 5), size=queries)).astype(np.int32)
    query = np.sort(rng.integers(queries, size=images)).astype(np.int32)
    right = rng.random(images, np.float32) < rng.random(queries, np.float32)[query]
    bins: npt.NDArray[np.uint8] = np.empty((images, len(VIEWS)), np.uint8)
    for view in range(len(VIEWS)):
        bins[:, view] = (12 * np.where(right, 1, -1) * rng.random(images, np.float32) ** 2 / 2 + 6).clip(0, 11)
    guess = (bins.mean(axis=1, dtype=np.float32) / 11).astype(np.float32)
    seen = Seen(bins, query, np.ones(images, np.float32), class_of, int(class_of.max()) + 1)
    started = time.perf_counter()
    with MemorySampler() as memory:
        found = fit_mixture(seen, guess, FusionSettings())
    seconds = time.perf_counter() - started
    return {
        "images": images,
        "classes": seen.classes,
        "queries": queries,
        "rounds": found.rounds,
        "seconds": round(seconds, 1),
        "million images/s a round": round(images * (found.rounds + 2) / seconds / 1e6, 2),
        "peak MB": round(memory.peak_bytes / 1e6),
    }


if __name__ == "__main__":
    main()
