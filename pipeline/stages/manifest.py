"""Stage `manifest`: one recipe's weighted list of what is trained on, one row per listed image.

Images that repeat one of val or test (`leak` of the duplicates) are named and get no weight, whatever the recipe.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evidence.folds import fold_of_groups
from pipeline.evidence_tables import EVIDENCE
from pipeline.policy.decision import Decision, mean_one
from pipeline.records import DEFECTS, MANIFEST, SPLITS
from pipeline.stages.classes import ClassOrder, read_evidence
from pipeline.stages.population import Population, check_ids, check_one_catalogue, listed_paths
from pipeline.storage.artifacts import Artifact, Draft, Facts, Store, identity, inputs_of
from pipeline.storage.tables import write_table

STAGE = "manifest"
CODE_VERSION = "2"
BATCH_ROWS = 131_072
#: What `reason` says of images that no policy judges: quarantined, of a clean split, a leak, of a fold held out.
UNJUDGED = (
    *(f"quarantined: {code}" for code in DEFECTS),
    *(f"{split} image, not trained on" for split in SPLITS),
    "repeats a val or test image, not trained on",
    "held out, so that a network can judge it that never saw it",
)
LEAK, HELD_OUT = len(UNJUDGED) - 2, len(UNJUDGED) - 1

Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a recipe weighs images: its name and version are part of the manifest's identity."""

    name: str
    #: evidence tables and the columns of each that `decide` reads and the manifest shows
    evidence: Mapping[str, tuple[str, ...]]
    #: columns of the trainable images (class_index and those above) -> what counts how much
    decide: Callable[[Columns], Decision]
    version: str = "1"


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Images left out of a training, so that its network can judge them without having seen their labels."""

    number: int  # from 0
    folds: int
    seed: int


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
        unjudged = _unjudged(order, duplicates, held_out)
        trained = np.flatnonzero(unjudged[order.members] < 0)
        trained = trained[np.argsort(order.members[trained])]  # the policy and the table go by the listing's order
        columns: dict[str, npt.NDArray[Any]] = {}
        for name, artifact in evidence.items():
            table = read_evidence(artifact, order, policy.evidence[name])
            columns |= {column: table[column].to_numpy()[trained] for column in policy.evidence[name]}
        decision = policy.decide({"class_index": order.class_index[trained], **columns})
        weight = mean_one(decision.weight, decision.repeats)
        rows = _Rows(order.population, order.members[trained], unjudged, decision, weight, columns)
        path = draft.table("manifest") / "part-00000.parquet"
        draft.finish(0, {path: write_table(path, manifest_schema(policy), _batches(rows, policy, listings))})
        return _facts(rows)

    settings = {"policy": policy.name, "version": policy.version, "evidence": policy.evidence}
    if held_out is not None:
        settings["held_out"] = asdict(held_out)
    inputs = inputs_of([*listings, *images, duplicates, *evidence.values()])
    return store.make(STAGE, recipe, identity(STAGE, CODE_VERSION, settings, inputs), build)


def _unjudged(order: ClassOrder, duplicates: Artifact, held_out: Fold | None) -> npt.NDArray[np.int64]:
    """(n,) for every listed image its position in UNJUDGED, -1 for what the policy judges."""
    population = order.population
    found = np.where(population.defect >= 0, population.defect, len(DEFECTS) + population.split).astype(np.int64)
    found[order.members] = -1
    known = read_evidence(duplicates, order, ("leak", "duplicate_group"))
    if held_out is not None:
        fold = fold_of_groups(known["duplicate_group"].to_numpy(), held_out.folds, held_out.seed)
        found[order.members[fold == held_out.number]] = HELD_OUT
    found[order.members[known["leak"].to_numpy()]] = LEAK
    return found


def manifest_schema(policy: Policy) -> pa.Schema:
    """MANIFEST followed by the evidence the policy reads, null for images it did not judge."""
    used = [EVIDENCE[table].field(name) for table, names in policy.evidence.items() for name in names]
    return pa.schema([*MANIFEST, *(field.with_nullable(True) for field in used)])


@dataclass(frozen=True)
class _Rows:
    """What manifest rows are cut from: n listed images, t of them trainable."""

    population: Population
    trainable: npt.NDArray[np.int64]  # (t,) positions of those the policy judged, ascending
    unjudged: npt.NDArray[np.int64]  # (n,) position in UNJUDGED, -1 for those
    decision: Decision  # of t
    weight: npt.NDArray[np.float32]  # (t,)
    evidence: Columns  # each (t,)

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """(t,) which images have any say in the training."""
        return (self.decision.repeats > 0) & (self.weight > 0)


def _batches(rows: _Rows, policy: Policy, listings: Sequence[Artifact]) -> Iterator[pa.RecordBatch]:
    schema = manifest_schema(policy)
    place = np.full(len(rows.population.image_id), -1, np.int64)  # of each listed image among the trainable
    place[rows.trainable] = np.arange(len(rows.trainable))
    start = 0
    for paths in listed_paths(listings, BATCH_ROWS):
        span = slice(start, start + len(paths))
        start = span.stop
        yield _batch(rows, schema, span, place[span], paths)


def _batch(
    rows: _Rows, schema: pa.Schema, span: slice, place: npt.NDArray[np.int64], paths: pa.Array
) -> pa.RecordBatch:
    judged = place >= 0

    def spread(values: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        out = np.zeros(len(place), dtype)
        out[judged] = values[place[judged]]
        return out

    columns = {
        "image_id": rows.population.image_id[span],
        "path": paths,
        "class_index": rows.population.class_index[span],
        "weight": spread(rows.weight, np.float32),
        "repeats": spread(rows.decision.repeats, np.int32),
        "stage": spread(rows.decision.stage, np.int32),
        "kept": spread(rows.kept, np.bool_),
        "suggested_class": pa.nulls(len(place), pa.int32()),
        "reason": _reasons(rows, span, place),
    }
    columns |= {name: pa.array(spread(values, values.dtype), mask=~judged) for name, values in rows.evidence.items()}
    return pa.record_batch([pa.array(columns[name]) for name in schema.names], schema=schema)


def _reasons(rows: _Rows, span: slice, place: npt.NDArray[np.int64]) -> pa.Array:
    """The policy's words for what it judged; for the rest, why it was not."""
    index = rows.unjudged[span].copy()
    judged = place >= 0
    index[judged] = len(UNJUDGED) + rows.decision.reason[place[judged]]
    return pc.take(pa.array([*UNJUDGED, *rows.decision.reasons]), pa.array(index))


def _facts(rows: _Rows) -> Facts:
    seen = rows.decision.repeats > 0
    classes = np.unique(rows.population.class_index)
    trained = np.unique(rows.population.class_index[rows.trainable][rows.kept])
    repeats = rows.decision.repeats.astype(np.int64)
    return {
        "rows": len(rows.population.image_id),
        "trainable": len(rows.trainable),
        "leaks": int((rows.unjudged == LEAK).sum()),
        "kept": int(rows.kept.sum()),
        "images_per_epoch": int(repeats.sum()),
        "mean_weight": float((rows.weight.astype(np.float64) * repeats).sum() / repeats.sum()),
        "min_weight": float(rows.weight[seen].min()),
        "max_weight": float(rows.weight[seen].max()),
        "classes": len(classes),
        "classes_without_images": np.setdiff1d(classes, trained).tolist(),
    }
