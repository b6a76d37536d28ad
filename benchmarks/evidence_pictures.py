"""The pictures of docs/evidence.md: what each source of evidence sees in the crawl of the demo, which is drawn.

    python -m benchmarks.evidence_pictures [--store demo/store] [--to docs/pictures]

The store is that of `make demo`. Each picture is the sample that the Dagster UI shows beside the evidence, in fewer
rows; none is larger than 60 kB.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from assets import pictures
from benchmarks.shopcrawl import ROOT
from pipeline.storage.artifacts import Artifact, Store

MOST_BYTES: Final = 60_000
SAMPLES: Final[dict[str, Callable[[Store, Sequence[str], Artifact], bytes | None]]] = {
    "duplicates": pictures.duplicate_sample,
    "kmeans": pictures.cluster_sample,
    "density": pictures.density_sample,
    "hdbscan": pictures.hdbscan_sample,
    "neighbours": pictures.neighbour_sample,
    "opinion": pictures.opinion_sample,
    "confusion": pictures.confusion_sample,
    "keyword": pictures.text_sample,
}


def main() -> None:
    """Draw them all."""
    options = _options()
    store = Store(options.store)
    for name, sample in SAMPLES.items():
        drawn = sample(store, store.partitions("listing"), store.current(f"evidence-{name}"))
        if drawn is None or len(drawn) > MOST_BYTES:
            raise ValueError(f"{name}: {'nothing to show' if drawn is None else f'{len(drawn):,} bytes'}")
        path = options.to / f"evidence-{name}.jpg"
        path.write_bytes(drawn)
        print(f"{path}: {len(drawn):,} bytes")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=ROOT / "demo" / "store")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "pictures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
