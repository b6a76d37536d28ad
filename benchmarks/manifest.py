"""Rows per second and peak memory of every recipe's manifest, of comparing and exporting it, on a synthetic crawl.

    python benchmarks/manifest.py [--rows 16000000] [--recipes kmeans-size fused ...]

Evidence is random but of the tables' types and ranges; a tenth of the images are doubles. Each recipe's manifest is
made in a process of its own; then the first is compared with the last, and the last exported in the formats that carry
no pictures. What counts is the memory the process has allocated (anonymous pages): columns in scratch files are the
page cache's. Fails where one goes past the ceiling. Writes a table and JSON.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets.recipes import RECIPES
from benchmarks.memory import watched
from benchmarks.shopcrawl import ROOT, table
from benchmarks.synthetic import CRAWL, Shape, build_lists, image_ids
from pipeline.evidence_tables import EVIDENCE
from pipeline.stages.classes import stretches
from pipeline.storage.artifacts import WHOLE, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table

CEILING_MB: Final = 2000
CLASS_SIZE: Final = 3200  # WebVision 2.0: 16 million images of 5,000 classes
EXPORTS: Final = ("list", "weights", "csv")
UNKNOWN: Final = 0.02  # of the values that may be null

Draw = Callable[[np.random.Generator, int], npt.NDArray[Any]]


def main() -> None:
    """Build the crawl and its evidence, make every manifest, tell what it took."""
    options = _options()
    folder = options.folder / str(options.rows)
    shutil.rmtree(folder, ignore_errors=True)
    shape = Shape(rows=options.rows, class_size=CLASS_SIZE, dimensions=0)
    build_lists(Store(folder), shape, side=0)
    read = {name for recipe in options.recipes for name in RECIPES[recipe].policy.evidence}
    for name in sorted({"duplicates", *read}):
        Store(folder).make(f"evidence-{name}", WHOLE, "e", partial(_evidence, shape=shape, name=name))
    programs = {f"make({str(folder)!r}, {recipe!r})": f"manifest of {recipe}" for recipe in options.recipes}
    first, last = options.recipes[0], options.recipes[-1]
    programs[f"compare_two({str(folder)!r}, {first!r}, {last!r})"] = f"diff {first} {last}"
    programs |= {f"export({str(folder)!r}, {last!r}, {name!r})": f"export {last} {name}" for name in EXPORTS}
    results = [_measure(program, what, options.rows) for program, what in programs.items()]
    shutil.rmtree(folder)
    print(f"\n{table(results)}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"rows": options.rows, "ceiling_mb": CEILING_MB, "runs": results}, indent=1))
    print(f"\nwritten to {options.json}")
    past = [result["run"] for result in results if result["peak MB"] > CEILING_MB]
    if past:
        sys.exit(f"past the ceiling of {CEILING_MB} MB: {', '.join(past)}")


def make(folder: str, recipe: str) -> None:
    """Make one manifest: what is run in a process of its own."""
    from pipeline.stages.manifest import make_manifest  # noqa: PLC0415 - the memory watched is that of this process

    make_manifest(Store(Path(folder)), recipe, RECIPES[recipe].policy, [CRAWL])


def compare_two(folder: str, a: str, b: str) -> None:
    """Compare two manifests."""
    from pipeline.stages.compare import compare  # noqa: PLC0415

    store = Store(Path(folder))
    classes = store.current("listing", CRAWL).facts["classes"]
    one, other = (store.current("manifest", recipe) for recipe in (a, b))
    compare(one, other, Path(folder) / "diff.parquet", classes=classes, top=24)


def export(folder: str, recipe: str, name: str) -> None:
    """Export a manifest."""
    from pipeline.export.formats import make_export  # noqa: PLC0415
    from pipeline.export.source import ExportSource  # noqa: PLC0415

    store = Store(Path(folder))
    listing, images = store.current("listing", CRAWL), store.current("images", CRAWL)
    source = ExportSource(store.current("manifest", recipe), [listing], [images], list, 0)
    make_export(store, source, name, Path(folder) / f"export-{name}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "manifest")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "manifest.json")
    parser.add_argument("--rows", type=int, default=16_000_000)
    parser.add_argument(
        "--recipes", nargs="+", choices=RECIPES, default=[name for name in RECIPES if not RECIPES[name].teachers]
    )
    return parser.parse_args()


def _measure(program: str, what: str, rows: int) -> dict[str, Any]:
    run = watched(f"from benchmarks.manifest import *; {program}")
    told = {
        "run": what,
        "seconds": round(run.seconds, 1),  # starting Python among them
        "CPU s": round(run.cpu_seconds, 1),
        "rows/s": f"{rows / run.seconds:,.0f}",
        "peak MB": round(run.peak_bytes / 1e6),
    }
    print(json.dumps(told), flush=True)
    return told


def _evidence(draft: Draft, shape: Shape, name: str) -> Facts:
    """One table of evidence: the synthetic crawl lists its images by class, so that its order is the tables'."""
    sizes = np.minimum(CLASS_SIZE, shape.rows - np.arange(shape.classes) * CLASS_SIZE)
    for number, classes in enumerate(stretches(sizes)):
        at = np.arange(classes.start * CLASS_SIZE, min(classes.stop * CLASS_SIZE, shape.rows))
        rng = np.random.default_rng([shape.rows, number])
        columns = {field.name: _drawn(field, rng, len(at), shape) for field in EVIDENCE[name]}
        columns["image_id"] = image_ids(at)
        if name == "duplicates":
            columns |= _doubles(at, shape.rows)
        path = part_path(draft.table("evidence"), number)
        rows = write_table(path, EVIDENCE[name], [pa.table(columns, schema=EVIDENCE[name])])
        draft.finish(number, {path: rows})
    return {"images": shape.rows}


def _doubles(at: npt.NDArray[np.int64], rows: int) -> dict[str, npt.NDArray[Any]]:
    """Every twentieth image is also the one half a crawl away, in another class."""
    half = rows // 2
    double = (at % half % 20 == 0) & (at < 2 * half)
    group = np.where(double, np.minimum(image_ids(at), image_ids((at + half) % (2 * half))), image_ids(at))
    return {"duplicate_group": group, "training_copies": 1 + double.astype(np.int32), "leak": at % 1000 == 1}


def _drawn(field: pa.Field, rng: np.random.Generator, rows: int, shape: Shape) -> pa.Array:
    """Random values of a column, some of them null where they may be."""
    highest = {"position": CLASS_SIZE, "density_level": 3}.get(field.name, 8)
    draw: dict[pa.DataType, Draw] = {
        pa.float32(): lambda rng, n: rng.random(n, np.float32),
        pa.bool_(): lambda rng, n: rng.random(n) < 0.05,
        pa.int32(): lambda rng, n: rng.integers(0, shape.classes if "class" in field.name else highest, n, np.int32),
        pa.int64(): lambda rng, n: rng.integers(0, 2**62, n),
    }
    unknown = rng.random(rows) < UNKNOWN if field.nullable else None
    return pa.array(draw[field.type](rng, rows), field.type, mask=unknown)


if __name__ == "__main__":
    main()
