"""Every source of evidence beside its floor and its peers, in one run.

    python benchmarks/evidence.py [--dimensions 512 2048] [--parts classes neighbours probe text audit]

Prints a table for each part and size and writes all of them as JSON. How each is measured stands in its own file.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import evidence_audit, evidence_classes, evidence_neighbours, evidence_probe, evidence_text
from benchmarks.shopcrawl import ROOT, table

Rows = list[dict[str, Any]]
BY_DIMENSIONS: dict[str, Callable[[int], Rows]] = {
    "classes": evidence_classes.rows,
    "neighbours": evidence_neighbours.rows,
    "probe": evidence_probe.rows,
}
WHOLE: dict[str, Callable[[], Rows]] = {"text": evidence_text.rows, "audit": evidence_audit.rows}


def main() -> None:
    """Run the parts asked for, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--parts", nargs="+", choices=[*BY_DIMENSIONS, *WHOLE], default=[*BY_DIMENSIONS, *WHOLE])
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "evidence.json")
    options = parser.parse_args()
    results: dict[str, Rows] = {}
    for part in options.parts:
        if part in WHOLE:
            results[part] = WHOLE[part]()
        else:
            results |= {f"{part}, {size} dimensions": BY_DIMENSIONS[part](size) for size in options.dimensions}
    for name, rows in results.items():
        print(f"\n{name}\n{_tables(rows)}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=1))
    print(f"\nwritten to {options.json}")


def _tables(rows: Rows) -> str:
    """One table for each run of rows with the same columns."""
    runs: list[Rows] = []
    for row in rows:
        if not runs or list(runs[-1][0]) != list(row):
            runs.append([])
        runs[-1].append(row)
    return "\n\n".join(table(run) for run in runs)


if __name__ == "__main__":
    main()
