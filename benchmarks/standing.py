"""How well evidence that stands tells the wrong labels of a later crawl, beside evidence fitted on all crawls.

    python -m benchmarks.standing [--folder build/standing] [--draws 2000]

The two sources of the shopcrawl are two crawls of one store, with the clean splits in the first. `winnow evidence` runs
over both three times: fitted on all, and on each alone (`evidence.fitted_on`). Each crawl's images are then judged by
what the other taught and by what both did, themselves among it, with their out-of-fold opinions and without their own
doubles. Features are those of ImageNet weights, which no crawl changes. Intervals are a paired bootstrap over images.
The truth file is read here, after the runs, and nowhere else.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.detection import SCORES, WEIGHTS, filled, known, unknown
from benchmarks.shopcrawl import ROOT, extracted, keep, table
from pipeline.intervals import DRAWS, INTERVAL
from pipeline.storage.artifacts import Store

CRAWLS = ("google", "flickr")  # the clean splits lie in the first
#: The sources that `evidence.fitted_on` fits, and what is made of them; ranks, clusters and density stay as they are.
SOURCES = [
    name for name in SCORES if name.startswith(("neighbours", "opinion", "confusion", "keyword", "semantic", "fused"))
]
BLOCK = 200  # draws held at a time
Floats = npt.NDArray[np.float64]


def main() -> None:
    """Make the evidence in all ways, hold each beside the truth, print and write the tables."""
    options = _options()
    folder = options.folder.resolve()
    crawls = _delivered(extracted(folder), folder / "crawls")
    truth = pd.read_csv(folder / "dev.truth.csv")
    store = Store(folder / "store")
    made = {}
    for fitted in ("all", *CRAWLS):
        _run(store, crawls, fitted)
        made[fitted] = {crawl: known(store, crawl, truth) for crawl in CRAWLS}
    results = {}
    for fitted, judged in zip(CRAWLS, reversed(CRAWLS), strict=True):
        every, apart = made["all"][judged], made[fitted][judged]
        results[judged] = _compared(every, apart, options.draws)
        wrong = 100 * (every.web_label != every.true_label).mean()
        print(f"\n{judged}, {wrong:.1f}% wrong, beside {fitted}\n{table(results[judged])}")
    keep(options, results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "standing")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "standing.json")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of the bootstrap")
    return parser.parse_args()


def _delivered(crawl: Path, folder: Path) -> list[Path]:
    """Each source of the crawl as a crawl of its own; pictures are linked, not copied."""
    if not folder.is_dir():
        draft = folder.with_name("crawls.draft")
        shutil.rmtree(draft, ignore_errors=True)
        for source in CRAWLS:
            own = draft / source
            clean = ["val", "test"] if source == CRAWLS[0] else []
            for name in (source, *(f"{split}_images" for split in clean)):
                shutil.copytree(crawl / name, own / name, copy_function=lambda old, new: Path(new).hardlink_to(old))
            (own / "info").mkdir()
            lists = [f"train_filelist_{source}.txt", f"train_meta_list_{source}.txt"]
            lists += [f"{split}_filelist.txt" for split in clean]
            for name in ("synsets.txt", "glosses.tsv", "queries.txt", "queries_synsets_map.txt", *lists):
                shutil.copy(crawl / "info" / name, own / "info")
        draft.rename(folder)
    return [folder / source for source in CRAWLS]


def _run(store: Store, crawls: Sequence[Path], fitted: str) -> None:
    """Pictures and features are made by the first run, and found by the others."""
    settings = f'[images]\nimage_size = 64\n[features]\nweights = "{WEIGHTS}"\n'
    if fitted != "all":
        settings += f'[evidence]\nfitted_on = ["{fitted}"]\n'
    file = store.root.parent / f"fitted-on-{fitted}.toml"
    file.write_text(settings)
    command = [sys.executable, "-m", "assets.cli", "evidence", *map(str, crawls), "--config", str(file)]
    subprocess.run([*command, "--store", str(store.root)], cwd=ROOT, check=True)


def _compared(every: Any, apart: Any, draws: int) -> list[dict[str, Any]]:
    """A row for each source, from the same images with evidence of all crawls and of the other crawl alone."""
    if not np.array_equal(every.image_id, apart.image_id):
        raise ValueError("the two tables are not of the same images")
    wrong = (every.web_label != every.true_label).to_numpy()
    scores = [np.asarray(SCORES[name](own), np.float64) for name in SOURCES for own in (every, apart)]
    ready = [filled(score) for score in scores]
    plain = np.array([aurocs(score, wrong, np.ones((len(wrong), 1)))[0] for score in ready])
    drawn = np.concatenate(
        [[aurocs(score, wrong, counts) for score in ready] for counts in _counts(len(wrong), draws)], axis=1
    )
    low, high = np.quantile(drawn[1::2] - drawn[::2], INTERVAL, axis=1)
    return [
        {
            "source": name,
            "images": len(wrong),
            "unknown, %": unknown(scores[2 * at + 1]),
            "AUROC, fitted on all": f"{plain[2 * at]:.3f}",
            "AUROC, fitted on the other crawl": f"{plain[2 * at + 1]:.3f}",
            "difference": f"{plain[2 * at + 1] - plain[2 * at]:+.3f} ({low[at]:+.3f} to {high[at]:+.3f})",
        }
        for at, name in enumerate(SOURCES)
    ]


def _counts(images: int, draws: int) -> Iterator[Floats]:
    """(images, draws) how often each image is drawn, a block of draws at a time."""
    rng = np.random.default_rng(0)
    for done in range(0, draws, BLOCK):
        drawn = rng.multinomial(images, np.full(images, 1 / images), size=min(BLOCK, draws - done))
        yield drawn.T.astype(np.float64)


def aurocs(score: Floats, wrong: npt.NDArray[np.bool_], counts: Floats) -> Floats:
    """(d,) the share of pairs of a wrong and a right image in which the wrong one scores higher, ties counted half.

    Args:
        score: (n,) of "wrong".
        wrong: (n,) the truth.
        counts: (n, d) how often each image counts.
    """
    order = np.argsort(score, kind="stable")
    of, truth = counts[order], wrong[order, None]
    first = np.flatnonzero(np.diff(score[order], prepend=-np.inf))  # of each run of equal scores
    high, low = (np.add.reduceat(of * own, first, axis=0) for own in (truth, ~truth))
    below = np.cumsum(low, axis=0) - low / 2
    return np.asarray((high * below).sum(axis=0) / (high.sum(axis=0) * low.sum(axis=0)))


if __name__ == "__main__":
    main()
