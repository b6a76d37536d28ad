"""Stage `retraining`: for each recipe, whether to train it again, and why.

What it was trained on is told by the store's history: the manifest and the estimates that were the latest computed when
its current model's training began.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import RETRAINING
from pipeline.retraining import Change, Moved, RetrainingSettings, mean_moved, most_moved, reasons
from pipeline.stages.classes import ClassOrder, current_features
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import iterate_table, part_path, read_table, write_table

STAGE: Final = "retraining"
CODE_VERSION: Final = "1"
QUARANTINED: Final = "quarantined"  # how a manifest's reason begins where an image could not be used

Row = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """A recipe, its manifest now, and its last training."""

    recipe: str
    teachers: tuple[str, ...]
    manifest: Artifact
    model: Artifact | None  # None: it was never trained
    #: the recipe's manifest and the fused evidence when that training began; None: nobody knows any more
    manifest_then: Artifact | None
    fused_then: Artifact | None


def last_trainings(store: Store, recipes: Sequence[tuple[str, tuple[str, ...], str]]) -> list[Trained]:
    """What is known of the last training of each recipe that has a manifest.

    Args:
        store: whose.
        recipes: name, teachers, and the partition of the model that stands for it; teachers before their students.
    """
    work, manifests, models = store.work(), store.partitions("manifest"), store.partitions("model")
    found = []
    for recipe, teachers, partition in recipes:
        if recipe not in manifests:
            continue
        manifest = store.current("manifest", recipe)
        model = store.current("model", partition) if partition in models else None
        began = max((line["started"] for line in work if model and line["identity"] == model.identity), default=0.0)

        def before(stage: str, of: str, began: float = began) -> Artifact | None:
            """The latest of a stage and partition that was computed before the training began."""
            own = [line for line in work if (line["stage"], line["partition"]) == (stage, of)]
            past = [line["identity"] for line in own if line["started"] < began]
            return store.find(stage, of, past[-1]) if past else None

        fused = before("evidence-fused", WHOLE)
        found.append(Trained(recipe, teachers, manifest, model, before("manifest", recipe), fused))
    return found


def make_retraining(
    store: Store, crawls: Sequence[str], trained: Sequence[Trained], settings: RetrainingSettings
) -> Artifact:
    """Hold what there is now against what each recipe was trained on.

    Args:
        store: where listing and images are current; features and fused evidence where they have been made.
        crawls: the crawls to read.
        trained: from `last_trainings`.
        settings: from where on a recipe is trained again.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    try:
        features, fused = current_features(store, crawls), store.current("evidence-fused")
    except NotMadeError:  # before the first baseline
        features, fused = [], None

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        rows = _rows(trained, order, features, fused, settings)
        path = part_path(draft.table(STAGE), 0)
        draft.finish(0, {path: write_table(path, RETRAINING, [pa.Table.from_pylist(rows, schema=RETRAINING)])})
        return {"recipes": len(rows), "asked": sum(row["asked"] for row in rows), **asdict(settings)}

    past = [
        [one.recipe, one.teachers, *(each and each.identity for each in (one.model, one.manifest_then, one.fused_then))]
        for one in trained
    ]
    inputs = inputs_of([*listings, *images, *features, *([fused] if fused else []), *(one.manifest for one in trained)])
    wanted = identity(STAGE, CODE_VERSION, {"settings": asdict(settings), "past": past}, inputs)
    return store.make(STAGE, WHOLE, wanted, build)


def _rows(
    trained: Sequence[Trained],
    order: ClassOrder,
    features: Sequence[Artifact],
    fused: Artifact | None,
    settings: RetrainingSettings,
) -> list[Row]:
    known = {one.recipe: _known(one.manifest_then, order) for one in trained if one.model is not None}
    masks = {recipe: mask for recipe, mask in known.items() if mask is not None}
    moved = _features_moved(masks, order, features, settings.class_images)
    rows: list[Row] = []
    for one in trained:
        mask = masks.get(one.recipe)
        precision = _precision_moved(one.fused_then, fused, settings.class_images)
        new = len(order) - int(mask.sum()) if mask is not None else 0
        change = Change(len(order), new, moved.get(one.recipe), precision if mask is not None else None)
        why = _why(one, change, settings, known=mask is not None)
        waits = [teacher for teacher in one.teachers if any(row["asked"] for row in rows if row["recipe"] == teacher)]
        if why and waits:
            told = f"waits for the training of {', '.join(waits)}: {'; '.join(why)}"
        else:
            told = "; ".join(why) or ("nothing asks for it" if mask is not None else _FORGOTTEN)
        rows.append(_row(one, change, bool(why) and not waits, told))
    return rows


_FORGOTTEN: Final = "what it was trained on is not in the store any more: train it by hand"


def _why(one: Trained, change: Change, settings: RetrainingSettings, *, known: bool) -> list[str]:
    if one.model is None:
        return ["it was never trained"]
    return reasons(change, settings) if known else []


def _row(one: Trained, change: Change, asked: bool, told: str) -> Row:
    row = {"recipe": one.recipe, "manifest": one.manifest.identity, "asked": asked, "why": told}
    row |= {"images": change.images, "new_images": change.new_images, "new_share": change.new_share}
    for name, moved in (("feature", change.features), ("precision", change.precision)):
        row |= {f"{name}_drift": moved and moved.by, f"{name}_class": moved and moved.class_index}
    return row


def _known(manifest: Artifact | None, order: ClassOrder) -> npt.NDArray[np.bool_] | None:
    """(t,) which images of the order a manifest had as usable; None without a manifest."""
    if manifest is None:
        return None
    ids = [
        batch["image_id"].filter(pc.invert(pc.starts_with(batch["reason"], QUARANTINED))).to_numpy()
        for batch in iterate_table(manifest.table("manifest"), ("image_id", "reason"))
    ]
    return np.isin(order.image_id, np.concatenate(ids) if ids else np.empty(0, np.int64))


def _features_moved(
    known: dict[str, npt.NDArray[np.bool_]], order: ClassOrder, features: Sequence[Artifact], least: int
) -> dict[str, Moved | None]:
    """Of each recipe, the class whose mean feature moved most; one pass over the features for all of them."""
    classes = len(order.sizes)
    moves = {recipe: np.full(classes, np.nan) for recipe in known}
    if features:
        shards = ArrayShards([artifact.table("features") for artifact in features])
        for label in range(classes):
            rows = order.rows(label)
            own = {recipe: mask[rows] for recipe, mask in known.items()}
            then = {recipe: mask for recipe, mask in own.items() if least <= mask.sum() < len(mask)}
            if then:  # else nothing of it is new, or too little was there
                vectors = order.gather(shards, rows)
                for recipe, mask in then.items():
                    moves[recipe][label] = mean_moved(vectors, mask)
    return {recipe: most_moved(own) for recipe, own in moves.items()}


def _precision_moved(then: Artifact | None, now: Artifact | None, least: int) -> Moved | None:
    """The class whose estimated share of right labels changed most between two `evidence-fused`."""
    if then is None or now is None:
        return None
    before, after = (
        {
            row["class_index"]: row["right_share"]
            for row in read_table(artifact.table("classes")).to_pylist()
            if row["images"] >= least
        }
        for artifact in (then, now)
    )
    both = sorted(set(before) & set(after))
    if not both:
        return None
    moved = most_moved(np.array([after[label] - before[label] for label in both]))
    return moved and Moved(both[moved.class_index], moved.by)
