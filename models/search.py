"""Stage `search`: every recipe tried in minutes, by linear probes on the stored features.

Clean val images judge. Where a crawl has none, its own training images do, those of one fifth of the duplicate groups
that no probe is trained on, each counting as likely its label is right (`evidence-fused`): that favours recipes that
trust what the fused evidence trusts, and the table says so in `judged_on`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.probes import Inputs, Trials, probe_logits, train_probes
from models.search_settings import SearchSettings
from pipeline.evidence.folds import fold_of_groups
from pipeline.evidence.sampling import hashed_sample
from pipeline.records import SPLITS
from pipeline.result_tables import SEARCH
from pipeline.stages.classes import ClassOrder, read_column
from pipeline.stages.population import Population
from pipeline.storage.arrays import Array, ArrayShards, blocks, scratch_array
from pipeline.storage.artifacts import WHOLE, Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import iterate_table, write_table
from pipeline.trial import chosen_penalties, standing

STAGE = "search"
CODE_VERSION = "2"
MOST_JUDGES = 50_000  # images that judge
LEAST_VAL = 100  # clean images, below which a fifth of the training images judges instead
FOLDS = 5  # of the judges, for the choice of penalties; and of the training images, where those judge
HELD_NUMBERS = 2**25  # of the probes trained at once
_JUDGED_NUMBERS = 2**22  # logits held at once


@dataclass(frozen=True)
class _Judges:
    """m images that say which recipe is right."""

    told: str  # what they are, in words
    at: npt.NDArray[np.int64]  # (m,) positions in the population
    weight: npt.NDArray[np.float64]  # (m,)


def make_search(
    store: Store,
    crawls: Sequence[str],
    recipes: Sequence[str],
    settings: SearchSettings,
    *,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Artifact:
    """Try recipes.

    Args:
        store: where listing, images and features of the crawls and the recipes' manifests are current; without clean
            val images, `evidence-duplicates` and `evidence-fused` too.
        crawls: the crawls to read.
        recipes: names of manifests; the first one is what the others are held against.
        settings: of the probes.
        on_progress: called with the number of recipes just tried.

    Returns:
        `search/` (SEARCH), a row for each recipe.

    Raises:
        NotMadeError: something of that has not been made.
    """
    listings, images, features = ([store.current(s, c) for c in crawls] for s in ("listing", "images", "features"))
    manifests = [store.current("manifest", recipe) for recipe in recipes]
    fused = [store.current(name) for name in ("evidence-duplicates", "evidence-fused") if store.partitions(name)]

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        shards = ArrayShards([artifact.table("features") for artifact in features])
        judges, rows = _val(order.population), np.asarray(order.members)
        if len(judges.at) < LEAST_VAL:
            judges, rows = _held_out(order, store)
        found = _tried(order, shards, judges, rows, (manifests, settings), on_progress)
        path = draft.table("search") / "part-00000.parquet"
        table = pa.table({"recipe": list(recipes), **found}, schema=SEARCH)
        draft.finish(0, {path: write_table(path, SEARCH, [table])})
        return {"recipes": len(recipes), "judged_on": judges.told, "judges": len(judges.at), "images": len(rows)}

    inputs = inputs_of([*listings, *images, *features, *manifests, *fused])
    return store.make(STAGE, WHOLE, identity(STAGE, CODE_VERSION, settings, inputs), build)


def _val(population: Population) -> _Judges:
    found = [
        np.flatnonzero(population.usable[block] & (population.split[block] == SPLITS.index("val"))) + block.start
        for block in blocks(len(population.split))
    ]
    at = np.concatenate([np.zeros(0, np.int64), *found])
    at = at[hashed_sample(population.image_id[at], MOST_JUDGES, 0)]
    return _Judges("clean val images", at, np.ones(len(at)))


def _held_out(order: ClassOrder, store: Store) -> tuple[_Judges, npt.NDArray[np.int64]]:
    """Judges from among the training images, and positions of those that are left to train on."""
    duplicates = store.current("evidence-duplicates")
    group = read_column(duplicates, order, "duplicate_group")
    copies = read_column(duplicates, order, "training_copies")
    chance = read_column(store.current("evidence-fused"), order, "right_probability", 0, np.float32)
    held = scratch_array((len(order),), np.bool_)
    for block in blocks(len(order)):
        held[block] = fold_of_groups(group[block], FOLDS, 0) == 0
    chosen = np.flatnonzero(held)
    chosen = chosen[hashed_sample(order.image_id[chosen], MOST_JUDGES, 0)]
    weight = chance[chosen].astype(np.float64) / np.maximum(copies[chosen], 1)
    judges = _Judges("held-out training images, as likely as their labels are right", order.members[chosen], weight)
    return judges, order.members[np.flatnonzero(~held)]


def _tried(
    order: ClassOrder,
    shards: ArrayShards,
    judges: _Judges,
    rows: npt.NDArray[np.int64],
    what: tuple[Sequence[Artifact], SearchSettings],
    on_progress: Callable[[int], None],
) -> dict[str, Any]:
    """The columns of SEARCH but the names."""
    manifests, settings = what
    population, classes = order.population, len(order.sizes)
    inputs = Inputs.of(_gathered(population, shards, rows))
    own = inputs.like(_gathered(population, shards, judges.at))
    label = population.class_index[judges.at].astype(np.int64)
    draw = Trials.draws(population.image_id[rows], settings.samples)
    each = (shards.row_shape[0] + 1) * settings.samples * len(settings.penalties) * classes
    step = max(1, HELD_NUMBERS // each)
    hits = []
    for first in range(0, len(manifests), step):
        trials = _trials(manifests[first : first + step], population, rows, draw)
        hits.append(_hits(inputs, own, label, trials, classes, settings))
        on_progress(len(hits[-1]))
    fold = fold_of_groups(population.image_id[judges.at], FOLDS, 1)
    chosen = chosen_penalties(np.concatenate(hits), fold, judges.weight)
    found = standing(chosen, judges.weight, 0)
    return {
        "judged_on": [judges.told] * len(manifests),
        "images": np.full(len(manifests), len(label)),
        "top1": found.top1,
        "class_top1": _class_mean(chosen, label, judges.weight),
        "gain": found.gain,
        "gain_low": found.low,
        "gain_high": found.high,
        "better": found.better,
    }


def _gathered(population: Population, shards: ArrayShards, rows: npt.NDArray[np.int64]) -> Array:
    """Features of some images, beside each other on the disk; an image whose features are not finite has zeros."""
    found = scratch_array((len(rows), *shards.row_shape), np.float16)
    for block in blocks(len(rows)):
        for at in range(block.start, block.stop, 8192):
            own = rows[at : min(at + 8192, block.stop)]
            values = shards.gather(population.shard[own], population.row[own])
            found[at : at + len(own)] = np.where(np.isfinite(values).all(axis=1, keepdims=True), values, 0)
    return found


def _trials(manifests: Sequence[Artifact], population: Population, rows: npt.NDArray[np.int64], draw: Array) -> Trials:
    """What the recipes decided of some images."""
    shape = (len(rows), len(manifests))
    label, weight, stage = (scratch_array(shape, dtype) for dtype in (np.int32, np.float32, np.int8))
    wanted = scratch_array(population.image_id.shape, np.int64)  # 1 + the position among those images
    for block in blocks(len(rows)):
        wanted[rows[block]] = np.arange(block.start, block.stop) + 1
    for number, manifest in enumerate(manifests):
        for span, batch in _spans(manifest):
            place = wanted[span]
            own = place > 0
            at = place[own] - 1, number
            counts = batch["weight"].to_numpy() * batch["repeats"].to_numpy()
            label[at], weight[at] = batch["class_index"].to_numpy()[own], counts[own]
            stage[at] = batch["stage"].to_numpy()[own]
    return Trials(label, weight, stage, draw)


def _spans(manifest: Artifact) -> Iterator[tuple[slice, pa.RecordBatch]]:
    start = 0
    for batch in iterate_table(manifest.table("manifest"), ("class_index", "weight", "repeats", "stage")):
        yield slice(start, start + batch.num_rows), batch
        start += batch.num_rows


def _hits(
    inputs: Inputs, own: Inputs, label: npt.NDArray[np.int64], trials: Trials, classes: int, settings: SearchSettings
) -> npt.NDArray[np.bool_]:
    """(r, s, p, m) which judges each probe gets right."""
    import torch  # noqa: PLC0415 - seconds that a search found ready does without

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    probes = train_probes(inputs, trials, classes, settings, device)
    wanted = torch.from_numpy(label).to(device)
    step = max(1, _JUDGED_NUMBERS // max(1, probes[0].numel()))
    found = np.empty((*probes.shape[1:-1], len(label)), np.bool_)
    for at in range(0, len(label), step):
        logits = probe_logits(own.read(slice(at, at + step), device), probes)
        right = logits.argmax(dim=-1) == wanted[at : at + step].view(-1, 1, 1, 1)
        found[..., at : at + step] = right.permute(1, 2, 3, 0).cpu().numpy()
    return found


def _class_mean(
    hits: npt.NDArray[np.bool_], label: npt.NDArray[np.int64], weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(r,) mean over the classes that have judges of each one's accuracy, and over the samples."""
    names, member = np.unique(label, return_inverse=True)
    right = hits.mean(axis=1) * weight
    count = np.bincount(member, weights=weight)
    each = np.stack([np.bincount(member, weights=one, minlength=len(names)) for one in right])
    return np.asarray((each / np.where(count > 0, count, np.nan))[:, count > 0].mean(axis=1))
