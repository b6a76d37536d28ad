"""Ensembles: several models' predictions combined into predictions that are stored, named and scored as a model's are.

They lie in the stage `predictions` under names of their own, one for each seed, so that whatever reads a recipe's
predictions (the summary, the report, a student's teacher) reads an ensemble's.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ensemble.combine import average, log_probabilities, majority_vote, vote_average, weighted
from pipeline.ensemble.learn import EnsembleSettings, Learned, learn
from pipeline.evidence.folds import fold_of_groups
from pipeline.evidence.sampling import hashed_sample
from pipeline.result_tables import ENSEMBLE_WEIGHTS, predictions
from pipeline.stages.predicted import Logits, classes_of, same_parts, side_by_side
from pipeline.storage.arrays import scratch_array
from pipeline.storage.artifacts import Artifact, Store, identity, inputs_of, seeded
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import iterate_table, part_path, read_table, write_table

STAGE = "predictions"
TRAINING_STAGE = "predictions-training"  # of the training images: asked for by itself, for it takes by far the most
CODE_VERSION = "1"
LEARNED: Final = "ensemble-learned"
Combine = Callable[[Logits], npt.NDArray[np.float16]]
#: The ensembles by name; the learned one has weights beside its predictions.
ENSEMBLES: Final = ("ensemble-vote", "ensemble-average", "ensemble-vote-average", LEARNED)
_PLAIN: Final[dict[str, Combine]] = {
    "ensemble-vote": majority_vote,
    "ensemble-average": average,
    "ensemble-vote-average": vote_average,
}
_WEIGHTS_SHARD: Final = 99_999  # in the ledger: no part of the predictions
_FINE: Final = 2**30  # folds so many that an image's number is its place in a random order


class TooFewCleanImagesError(ValueError):
    """Weights cannot be learned: there is no val split to learn them on."""


@dataclasses.dataclass(frozen=True)
class _Fitted:
    """Learned weights and the images they were learned on."""

    learned: Learned
    image_id: npt.NDArray[np.int64]  # (n,) of val, ascending
    fold: npt.NDArray[np.int32]  # (n,)

    def combine(self, image_id: npt.NDArray[np.int64], logits: Logits) -> npt.NDArray[np.float16]:
        """Images that the weights were learned on are given those that were learned without them: val stays honest."""
        place = np.searchsorted(self.image_id, image_id).clip(max=len(self.image_id) - 1)
        fold = np.where(self.image_id[place] == image_id, self.fold[place], len(self.learned.folds))
        out = np.empty(logits.shape[1:], np.float16)
        for number, weights in enumerate((*self.learned.folds, self.learned.weights)):
            own = fold == number
            if own.any():
                out[own] = weighted(logits[:, own], weights)
        return out


def make_ensemble(
    store: Store, name: str, seed: int, members: Sequence[Artifact], settings: EnsembleSettings
) -> Artifact:
    """Combine the `predictions` of some models, val and test alike.

    Facts: images, members, made_of (their identities); of the learned ensemble also log_loss (cross-validated, nats, by
    kind of weights), strength and weights (of each member for all classes together).

    Args:
        store: where they lie.
        name: one of ENSEMBLES.
        seed: it is stored under.
        members: at least one, in the order the weights are told in.
        settings: of the learned one; the others have none.

    Raises:
        ValueError: the members predict other images than each other.
        TooFewCleanImagesError: weights are to be learned and val has fewer images than there are folds.
    """
    fits = {**dataclasses.asdict(settings), "members": None} if name == LEARNED else None  # they are its inputs
    wanted = identity("ensemble", CODE_VERSION, {"name": name, "seed": seed, "settings": fits}, inputs_of(members))

    def build(draft: Draft) -> Facts:
        facts: Facts = {"members": _names(members), "made_of": inputs_of(members)}
        if name != LEARNED:
            return facts | {"images": _write(draft, members, seed, lambda _, logits: _PLAIN[name](logits))}
        fitted = _fit(members, settings)
        path = part_path(draft.table("weights"), 0)
        table = _weights_table(_names(members), fitted.learned)
        draft.finish(_WEIGHTS_SHARD, {path: write_table(path, ENSEMBLE_WEIGHTS, [table])})
        images = _write(draft, members, seed, fitted.combine)
        return facts | {"images": images} | _told(fitted.learned, _names(members), settings)

    return store.make(STAGE, seeded(name, seed), wanted, build)


def make_training_ensemble(store: Store, ensemble: Artifact, members: Sequence[Artifact]) -> Artifact:
    """What an ensemble says of the training images, from what its members say of them.

    Args:
        store: where they lie.
        ensemble: what `make_ensemble` made.
        members: its members' `predictions-training`, in the order of its fact `members`.

    Raises:
        ValueError: these are not its members, or they predict other images than each other.
    """
    if _names(members) != ensemble.facts["members"]:
        raise ValueError(f"{ensemble.partition} is of {ensemble.facts['members']}, not of {_names(members)}")
    seed = int(ensemble.partition.rpartition("@")[2])

    def build(draft: Draft) -> Facts:
        combine = combiner(ensemble)
        return {"images": _write(draft, members, seed, lambda _, logits: combine(logits)), "members": _names(members)}

    wanted = identity("training-ensemble", CODE_VERSION, {}, inputs_of([ensemble, *members]))
    return store.make(TRAINING_STAGE, ensemble.partition, wanted, build)


def current_ensemble(store: Store, name: str, seed: int) -> Artifact | None:
    """The ensemble of that name and seed, if there is one and each of its members is still what it was made of."""
    if seeded(name, seed) not in store.partitions(STAGE):
        return None
    found = store.current(STAGE, seeded(name, seed))
    now = inputs_of([store.current(STAGE, member) for member in found.facts["members"]])
    return found if now == found.facts["made_of"] else None


def combiner(ensemble: Artifact) -> Combine:
    """How an ensemble combines its members' logits (M, n, C), in the order of its fact `members`, into (n, C)."""
    name = ensemble.partition.rpartition("@")[0]
    if name != LEARNED:
        return _PLAIN[name]
    weights = read_weights(ensemble)
    return lambda logits: weighted(logits, weights)


def read_weights(ensemble: Artifact) -> npt.NDArray[np.float64]:
    """(M,) or (M, C): what a learned ensemble's members count, in the order of its fact `members`."""
    table = read_table(ensemble.table("weights"))
    own = table.filter(pc.is_valid(table["class_index"]))
    weight = np.asarray((own if len(own) else table)["weight"].to_numpy(), np.float64)
    return weight.reshape(len(ensemble.facts["members"]), -1) if len(own) else weight


def _names(members: Sequence[Artifact]) -> list[str]:
    return [member.partition for member in members]


def _write(
    draft: Draft,
    members: Sequence[Artifact],
    seed: int,
    combine: Callable[[npt.NDArray[np.int64], Logits], npt.NDArray[np.float16]],
) -> int:
    """Every part of the members' predictions combined; returns the images in all."""
    schema = predictions(classes_of(members[0]))
    images = 0
    for number, parts in enumerate(same_parts(members)):
        facts = draft.finished(number)
        if facts is None:
            path = part_path(draft.table("predictions"), number)
            rows = write_table(path, schema, _combined(parts, members, seed, combine))
            facts = {"images": rows}
            draft.finish(number, {path: rows}, facts)
        images += facts["images"]
    return images


def _combined(
    parts: Sequence[Path],
    members: Sequence[Artifact],
    seed: int,
    combine: Callable[[npt.NDArray[np.int64], Logits], npt.NDArray[np.float16]],
) -> Iterator[pa.Table]:
    for keys, logits in side_by_side(parts, members):
        stored = combine(keys["image_id"].to_numpy(), logits)
        columns = dict(zip(keys.schema.names, keys.columns, strict=True)) | {
            "seed": pa.array(np.full(len(stored), seed, np.int32)),
            "logits": pa.FixedSizeListArray.from_arrays(pa.array(stored.reshape(-1)), stored.shape[1]),
        }
        schema = predictions(stored.shape[1])
        yield pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _fit(members: Sequence[Artifact], settings: EnsembleSettings) -> _Fitted:
    """Learn on val, or on as many of its images as the settings allow."""
    val = _val_images(members[0])
    if len(val) < settings.folds:
        raise TooFewCleanImagesError(
            f"{LEARNED} learns its weights on val, which has {len(val)} usable images, and is judged on test: give the "
            f"crawl a val split of {settings.folds} images at least, or take ensemble-average"
        )
    chosen = np.sort(val[hashed_sample(val, settings.fit_images, seed=0)])
    classes = classes_of(members[0])
    log_p = scratch_array((len(chosen), len(members), classes), np.float32)
    label = np.zeros(len(chosen), np.int32)
    for parts in same_parts(members):
        for keys, logits in side_by_side(parts, members):
            image_id = keys["image_id"].to_numpy()
            own = np.flatnonzero(np.isin(image_id, chosen))
            at = np.searchsorted(chosen, image_id[own])
            log_p[at] = log_probabilities(logits[:, own])[0].transpose(1, 0, 2)
            label[at] = keys["class_index"].to_numpy()[own]
    place = np.empty(len(chosen), np.int64)
    place[np.argsort(fold_of_groups(chosen, _FINE, seed=0), kind="stable")] = np.arange(len(chosen))
    fold = (place % settings.folds).astype(np.int32)  # even ones: with few images, hashes alone may leave a fold empty
    return _Fitted(learn(log_p, label, fold, settings), chosen, fold)


def _val_images(predicted: Artifact) -> npt.NDArray[np.int64]:
    """(n,) ids."""
    batches = iterate_table(predicted.table("predictions"), ("image_id", "split"))
    found = [batch.filter(pc.equal(batch["split"], "val"))["image_id"].to_numpy() for batch in batches]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _weights_table(names: Sequence[str], learned: Learned) -> pa.Table:
    members = len(names)
    whole = {"member": pa.array(names), "class_index": pa.nulls(members, pa.int32()), "weight": learned.member}
    tables = [pa.table(whole, schema=ENSEMBLE_WEIGHTS)]
    if learned.weights.ndim == 2:
        classes = learned.weights.shape[1]
        each = {
            "member": np.repeat(names, classes),
            "class_index": np.tile(np.arange(classes, dtype=np.int32), members),
            "weight": learned.weights.reshape(-1),
        }
        tables.append(pa.table(each, schema=ENSEMBLE_WEIGHTS))
    return pa.concat_tables(tables)


def _told(learned: Learned, names: Sequence[str], settings: EnsembleSettings) -> Facts:
    kinds = ["a weight per member", *(f"per class, strength {strength:g}" for strength in settings.strengths)]
    return {
        "weights": dict(zip(names, learned.member.tolist(), strict=True)),
        "strength": learned.strength,
        "log_loss": dict(zip(kinds, learned.log_loss, strict=False)),  # none where there is one member
    }
