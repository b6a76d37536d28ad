"""Stage `review`: the images a person should look at, as a table, as CSV to fill in, and as a page with pictures.

Evidence and manifest are read once, stretch by stretch; of each query a few candidates are kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.policy.policy import Policy
from pipeline.policy.review import Candidates, Images, ReviewSettings, candidates, choose
from pipeline.stages.classes import ClassOrder, read_stretch, stretches
from pipeline.stages.fusion_queries import Queries
from pipeline.stages.review_files import ReviewHead, class_options, publish_review, review_table
from pipeline.stages.settled import Settled
from pipeline.storage.arrays import Array, ArrayShards, scratch_array
from pipeline.storage.artifacts import Artifact, Store, identity, inputs_of
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import iterate_table

STAGE: Final = "review"
CODE_VERSION: Final = "1"


def make_review(store: Store, recipe: str, policy: Policy, crawls: Sequence[str], settings: ReviewSettings) -> Artifact:
    """List the images whose verdict would change a recipe's manifest most.

    At most one of each duplicate group, at most `settings.quota` of each class, none that a verdict speaks for already,
    and none that repeats an image of val or test: that is never trained on, whatever a person says.

    Args:
        store: where listing and images of the crawls, duplicates, `evidence-fused`, `settled` and the recipe's
            manifest are current.
        recipe: the manifest's partition.
        policy: of the recipe; where it reads `fused`, verdicts move more than the image they are on.
        crawls: the crawls to read.
        settings: how many.

    Returns:
        `review/` (REVIEW), and beside it `review.csv` and `index.html`; fewer images than asked for where quotas leave
        no more.

    Raises:
        NotMadeError: one of the tables has not been made.
        ValueError: one was made of other images.
    """
    listings = [store.current("listing", crawl) for crawl in crawls]
    images = [store.current("images", crawl) for crawl in crawls]
    tables = {name: store.current(f"evidence-{name}") for name in ("duplicates", "fused")}
    settled, manifest = store.current("settled"), store.current("manifest", recipe)
    moves = "fused" in policy.evidence
    inputs = inputs_of([*listings, *images, *tables.values(), settled, manifest])
    wanted = identity(STAGE, CODE_VERSION, {**asdict(settings), "moves": moves}, inputs)

    def build(draft: Draft) -> Facts:
        order = ClassOrder.read(listings, images)
        read = _Tables(order, tables["duplicates"], tables["fused"], manifest, settled)
        quota = settings.quota(int((order.sizes > 0).sum()))
        found = Candidates.all_of(list(read.candidates(Queries.read(listings, order).of, quota, moves)))
        chosen, change = choose(found, settings.count, quota)
        table = review_table(order, listings, (tables["fused"], manifest), chosen, change)
        pictures = order.gather(ArrayShards([one.table("pixels") for one in images]), chosen.row)
        publish_review(draft, table, pictures, ReviewHead(recipe, wanted, class_options(listings)))
        return {"images": len(table), "quota": quota, "candidates": len(found.row), "change": float(change.sum())}

    return store.make(STAGE, recipe, wanted, build)


@dataclass(frozen=True)
class _Tables:
    """What is known of the t usable training images."""

    order: ClassOrder
    duplicates: Artifact
    fused: Artifact
    manifest: Artifact
    settled: Artifact

    def candidates(self, query: npt.NDArray[np.int32], quota: int, moves: bool) -> Iterator[Candidates]:
        """Those of each stretch of classes; `query` (t,) is each image's."""
        order, weight = self.order, self.weights()
        asked = Settled.read(self.settled, order)
        for number, classes in enumerate(stretches(order.sizes)):
            rows = slice(int(order.starts[classes[0]]), int(order.starts[classes[-1] + 1]))
            doubles = read_stretch(self.duplicates, number, order, rows, ("duplicate_group", "training_copies", "leak"))
            right = read_stretch(self.fused, number, order, rows, ("right_probability",))["right_probability"]
            looked_at = np.isin(np.arange(rows.start, rows.stop), asked.rows)
            images = Images(
                image_id=np.asarray(order.image_id[rows]),
                label=np.asarray(order.class_index[rows]),
                query=query[rows],
                group=doubles["duplicate_group"].to_numpy(),
                right=right.to_numpy().astype(np.float64),
                weight=weight[order.members[rows]].astype(np.float64),
                copies=np.maximum(doubles["training_copies"].to_numpy(), 1),
                askable=~(doubles["leak"].to_numpy() | looked_at),
                asked=looked_at,
            )
            yield candidates(images, rows.start, quota, moves)

    def weights(self) -> Array:
        """(n,) weight times repeats of every listed image, on the disk."""
        found, start = scratch_array((len(self.order.population.image_id),), np.float32), 0
        for batch in iterate_table(self.manifest.table("manifest"), ("image_id", "weight", "repeats")):
            rows = slice(start, start + batch.num_rows)
            if not np.array_equal(batch["image_id"].to_numpy(), self.order.population.image_id[rows]):
                break
            found[rows] = batch["weight"].to_numpy() * batch["repeats"].to_numpy()
            start = rows.stop
        if start != len(found):
            raise ValueError(
                f"the manifest of {self.manifest.partition} was made of other images than the crawls hold now: make it "
                "again with `winnow run`"
            )
        return found
