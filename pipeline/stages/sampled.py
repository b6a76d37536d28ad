"""A crawl's listing cut down to a sample, so that the stages can be tried on a few of its own images."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evidence.sampling import hashed_sample
from pipeline.records import CLASSES, LISTING, LOCATIONS, QUERIES, SPLITS
from pipeline.result_tables import MARGINS
from pipeline.storage.arrays import scratch_array, write_array
from pipeline.storage.artifacts import Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import count_rows, iterate_table, part_path, read_table, write_table

MOST_CLASSES: Final = 64  # that a sample is taken from: of thousands of classes each would have but an image or none
SEED: Final = 0


@dataclass(frozen=True)
class Labels:
    """What a sample is chosen by: the n listed images of some crawls, in scratch files."""

    image_id: npt.NDArray[np.int64]
    class_index: npt.NDArray[np.int32]
    training: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, listings: Sequence[Artifact]) -> "Labels":
        """Those of all listings, one after another."""
        total = sum(count_rows(listing.table("listing")) for listing in listings)
        found = cls(*(scratch_array((total,), kind) for kind in (np.int64, np.int32, np.bool_)))
        start = 0
        for listing in listings:
            for batch in iterate_table(listing.table("listing"), ("image_id", "class_index", "split")):
                rows = slice(start, start + batch.num_rows)
                found.image_id[rows] = batch["image_id"].to_numpy()
                found.class_index[rows] = batch["class_index"].to_numpy()
                found.training[rows] = pc.equal(batch["split"], "train").to_numpy(zero_copy_only=False)
                start = rows.stop
        return found

    def class_sizes(self, classes: int) -> npt.NDArray[np.int64]:
        """(C,) training images of each class."""
        return np.bincount(self.class_index[self.training], minlength=classes)

    def sample(self, count: int) -> npt.NDArray[np.int64]:
        """About `count` ids, ascending, of all splits in their proportions, from MOST_CLASSES classes at most."""
        present = np.unique(self.class_index)
        drawn = np.random.default_rng(SEED).permutation(present)[:MOST_CLASSES]
        own = self.image_id[np.isin(self.class_index, drawn)]
        return np.sort(own[hashed_sample(own, count, SEED)])


def sample_listing(store: Store, listing: Artifact, image_id: npt.NDArray[np.int64]) -> Artifact:
    """Publish in another store the listing of some of a crawl's images, with the whole catalogue and all queries.

    Its pictures lie where `listing` says they do: a spool is read in place.
    """

    def build(draft: Draft) -> Facts:
        splits: Counter[str] = Counter()
        files = {}
        for name, schema in (
            ("listing", LISTING),
            ("classes", CLASSES),
            ("queries", QUERIES),
            ("locations", LOCATIONS),
        ):
            if not listing.table(name).is_dir():
                continue
            path = part_path(draft.table(name), 0)
            files[path] = write_table(path, schema, _kept(listing, name, schema, image_id, splits))
        draft.finish(0, files)
        told: Facts = {name: listing.facts[name] for name in ("classes", "queries") if name in listing.facts}
        packed = None if listing.facts["containers"] is None else "crawl"
        counts = {split: splits[split] for split in SPLITS}
        return {**told, "containers": packed, "listed": splits.total(), "splits": counts}

    wanted = identity("listing", "sample", {"images": len(image_id)}, inputs_of([listing]))
    return store.make("listing", listing.partition, wanted, build)


def _kept(
    listing: Artifact, name: str, schema: pa.Schema, image_id: npt.NDArray[np.int64], splits: Counter[str]
) -> Iterator[pa.RecordBatch]:
    chosen = pa.array(image_id)
    for batch in iterate_table(listing.table(name)):
        kept = batch.filter(pc.is_in(batch["image_id"], chosen)) if "image_id" in schema.names else batch
        if name == "listing":
            splits.update(kept["split"].to_pylist())
        yield kept


def make_features_up(store: Store, images: Artifact, classes: npt.NDArray[Any], dimensions: int) -> Artifact:
    """Publish made-up features of decoded images: a cloud for each class, and a quarter of the images in another's.

    Args:
        store: where `images` is.
        images: the decoded images, in one part.
        classes: (u,) class of each row of pixels.
        dimensions: numbers in a vector.
    """

    def build(draft: Draft) -> Facts:
        rng = np.random.default_rng(SEED)
        shown = np.where(rng.random(len(classes)) < 0.25, rng.permutation(classes), classes)
        centres = rng.normal(size=(int(classes.max(initial=0)) + 1, dimensions))
        vectors = (centres[shown] + rng.normal(size=(len(classes), dimensions))).astype(np.float16)
        path = draft.table("features") / "part-00000.npy"
        with write_array(path, vectors.shape, np.float16) as stored:
            stored[:] = vectors
        draft.finish(0, {path: len(vectors)})
        return {"images": len(vectors), "model": "made up"}

    return store.make(
        "features", images.partition, identity("features", "made up", dimensions, inputs_of([images])), build
    )


def make_margins_up(store: Store, partition: str, manifest: Artifact) -> Artifact:
    """Publish the made-up margins of a training that never was, of all images of a manifest: a `model` without one."""

    def build(draft: Draft) -> Facts:
        image_id = np.sort(read_table(manifest.table("manifest"), ("image_id",))["image_id"].to_numpy())
        aum = np.random.default_rng(SEED).normal(size=len(image_id)).astype(np.float32)
        columns = {"image_id": image_id, "aum": aum, "sightings": np.ones(len(image_id), np.int32)}
        path = part_path(draft.table("margins"), 0)
        draft.finish(0, {path: write_table(path, MARGINS, [pa.table(columns, schema=MARGINS)])})
        return {"epochs": 1}

    return store.make("model", partition, identity("model", "made up", {}, inputs_of([manifest])), build)
