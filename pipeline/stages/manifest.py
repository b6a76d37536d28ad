"""Stage `manifest`: one recipe's weighted list of what is trained on, one row per listed image.

Where the recipe relabels, `class_index` is the class that an image is trained on as, which `suggested_class` says too.
Images that repeat one of val or test (`leak` of the duplicates) are named and get no weight, whatever the recipe, and
training images that are one picture share one image's weight.

What people found (`settled`) goes before the policy. An image whose label was found right is trained on, with at least
what is usual in its class (`people.stand_by`). One found wrong is not, and what it was found to be is suggested; where
the recipe relabels, it is trained on as that, with at least what is usual in the class it is listed with.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evidence_tables import EVIDENCE
from pipeline.policy.decision import NO_CLASS
from pipeline.policy.policy import Policy
from pipeline.records import DEFECTS, MANIFEST, SPLITS
from pipeline.stages.classes import ClassOrder
from pipeline.stages.decisions import Decisions, decide
from pipeline.stages.eligible import Eligible, Fold, read_eligible
from pipeline.stages.population import check_ids, check_one_catalogue, listed_paths
from pipeline.storage.arrays import blocks, scratch_array
from pipeline.storage.artifacts import Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import write_table

STAGE = "manifest"
CODE_VERSION = "4"
BATCH_ROWS = 131_072
#: What `reason` says of images that no policy judges: quarantined, of a clean split, a leak, held out, refused.
UNJUDGED = (
    *(f"quarantined: {code}" for code in DEFECTS),
    *(f"{split} image, not trained on" for split in SPLITS),
    "repeats a val or test image, not trained on",
    "held out, so that a network can judge it that never saw it",
    "a person found its label wrong, not trained on",
)
LEAK, HELD_OUT, REFUSED = range(len(UNJUDGED) - 3, len(UNJUDGED))


def make_manifest(
    store: Store,
    recipe: str,
    policy: Policy,
    crawls: Sequence[str],
    held_out: Fold | None = None,
    settled: Artifact | None = None,
) -> Artifact:
    """Apply a policy to all usable training images of the crawls that repeat no image of val or test.

    Args:
        store: where listing, images, duplicates and the policy's evidence are current.
        recipe: the manifest's partition.
        policy: how images are weighed.
        crawls: the crawls to read.
        held_out: images to leave out, whole duplicate groups at a time.
        settled: what people found; None where nobody is asked, which is the same as nothing found.

    Raises:
        NotMadeError: evidence that the policy reads has not been made.
        ValueError: the policy leaves nothing to train on.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    duplicates = store.current("evidence-duplicates")
    evidence = {name: store.current(f"evidence-{name}") for name in policy.evidence}

    def build(draft: Draft) -> Facts:
        check_one_catalogue(listings)
        order = ClassOrder.read(listings, images)
        check_ids(order.population)
        eligible = read_eligible(duplicates, order, held_out, settled, policy.relabels)
        rows = _Rows.of(order, eligible, decide(policy, order, eligible, evidence))
        path = draft.table("manifest") / "part-00000.parquet"
        batches = _batches(rows, policy, listings)
        draft.finish(0, {path: write_table(path, manifest_schema(policy), batches)})
        return _facts(rows, policy.relabels)

    settings: dict[str, Any] = {"parts": policy.described(), "evidence": policy.evidence}
    if held_out is not None:
        settings["held_out"] = asdict(held_out)
    if settled is not None and settled.facts["images"]:
        settings["settled"] = settled.facts["digest"]
    inputs = inputs_of([*listings, *images, duplicates, *evidence.values()])
    return store.make(STAGE, recipe, identity(STAGE, CODE_VERSION, settings, inputs), build)


def manifest_schema(policy: Policy) -> pa.Schema:
    """MANIFEST followed by the evidence the policy reads, null for images it did not judge."""
    used = [EVIDENCE[table].field(name) for table, names in policy.evidence.items() for name in names]
    return pa.schema([*MANIFEST, *(field.with_nullable(True) for field in used)])


@dataclass(frozen=True)
class _Rows:
    """What manifest rows are cut from: n listed images, t of them usable training images by class."""

    order: ClassOrder
    decisions: Decisions  # of t
    place: npt.NDArray[np.int32]  # (n,) position among the t of those a policy judged or a person refused, else -1
    unjudged: npt.NDArray[np.int8]  # (n,) position in UNJUDGED, else -1

    @classmethod
    def of(cls, order: ClassOrder, eligible: Eligible, decisions: Decisions) -> "_Rows":
        population, listed = order.population, len(order.population.split)
        place, why = scratch_array((listed,), np.int32), scratch_array((listed,), np.int8)
        for rows in blocks(listed):
            defect = population.defect[rows]
            place[rows], why[rows] = -1, np.where(defect >= 0, defect, len(DEFECTS) + population.split[rows])
        for rows in blocks(len(order)):
            own, here = order.members[rows], np.arange(rows.start, rows.stop)
            why[own] = np.where(eligible.leak[rows], LEAK, np.where(eligible.held_out[rows], HELD_OUT, -1))
            place[own] = np.where(eligible.judged(rows), here, -1)
        refused = order.members[eligible.refused]
        why[refused], place[refused] = REFUSED, eligible.refused
        return cls(order, decisions, place, why)


def _batches(rows: _Rows, policy: Policy, listings: Sequence[Artifact]) -> Iterator[pa.RecordBatch]:
    schema = manifest_schema(policy)
    texts = [pa.array(list(words.texts), pa.string()) for words in rows.decisions.words]
    start = 0
    for paths in listed_paths(listings, BATCH_ROWS):
        span = slice(start, start + len(paths))
        start = span.stop
        at = rows.place[span]
        columns = {"path": paths, "reason": _reasons(rows, span, texts), **_decided(rows, span, policy.relabels)}
        for name, column in rows.decisions.evidence.items():
            columns[name] = pa.array(column.values[at], mask=(at < 0) | ~column.known[at])
        yield pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _decided(rows: _Rows, span: slice, relabels: bool) -> dict[str, pa.Array]:
    place, decisions, population = rows.place[span], rows.decisions, rows.order.population
    judged = place >= 0

    def spread(values: npt.NDArray[Any], dtype: npt.DTypeLike, otherwise: int = 0) -> npt.NDArray[Any]:
        return np.where(judged, values[place], otherwise).astype(dtype, copy=False)

    suggested = spread(decisions.suggested, np.int32, NO_CLASS)
    label = population.class_index[span]
    weight, repeats = spread(decisions.weight, np.float32), spread(decisions.repeats, np.int32)
    return {
        "image_id": pa.array(population.image_id[span]),
        "class_index": pa.array(np.where(relabels & (suggested != NO_CLASS), suggested, label)),
        "weight": pa.array(weight),
        "repeats": pa.array(repeats),
        "stage": pa.array(spread(decisions.stage, np.int32)),
        "kept": pa.array((weight > 0) & (repeats > 0)),
        "suggested_class": pa.array(suggested, mask=suggested == NO_CLASS),
    }


def _reasons(rows: _Rows, span: slice, texts: Sequence[pa.Array]) -> pa.Array:
    """The words of every rule that saw an image; for images that none judged, why not.

    Few combinations of words come up, however many images there are: the first image of each has them joined for all.
    """
    place = rows.place[span]
    said = [(pa.array(UNJUDGED), rows.unjudged[span])]
    for words, known in zip(rows.decisions.words, texts, strict=True):
        said.append((known, np.where(place >= 0, words.index[place], -1)))
    combination = np.zeros(len(place), np.int64)
    for known, index in said:
        code = combination * (len(known) + 1) + index + 1  # of two small numbers: no product grows out of its type
        combination = pc.dictionary_encode(pa.array(code)).indices.to_numpy()  # numbered as they first come up
    first = np.flatnonzero(np.diff(np.maximum.accumulate(combination), prepend=-1))
    told = [pc.take(known, pa.array(index[first], mask=index[first] < 0)) for known, index in said]
    return pc.take(pc.binary_join_element_wise(*told, "; ", null_handling="skip"), pa.array(combination))


def _facts(rows: _Rows, relabels: bool) -> Facts:
    decisions, population, labels = rows.decisions, rows.order.population, rows.order.class_index
    listed, trained = (np.zeros(len(rows.order.sizes), np.bool_) for _ in range(2))
    count: Counter[str] = Counter()
    total, lightest, heaviest = 0.0, np.inf, 0.0
    for span in blocks(len(rows.place)):
        listed[population.class_index[span]] = True
        count["trainable"] += int(((rows.place[span] >= 0) & (rows.unjudged[span] < 0)).sum())
        count["refused"] += int((rows.unjudged[span] == REFUSED).sum())
        count["leaks"] += int((rows.unjudged[span] == LEAK).sum())
    for span in blocks(len(labels)):
        weight, repeats, suggested = decisions.weight[span], decisions.repeats[span], decisions.suggested[span]
        kept, moved = decisions.kept(span), relabels & (suggested != NO_CLASS)
        trained[np.where(moved, suggested, labels[span])[kept]] = True
        count["kept"] += int(kept.sum())
        count["suggested"] += int((suggested != NO_CLASS).sum())
        count["relabelled"] += int((kept & moved).sum())
        count["images_per_epoch"] += int(repeats.sum(dtype=np.int64))
        total += float(np.multiply(weight, repeats, dtype=np.float64).sum())
        lightest = min(lightest, float(weight[repeats > 0].min(initial=np.inf)))
        heaviest = max(heaviest, float(weight.max(initial=0)))
    return {
        "rows": len(rows.place),
        **count,
        "mean_weight": total / count["images_per_epoch"],
        "min_weight": lightest,
        "max_weight": heaviest,
        "classes": int(listed.sum()),
        "classes_without_images": np.flatnonzero(listed & ~trained).tolist(),
    }
