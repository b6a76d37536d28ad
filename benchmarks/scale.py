"""From the listing to every manifest, on crawls of growing size, and then a small crawl more: time and memory a stage.

    python -m benchmarks.scale [--rows 1000000 4000000 16000000] [--classes 5000] [--dimensions 64]

Listing, evidence and manifests are the real stages, each in a process of its own; pictures are not there, and features
are drawn (benchmarks/scale_crawl.py). Then a crawl of one image in a hundred arrives, of one class in fifty, and all
that reads it is made again. Every measurement is kept as it is taken, and not taken again by the next call. Memory is
what the process has allocated (anonymous pages): mapped files are the page cache's and can be dropped at any time.
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from assets.recipes import RECIPES
from benchmarks.memory import watched
from benchmarks.scale_crawl import ScaleCrawl, draw_pictures
from benchmarks.shopcrawl import ROOT, table
from pipeline.storage.artifacts import Store

SMALLER: Final = 100  # times is the new crawl smaller
FEWER: Final = 50  # times are the classes fewer that it has images of
EVIDENCE: Final = (
    "duplicates",
    "rank",
    "in class",
    "neighbours",
    "opinion",
    "confusion",
    "keyword",
    "semantic",
    "fused",
    "evidence",
)
Row = dict[str, Any]


def main() -> None:
    """Run all sizes, print what each stage took and how it grew."""
    options = _options()
    kept = json.loads(options.json.read_text())["runs"] if options.json.exists() else []
    bench = Bench(options, [row for row in kept if _same(row, options)])
    for rows in options.rows:
        bench.whole(rows)
    for rows in options.rows:
        bench.more(rows)
    print(f"\n{table(_growth(bench.rows, options.rows))}\n\n{table(_new_crawl(bench.rows, options.rows))}")
    print(f"\nwritten to {options.json}")


class Bench:
    """What has been measured, and how more is."""

    def __init__(self, options: argparse.Namespace, rows: list[Row]) -> None:
        """Go on from `rows`."""
        self.options = options
        self.rows = rows

    def whole(self, rows: int) -> None:
        """Every stage on one size."""
        options = self.options
        crawl = ScaleCrawl(name="whole", rows=rows, classes=options.classes, dimensions=options.dimensions)
        self._add(options.folder / str(rows), crawl)
        self._judge(options.folder / str(rows), rows, ("whole",))

    def more(self, rows: int) -> None:
        """Every stage again with a crawl more, of classes of middle size: they are taken from the middle."""
        options = self.options
        first = options.classes // 2
        crawl = ScaleCrawl(
            name="fresh",
            rows=rows // SMALLER,
            classes=options.classes,
            dimensions=options.dimensions,
            first_class=first,
            last_class=first + max(1, options.classes // FEWER),
        )
        self._add(options.folder / str(rows), crawl)
        self._judge(options.folder / str(rows), rows, ("whole", "fresh"))

    def _add(self, folder: Path, crawl: ScaleCrawl) -> None:
        store, tables = Store(folder / "store"), folder / crawl.name
        if not tables.exists():
            crawl.write(tables)
        size = crawl.rows if crawl.name == "whole" else crawl.rows * SMALLER
        self._measure(
            {"rows": size, "when": crawl.name, "stage": "listing"},
            f"from pathlib import Path; from benchmarks.scale_crawl import list_crawl; "
            f"list_crawl(Path({str(store.root)!r}), {crawl.name!r}, Path({str(tables)!r}))",
        )
        draw_pictures(store, crawl)

    def _judge(self, folder: Path, rows: int, crawls: tuple[str, ...]) -> None:
        store, when = str(folder / "store"), crawls[-1]
        for stage in self.options.stages:
            told = f"{store!r}, {stage!r}, *{crawls!r}, fitted_on={crawls[:1]!r}"
            program = f"from benchmarks.memory_stages import run; run({told})"
            self._measure({"rows": rows, "when": when, "stage": stage}, program)
        for recipe in self.options.recipes:
            program = f"from benchmarks.memory_stages import weigh; weigh({store!r}, {recipe!r}, *{crawls!r})"
            self._measure({"rows": rows, "when": when, "stage": f"manifest of {recipe}"}, program)

    def _measure(self, what: Row, program: str) -> None:
        if any(what.items() <= row.items() for row in self.rows):
            return
        run = watched(program)
        told = {
            "seconds": round(run.seconds, 1),
            "cpu_s": round(run.cpu_seconds, 1),
            "peak_mb": run.peak_bytes // 10**6,
        }
        shape = {"classes": self.options.classes, "dimensions": self.options.dimensions}
        self.rows.append(what | told | shape)
        print(json.dumps(self.rows[-1]), flush=True)
        self.options.json.parent.mkdir(parents=True, exist_ok=True)
        self.options.json.write_text(json.dumps({"runs": self.rows}, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "scale")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "scale.json")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000, 16_000_000])
    parser.add_argument("--classes", type=int, default=5000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--stages", nargs="+", choices=EVIDENCE, default=EVIDENCE)
    parser.add_argument(
        "--recipes",
        nargs="*",
        choices=tuple(RECIPES),
        default=["baseline", "kmeans-size", "semantic", "fused", "relabel"],
    )
    return parser.parse_args()


def _same(row: Row, options: argparse.Namespace) -> bool:
    return bool(row["classes"] == options.classes and row["dimensions"] == options.dimensions)


def _growth(rows: list[Row], sizes: list[int]) -> list[Row]:
    """Processor seconds and memory of each stage on each size, and how the seconds grew from the first to the last."""
    found = {(row["stage"], row["rows"]): row for row in rows if row["when"] == "whole"}
    table_rows = []
    for stage in dict.fromkeys(stage for stage, _ in found):
        own = [found[stage, size] for size in sizes if (stage, size) in found]
        told: Row = {"stage": stage}
        told |= {f"{row['rows']:,}: CPU s": row["cpu_s"] for row in own}
        told |= {f"{row['rows']:,}: MB": row["peak_mb"] for row in own}
        grown = own[-1]["cpu_s"] / max(own[0]["cpu_s"], 0.1) / (own[-1]["rows"] / own[0]["rows"])
        table_rows.append(told | {"times linear": f"{grown:.2f}"})
    return table_rows


def _new_crawl(rows: list[Row], sizes: list[int]) -> list[Row]:
    """What a crawl of one image in a hundred costs, in percent of the whole."""
    found = {(row["stage"], row["rows"], row["when"]): row["cpu_s"] for row in rows}
    told = []
    for size in sizes:
        stages = [stage for stage, own, when in found if own == size and when == "fresh"]
        whole = sum(found[stage, size, "whole"] for stage in stages)
        fresh = {stage: found[stage, size, "fresh"] for stage in stages}
        dear = sorted(fresh, key=lambda stage: -fresh[stage])[:3]
        told.append(
            {
                "images": f"{size:,}",
                "whole, CPU s": round(whole),
                "1% more, CPU s": round(sum(fresh.values())),
                "percent": f"{100 * sum(fresh.values()) / max(whole, 1):.1f}",
                "dearest": ", ".join(f"{stage} {fresh[stage]:.0f}" for stage in dear),
            }
        )
    return told


if __name__ == "__main__":
    main()
