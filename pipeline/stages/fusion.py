"""Stage `evidence-fused`: how likely each label is right, from all evidence; how wrong queries and classes are.

The tables are read stretch by stretch, three times: for a sample that settles the scale, for the bins that the mixture
is fitted to, which are a few bytes an image, and for what is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine import Workers, map_shards
from pipeline.evidence.folds import fold_of_groups
from pipeline.evidence.fusion import FusionSettings, Mixture, Seen, fit_mixture, logistic
from pipeline.evidence.fusion_classes import NAMED, NO_CLASS, likeliest_class
from pipeline.evidence.fusion_verified import Correction, correct, held_out
from pipeline.evidence.fusion_views import SOURCES, UNKNOWN, VIEWS, Scale, first_guess
from pipeline.evidence.sampling import hashed_sample
from pipeline.evidence_tables import CLASS_TRUST, FUSED, JUDGED, MOVES, QUERY_TRUST
from pipeline.stages.classes import ClassOrder
from pipeline.stages.fusion_tables import NO_QUERY, Queries, Tables, Task, Verified
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, write_table

STAGE = "evidence-fused"
CODE_VERSION = "4"
SAMPLE_IMAGES = 200_000
SAMPLE_SEED = 0
FOLDS, FOLD_SEED = 5, 0  # by which verdicts are held out to be compared with what others teach


def make_fused(
    store: Store,
    crawls: Sequence[str],
    names: Sequence[str],
    settings: FusionSettings,
    verified: Verified | None = None,
    *,
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
        workers: threads, or a cluster; each holds a stretch of classes.
        on_progress: called with the number of images just done.

    Returns:
        Beside `evidence/` (FUSED): `moves/` (MOVES), `queries/` (QUERY_TRUST), `classes/` (CLASS_TRUST) and `judged/`
        (JUDGED).

    Raises:
        NotMadeError: one of the tables has not been made.
        ValueError: none of them is a witness, or one was made of other images.
    """
    sources = tuple(name for name in SOURCES if name in names)
    if not sources:
        raise ValueError(f"names must hold one of {', '.join(SOURCES)} at least")
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    duplicates = store.current("evidence-duplicates")
    tables = {name: store.current(f"evidence-{name}") for name in sources}

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        evidence = Tables(order, tables, duplicates)
        queries = Queries.read(listings, order)
        fused = _fuse(evidence, queries, settings, verified, workers)
        for rows in map_shards(partial(_write, draft, evidence, queries, fused), evidence.tasks, workers):
            on_progress(rows)
        _write_trust(draft, len(evidence.tasks), order, queries, fused, crawls)
        return {"images": len(order), "sources": list(sources), **fused.facts}

    told: dict[str, Any] = {**asdict(settings), "verified": verified.digest if verified is not None else None}
    inputs = inputs_of([*listings, *images, duplicates, *tables.values()])
    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, told, inputs), build)


@dataclass(frozen=True)
class _Fused:
    """What was found of t images."""

    right: npt.NDArray[np.float32]  # (t,)
    weight: npt.NDArray[np.float32]  # (t,) what each counts
    query_share: npt.NDArray[np.float64]  # (Q,)
    class_share: npt.NDArray[np.float64]  # (C,) NaN for a class without images
    odds: Callable[[Task], npt.NDArray[np.float64]]  # (rows, 1 + V) of a stretch: what makes up the log odds
    bins: npt.NDArray[np.uint8]  # (t, V)
    judged: pa.Table  # JUDGED
    looked_at: npt.NDArray[np.int64]  # (m,) rows that a person looked at, ascending
    found: npt.NDArray[np.int32]  # (m,) class that was found, or NO_CLASS
    facts: Facts


def _fuse(
    evidence: Tables, queries: Queries, settings: FusionSettings, verified: Verified | None, workers: Workers
) -> _Fused:
    order = evidence.order
    scale = _scale(evidence, settings, workers)
    found = list(map_shards(partial(_binned, evidence, scale), evidence.tasks, workers))
    bins, guess, weight = (np.concatenate(parts) for parts in zip(*found, strict=True))
    seen = Seen(bins, queries.of, weight, queries.class_of, len(order.sizes))
    mixture = fit_mixture(seen, guess, settings)
    rows, told = (verified or Verified.nothing()).in_order(order)
    own, verdict = replace(seen.only(rows), weight=told.weight), told.right
    scores = _of_rows(evidence, rows, lambda task: scale.scores(evidence.margins(task)), (0, len(VIEWS)))
    correction = correct(mixture, own, scores, verdict) if len(rows) else None
    odds = partial(_odds, evidence, scale, mixture, seen, correction)
    right = np.concatenate(list(map_shards(lambda task: _likely(odds(task)), evidence.tasks, workers)))
    fold = fold_of_groups(_of_rows(evidence, rows, evidence.groups, (0,)), FOLDS, FOLD_SEED)
    judged = {
        "image_id": order.image_id[rows],
        "right": verdict,
        "held_out_probability": held_out(mixture, own, scores, verdict, fold).astype(np.float32),
        "unaided_probability": mixture.probability(own, slice(None)).astype(np.float32),
    }
    right[rows] = verdict
    facts = {
        "right_share": float(np.average(right, weights=weight)) if len(right) else None,
        "rounds": mixture.rounds,
        "moved": mixture.moved if np.isfinite(mixture.moved) else None,
        "verified": len(rows),
    }
    query_share = _means(right, weight, queries.of, len(queries.class_of))
    class_share = _means(right, weight, order.class_index, len(order.sizes))
    judged_table = pa.table(judged, schema=JUDGED)
    return _Fused(right, weight, query_share, class_share, odds, bins, judged_table, rows, told.found, facts)


def _scale(evidence: Tables, settings: FusionSettings, workers: Workers) -> Scale:
    chosen = hashed_sample(evidence.order.image_id, SAMPLE_IMAGES, SAMPLE_SEED)

    def sampled(task: Task) -> npt.NDArray[np.float32]:
        rows = task[1]
        first, last = np.searchsorted(chosen, (rows.start, rows.stop))
        return np.asarray(evidence.margins(task)[chosen[first:last] - rows.start])

    parts = list(map_shards(sampled, evidence.tasks, workers))
    empty = np.empty((0, len(evidence.sources)), np.float32)
    return Scale.fit(np.concatenate([empty, *parts]), evidence.sources, settings.bins)


def _binned(
    evidence: Tables, scale: Scale, task: Task
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Bins, first guess and weight of the images of a stretch."""
    margin = evidence.margins(task)
    return scale.bins(scale.scores(margin)), first_guess(margin, evidence.sources), evidence.counts(task)


def _of_rows(
    evidence: Tables, rows: npt.NDArray[np.int64], read: Callable[[Task], npt.NDArray[Any]], empty: tuple[int, ...]
) -> npt.NDArray[Any]:
    """What `read` has of some rows, ascending; only the stretches that hold one are read."""
    found = []
    for task in evidence.tasks:
        first, last = np.searchsorted(rows, (task[1].start, task[1].stop))
        if last > first:
            found.append(read(task)[rows[first:last] - task[1].start])
    return np.concatenate(found) if found else np.empty(empty)


def _odds(
    evidence: Tables, scale: Scale, mixture: Mixture, seen: Seen, correction: Correction | None, task: Task
) -> npt.NDArray[np.float64]:
    """(rows, 1 + V) what makes up the log odds that the labels of a stretch are right."""
    if correction is None:
        return mixture.odds(seen, task[1])
    return correction.odds(mixture, seen, scale.scores(evidence.margins(task)), task[1])


def _likely(odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return logistic(odds.sum(axis=1)).astype(np.float32)


def _means(
    value: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], group: npt.NDArray[np.int32], groups: int
) -> npt.NDArray[np.float64]:
    """(groups,) weighted; NaN for a group without images."""
    total = np.bincount(group, weight, groups)
    found = np.full(groups, np.nan)
    np.divide(np.bincount(group, value * weight, groups), total, out=found, where=total > 0)
    return found


def _write(draft: Draft, evidence: Tables, queries: Queries, fused: _Fused, task: Task) -> int:
    number, rows = task
    images: int = rows.stop - rows.start
    if draft.finished(number) is not None:
        return images
    order = evidence.order
    named = tuple(name for name in evidence.sources if name in NAMED)
    likeliest = likeliest_class(evidence.columns(task), fused.right[rows], named)
    first, last = np.searchsorted(fused.looked_at, (rows.start, rows.stop))
    said = first + np.flatnonzero(fused.found[first:last] != NO_CLASS)  # a person named the class
    likeliest.class_index[fused.looked_at[said] - rows.start] = fused.found[said]
    likeliest.probability[fused.looked_at[said] - rows.start] = 1
    none = likeliest.class_index == NO_CLASS
    columns = {
        "image_id": order.image_id[rows],
        "right_probability": fused.right[rows],
        "fused_class": pa.array(likeliest.class_index, mask=none),
        "fused_probability": pa.array(likeliest.probability, mask=none),
        "query_right_share": fused.query_share[queries.of[rows]].astype(np.float32),
        "class_right_share": fused.class_share[order.class_index[rows]].astype(np.float32),
    }
    query, *views = fused.odds(task).T.astype(np.float32)
    unknown = (fused.bins[rows] == UNKNOWN).T
    moves = {"image_id": order.image_id[rows], "query_odds": query}
    moves |= {f"{name}_odds": pa.array(view, mask=mask) for name, view, mask in zip(VIEWS, views, unknown, strict=True)}
    files = {}
    for name, schema, told in (("evidence", FUSED, columns), ("moves", MOVES, moves)):
        path = part_path(draft.table(name), number)
        files[path] = write_table(path, schema, [pa.table(told, schema=schema)])
    draft.finish(number, files)
    return images


def _write_trust(
    draft: Draft, shard: int, order: ClassOrder, queries: Queries, fused: _Fused, crawls: Sequence[str]
) -> None:
    if draft.finished(shard) is not None:
        return
    of_query = {
        "crawl": pa.array(crawls, pa.string()).take(pa.array(queries.crawl)),
        "query_id": pa.array(queries.query_id, mask=queries.query_id == NO_QUERY),
        "class_index": queries.class_of,
        "images": np.bincount(queries.of, minlength=len(queries.class_of)),
        "right_share": fused.query_share,
    }
    present = np.flatnonzero(order.sizes)
    of_class = {
        "class_index": present.astype(np.int32),
        "images": order.sizes[present],
        "right_share": fused.class_share[present],
    }
    judged = draft.table("judged") / "part-00000.parquet"
    files = {judged: write_table(judged, JUDGED, [fused.judged])}
    for name, schema, columns in (("queries", QUERY_TRUST, of_query), ("classes", CLASS_TRUST, of_class)):
        path = part_path(draft.table(name), 0)
        files[path] = write_table(path, schema, [pa.table(columns, schema=schema)])
    draft.finish(shard, files)
