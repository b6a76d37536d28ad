"""Stage `evidence-fused`: how likely each label is right, from all evidence; how wrong queries and classes are.

The tables are read stretch by stretch, twice: for what the scale and the mixture are fitted to, which are a few bytes
an image, and for what is written. Where some crawls are fitted on (`pipeline.stages.standing`), both come from an
artifact of these alone, and only what a later crawl has changed is read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np

from pipeline.engine import Workers, map_shards
from pipeline.evidence.fusion import FusionSettings
from pipeline.evidence.fusion_views import SOURCES
from pipeline.evidence.rank import RankSettings
from pipeline.evidence_tables import JUDGED
from pipeline.stages.aum import make_aum
from pipeline.stages.classes import ClassOrder
from pipeline.stages.fusion_fitted import Fitted
from pipeline.stages.fusion_parts import Judge
from pipeline.stages.fusion_queries import Queries
from pipeline.stages.fusion_tables import Tables, Verified
from pipeline.stages.fusion_taught import Taught
from pipeline.stages.rank import make_rank
from pipeline.stages.standing import FITTED, FITTED_ON, Standing
from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.parts import EarlierParts
from pipeline.storage.tables import part_path, write_table

STAGE = "evidence-fused"
CODE_VERSION = "5"
Run = tuple[Workers, Callable[[int], None]]


def make_fused(  # noqa: PLR0913 - what every stage is called with, the evidence and the verdicts
    store: Store,
    crawls: Sequence[str],
    names: Sequence[str],
    settings: FusionSettings,
    verified: Verified | None = None,
    *,
    fitted_on: Sequence[str] = (),
    workers: Workers,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Fuse the evidence on each usable training image.

    Args:
        store: where listing and images of the crawls, `evidence-duplicates` and the evidence named are current.
        crawls: the crawls to read.
        names: of the evidence there is; what is no witness (see `fusion_views.SOURCES`) is left aside.
        settings: of the mixture.
        verified: labels that a person looked at, or None; those of other images than the crawls' are left aside.
        fitted_on: crawls that scale and mixture are fitted to, without any verdict; all where none is named. The
            evidence must be fitted on the same.
        workers: threads, or a cluster; each holds a stretch of classes.
        on_progress: called with the number of images just done.

    Returns:
        Beside `evidence/` (FUSED): `moves/` (MOVES), `queries/` (QUERY_TRUST), `classes/` (CLASS_TRUST) and `judged/`
        (JUDGED); and `mixture/`, see `Fitted.read`.

    Raises:
        NotMadeError: one of the tables has not been made, of all crawls or of those fitted on alone.
        ValueError: none of them is a witness, or one was made of other images.
    """
    sources = tuple(name for name in SOURCES if name in names)
    if not sources:
        raise ValueError(f"names must hold one of {', '.join(SOURCES)} at least")
    tables = {name: store.current(f"evidence-{name}") for name in sources}
    read = _Read.of(store, crawls, tables, store.current("evidence-duplicates"))
    standing, run = Standing.of(store, crawls, fitted_on), (workers, on_progress)
    if standing is None:
        return _fuse(store, read, settings, verified, run)
    alone = {name: _alone(standing, name, workers) for name in sources}
    first = _Read.of(store, standing.fitted, alone, standing.duplicates())
    base = _fuse(standing.apart, first, settings, None, (workers, lambda _: None))
    return _fuse(store, read, settings, verified, run, _Base(standing.fitted, base))


def _alone(standing: Standing, name: str, workers: Workers) -> Artifact:
    """The evidence of the fitted crawls, as if there were no other: made where it is not fitted on them anyway."""
    current = standing.store.current(f"evidence-{name}")
    if name == "rank":
        settings = RankSettings(top=current.facts["top"])
        return make_rank(standing.apart, standing.fitted, settings, workers=workers)
    if name == "aum":
        told = zip(current.facts["models"], current.facts["made_of"], strict=True)
        models = [standing.store.find("model", partition, own) for partition, own in told]
        found = [model for model in models if model is not None]
        if len(found) < len(models):
            raise NotMadeError("a model that evidence-aum was made from is not there any more: make evidence-aum again")
        return make_aum(standing.apart, standing.fitted, found, workers=workers)
    return standing.alone(current.stage)


@dataclass(frozen=True)
class _Read:
    """What is read of some crawls."""

    crawls: Sequence[str]
    listings: Sequence[Artifact]
    images: Sequence[Artifact]
    tables: Mapping[str, Artifact]
    duplicates: Artifact

    @classmethod
    def of(cls, store: Store, crawls: Sequence[str], tables: Mapping[str, Artifact], duplicates: Artifact) -> Self:
        listings, images = ([store.current(stage, crawl) for crawl in crawls] for stage in ("listing", "images"))
        return cls(crawls, listings, images, tables, duplicates)

    @property
    def inputs(self) -> list[str]:
        return inputs_of([*self.listings, *self.images, self.duplicates, *self.tables.values()])


class _Base(NamedTuple):
    """What is fitted on some crawls alone."""

    crawls: Sequence[str]
    artifact: Artifact

    @property
    def facts(self) -> Facts:
        """What to tell of what is made with it."""
        return {FITTED_ON: list(self.crawls), FITTED: self.artifact.identity}


def _fuse(
    store: Store,
    read: _Read,
    settings: FusionSettings,
    verified: Verified | None,
    run: Run,
    base: _Base | None = None,
) -> Artifact:
    """The tables of some crawls, by what is fitted to all of them or has been to some."""
    (workers, on_progress), earlier = run, [base.artifact] if base is not None else []

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(read.listings, read.images)
        judge = _judge(order, read, settings, (verified, base), workers)
        keys = judge.keys(identity(STAGE, CODE_VERSION, list(read.tables), []))
        tasks = judge.evidence.tasks
        left = EarlierParts(store, STAGE, also=earlier).left(draft, keys)
        on_progress(len(order) - sum(tasks[k][1].stop - tasks[k][1].start for k in left))
        for rows in map_shards(partial(judge.write, draft), [(tasks[k], keys[k]) for k in left], workers):
            on_progress(rows)
        _keep(draft, len(tasks), judge)
        stands = base.facts if base is not None else {}
        return {"images": len(order), "sources": list(read.tables), **_facts(draft, judge), **stands}

    told: dict[str, Any] = {**asdict(settings), "verified": verified.digest if verified is not None else None}
    wanted = identity(STAGE, CODE_VERSION, told, [*read.inputs, *inputs_of(earlier)])
    return store.make(STAGE, WHOLE, wanted, build)


def _judge(
    order: ClassOrder,
    read: _Read,
    settings: FusionSettings,
    known: tuple[Verified | None, _Base | None],
    workers: Workers,
) -> Judge:
    verified, base = known
    evidence, queries = Tables(order, read.tables, read.duplicates), Queries.read(read.listings, order)
    if base is None:
        fitted = Fitted.fit(evidence, queries, settings, workers)
    else:
        own = [k for k, crawl in enumerate(read.crawls) if crawl in base.crawls]
        fitted = Fitted.read(base.artifact).lent(evidence, queries, own, settings, workers)
    taught = Taught.of(verified, (evidence, queries), fitted, standing=base is not None)
    return Judge(evidence, queries, read.crawls, fitted, taught)


def _keep(draft: Draft, shard: int, judge: Judge) -> None:
    """Write what there is beside the parts."""
    if draft.finished(shard) is None:
        path = part_path(draft.table("judged"), 0)
        draft.finish(shard, {path: write_table(path, JUDGED, [judge.taught.judged])} | judge.fitted.keep(draft))


def _facts(draft: Draft, judge: Judge) -> Facts:
    mixture = judge.fitted.mixture
    told = [facts for _, _, facts in draft.shards() if facts]
    right, weight = (sum(facts[name] for facts in told) for name in ("right", "weight"))
    return {
        "right_share": right / weight if weight else None,
        "rounds": mixture.rounds,
        "moved": mixture.moved if np.isfinite(mixture.moved) else None,
        "verified": len(judge.taught.rows),
    }
