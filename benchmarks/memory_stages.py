"""One stage over a synthetic store: what benchmarks/memory.py and scale.py start in a process of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from assets.recipes import RECIPES
from pipeline.evidence.confusion import ConfusionSettings
from pipeline.evidence.density import DensitySettings
from pipeline.evidence.duplicates import DuplicateSettings
from pipeline.evidence.fusion import FusionSettings
from pipeline.evidence.hdbscan import HdbscanSettings
from pipeline.evidence.keyword import KeywordSettings
from pipeline.evidence.kmeans import KMeansSettings
from pipeline.evidence.neighbours import NeighbourSettings
from pipeline.evidence.probe import OpinionSettings
from pipeline.evidence.rank import RankSettings
from pipeline.evidence.semantic import SemanticSettings
from pipeline.evidence_tables import EVIDENCE
from pipeline.stages.class_evidence import make_class_evidence
from pipeline.stages.class_sources import class_sources
from pipeline.stages.confusion import make_confusion
from pipeline.stages.duplicates import make_duplicates
from pipeline.stages.evidence import make_evidence
from pipeline.stages.fusion import make_fused
from pipeline.stages.keyword import make_keyword
from pipeline.stages.manifest import make_manifest
from pipeline.stages.neighbours import make_neighbours
from pipeline.stages.opinion import make_opinion
from pipeline.stages.rank import make_rank
from pipeline.stages.semantic import make_semantic
from pipeline.storage.artifacts import Store

WORKERS = 2


def run(folder: str, stage: str, *crawls: str, fitted_on: Sequence[str] = ()) -> None:
    """Make one kind of evidence with the default settings; what it reads has been made before."""
    store = Store(Path(folder))
    stands: dict[str, Any] = {"workers": WORKERS, "fitted_on": fitted_on}

    def made() -> list[str]:
        return [name for name in EVIDENCE if store.partitions(f"evidence-{name}")]

    def in_class(*names: str) -> None:
        sources = class_sources(KMeansSettings(), DensitySettings(), HdbscanSettings())
        make_class_evidence(store, crawls, [one for one in sources if one.name in names], workers=WORKERS)

    makers: dict[str, Callable[[], object]] = {
        "duplicates": lambda: make_duplicates(store, crawls, DuplicateSettings(), **stands),
        "rank": lambda: make_rank(store, crawls, RankSettings(), workers=WORKERS),
        "in class": lambda: in_class("kmeans", "density", "hdbscan"),  # in one pass
        "kmeans": lambda: in_class("kmeans"),
        "density": lambda: in_class("density"),
        "hdbscan": lambda: in_class("hdbscan"),
        "neighbours": lambda: make_neighbours(store, crawls, NeighbourSettings(), **stands),
        "opinion": lambda: make_opinion(store, crawls, OpinionSettings(), **stands),
        "confusion": lambda: make_confusion(store, crawls, ConfusionSettings(), workers=WORKERS),
        "keyword": lambda: make_keyword(store, crawls, KeywordSettings(), **stands),
        "semantic": lambda: make_semantic(store, crawls, SemanticSettings(), **stands),
        "fused": lambda: make_fused(store, crawls, made(), FusionSettings(), **stands),
        "evidence": lambda: make_evidence(store, crawls, made(), workers=WORKERS),
    }
    makers[stage]()


def weigh(folder: str, recipe: str, *crawls: str) -> None:
    """Make one manifest."""
    make_manifest(Store(Path(folder)), recipe, RECIPES[recipe].policy, crawls)
