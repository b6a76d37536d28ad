"""Stage `manifest`: one recipe's weighted list of what is trained on, one row per listed image.

Where the recipe relabels, `class_index` is the class that an image is trained on as, which `suggested_class` says too.
Images that repeat one of val or test (`leak` of the duplicates) are named and get no weight, whatever the recipe, and
training images that are one picture share one image's weight.
"""

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
from pipeline.storage.artifacts import Artifact, Draft, Facts, Store, identity, inputs_of
from pipeline.storage.tables import write_table

STAGE = "manifest"
CODE_VERSION = "3"
BATCH_ROWS = 131_072
#: What `reason` says of images that no policy judges: quarantined, of a clean split, a leak, of a fold held out.
UNJUDGED = (
    *(f"quarantined: {code}" for code in DEFECTS),
    *(f"{split} image, not trained on" for split in SPLITS),
    "repeats a val or test image, not trained on",
    "held out, so that a network can judge it that never saw it",
)
LEAK, HELD_OUT = len(UNJUDGED) - 2, len(UNJUDGED) - 1


def make_manifest(
    store: Store, recipe: str, policy: Policy, crawls: Sequence[str], held_out: Fold | None = None
) -> Artifact:
    """Apply a policy to all usable training images of the crawls that repeat no image of val or test.

    Args:
        store: where listing, images, duplicates and the policy's evidence are current.
        recipe: the manifest's partition.
        policy: how images are weighed.
        crawls: the crawls to read.
        held_out: images to leave out, whole duplicate groups at a time.

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
        eligible = read_eligible(duplicates, order, held_out)
        rows = _Rows.of(order, eligible, decide(policy, order, eligible, evidence))
        path = draft.table("manifest") / "part-00000.parquet"
        draft.finish(0, {path: write_table(path, manifest_schema(policy), _batches(rows, policy, listings))})
        return _facts(rows, policy.relabels)

    settings: dict[str, Any] = {"parts": policy.described(), "evidence": policy.evidence}
    if held_out is not None:
        settings["held_out"] = asdict(held_out)
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
    place: npt.NDArray[np.int32]  # (n,) position among the t of those a policy judged, else -1
    unjudged: npt.NDArray[np.int8]  # (n,) position in UNJUDGED, else -1

    @classmethod
    def of(cls, order: ClassOrder, eligible: Eligible, decisions: Decisions) -> "_Rows":
        population, members = order.population, order.members
        why = np.where(population.defect >= 0, population.defect, len(DEFECTS) + population.split).astype(np.int8)
        why[members] = np.where(eligible.leak, LEAK, np.where(eligible.held_out, HELD_OUT, -1))
        place = np.full(len(why), -1, np.int32)
        place[members] = np.where(eligible.judged, np.arange(len(members)), -1)
        return cls(order, decisions, place, why)


def _batches(rows: _Rows, policy: Policy, listings: Sequence[Artifact]) -> Iterator[pa.RecordBatch]:
    schema = manifest_schema(policy)
    evidence = {
        name: pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)
        for name, parts in rows.decisions.evidence.items()
    }
    texts = [pa.array(list(words.texts), pa.string()) for words in rows.decisions.words]
    start = 0
    for paths in listed_paths(listings, BATCH_ROWS):
        span = slice(start, start + len(paths))
        start = span.stop
        at = pa.array(rows.place[span], mask=rows.place[span] < 0)
        columns = {"path": paths, "reason": _reasons(rows, span, texts), **_decided(rows, span, policy.relabels)}
        columns |= {name: pc.take(column, at).combine_chunks() for name, column in evidence.items()}
        yield pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _decided(rows: _Rows, span: slice, relabels: bool) -> dict[str, pa.Array]:
    place, decisions, population = rows.place[span], rows.decisions, rows.order.population
    judged = place >= 0

    def spread(values: npt.NDArray[Any], dtype: npt.DTypeLike, otherwise: int = 0) -> npt.NDArray[Any]:
        out = np.full(len(place), otherwise, dtype)
        out[judged] = values[place[judged]]
        return out

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
    """The words of every rule that saw an image; for images that none judged, why not."""
    place = rows.place[span]
    own = rows.unjudged[span]
    told = [pc.take(pa.array(UNJUDGED), pa.array(own, mask=own < 0))]
    for words, known in zip(rows.decisions.words, texts, strict=True):
        index = np.where(place >= 0, words.index[place], -1)
        told.append(pc.take(known, pa.array(index, mask=index < 0)))
    return pc.binary_join_element_wise(*told, "; ", null_handling="skip")


def _facts(rows: _Rows, relabels: bool) -> Facts:
    decisions, kept = rows.decisions, rows.decisions.kept
    seen = decisions.repeats > 0
    listed = np.zeros(len(rows.order.sizes), np.bool_)
    trained = listed.copy()
    listed[rows.order.population.class_index] = True
    moved = decisions.suggested[kept] if relabels else np.full(int(kept.sum()), NO_CLASS)
    trained[np.where(moved == NO_CLASS, rows.order.class_index[kept], moved)] = True
    total = float(np.multiply(decisions.weight, decisions.repeats, dtype=np.float64).sum())
    sightings = int(decisions.repeats.sum(dtype=np.int64))
    return {
        "rows": len(rows.place),
        "trainable": int((rows.place >= 0).sum()),
        "leaks": int((rows.unjudged == LEAK).sum()),
        "kept": int(kept.sum()),
        "suggested": int((decisions.suggested != NO_CLASS).sum()),
        "relabelled": int((moved != NO_CLASS).sum()),
        "images_per_epoch": sightings,
        "mean_weight": total / sightings,
        "min_weight": float(decisions.weight[seen].min()),
        "max_weight": float(decisions.weight[seen].max()),
        "classes": int(listed.sum()),
        "classes_without_images": np.flatnonzero(listed & ~trained).tolist(),
    }
