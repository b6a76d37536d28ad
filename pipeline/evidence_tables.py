"""What is known of each image, one table per source of evidence. Every table is `image_id` and the source's columns.

All of them hold exactly the usable training images, in one order: by class, within a class crawl after crawl in the
listing's order. So tables lie row beside row, and the wide view `evidence` is all of them side by side. Column names
are unique over all tables. A null says that the source knows nothing of the image, which is no verdict.
"""

from typing import Final

import pyarrow as pa

_ID = pa.field("image_id", pa.int64(), nullable=False)


def _table(*fields: pa.Field) -> pa.Schema:
    return pa.schema([_ID, *fields])


def _sure(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


#: Groups of pictures that are the same picture, over classes, crawls and splits.
DUPLICATES: Final = _table(
    _sure("duplicate_group", pa.int64()),  # the smallest image_id of the group; its own where it has no double
    _sure("exact_copies", pa.int32()),  # other usable images, of any split, with the same bytes
    _sure("near_copies", pa.int32()),  # other usable images of the group with other bytes
    _sure("training_copies", pa.int32()),  # images of the group that are trained on, itself among them: at least 1
    _sure("leak", pa.bool_()),  # it, or another image of its group, repeats one of val or test
)

#: `evidence-duplicates`, folder `groups/`: every usable image, of any split, of every group of two or more.
GROUPS: Final = pa.schema(
    [
        _sure("duplicate_group", pa.int64()),  # ascending
        _sure("image_id", pa.int64()),  # ascending within the group
        _sure("class_index", pa.int32()),
        _sure("split", pa.string()),  # "train", "val" or "test"
        _sure("exact", pa.bool_()),  # shares its bytes with another image
        _sure("leak", pa.bool_()),  # for training, a double of one of val or test; of val or test, one of training
    ]
)

#: Where an image stands in its class's search results, all queries and sources merged.
RANK: Final = _table(
    pa.field("position", pa.int32()),  # 1-based in the class's merged ranking; null without a rank
    _sure("top_ranked", pa.bool_()),  # among the class's first `rank.top`
)

#: Per-class k-means.
KMEANS: Final = _table(
    _sure("cluster", pa.int32()),  # 0 is the largest of its class; -1 where the features are not finite
    _sure("cluster_share", pa.float32()),  # images of the cluster / of the class; 0 without one
    _sure("distance", pa.float32()),  # squared Euclidean, to the cluster's centre; inf without one
    pa.field("cluster_compactness", pa.float32()),  # mean of `distance` over the cluster; null without one
    pa.field("cluster_top_distance", pa.float32()),  # squared Euclidean, cluster's centre to the top-ranked images' one
)

#: Per-class density, as CurriculumNet measures it or by nearest neighbours.
DENSITY: Final = _table(
    pa.field("density", pa.float32()),  # higher is denser; null where the features are not finite
    _sure("density_level", pa.int32()),  # 0 clean, 1 noisy, 2 highly noisy ...; -1 where there is no density
)

#: Per-class HDBSCAN.
HDBSCAN: Final = _table(
    _sure("hdbscan_cluster", pa.int32()),  # 0 is the largest of its class; -1 noise
    _sure("membership", pa.float32()),  # strength in [0, 1]; 0 for noise
    _sure("outlier", pa.float32()),  # GLOSH outlier score in [0, 1]; 1 where the features are not finite
)

#: The labels of the most similar images of all classes.
NEIGHBOURS: Final = _table(
    pa.field("agreement", pa.float32()),  # share of them with the image's own label; null without neighbours
    pa.field("neighbour_class", pa.int32()),  # their most frequent label
    pa.field("neighbour_share", pa.float32()),  # share of them with that label
    pa.field("neighbour_similarity", pa.float32()),  # mean cosine to them
)

#: `evidence-neighbours`, folder `nearest/`: the images themselves, in the order of the evidence tables.
NEAREST: Final = _table(
    _sure("neighbours", pa.list_(pa.int64())),  # ids, nearest first, equally near ones by id; empty without neighbours
)

#: What a linear probe says that never saw the image's duplicate group.
OPINION: Final = _table(
    _sure("fold", pa.int32()),
    pa.field("confidence", pa.float32()),  # out-of-fold probability of the given label
    pa.field("margin", pa.float32()),  # that minus the largest probability of another class, [-1, 1]
    pa.field("predicted_class", pa.int32()),
    pa.field("predicted_probability", pa.float32()),
    _sure("label_issue", pa.bool_()),  # confident learning's verdict
    pa.field("opinion_class", pa.int32()),  # the class it suggests where it finds an issue, else null
)

#: `evidence-opinion`, folder `joint/`: images by given label and by the class that they confidently are.
JOINT: Final = pa.schema(
    [
        _sure("given_class", pa.int32()),
        _sure("confident_class", pa.int32()),
        _sure("images", pa.int64()),  # at least 1: cells without an image are left out
    ]
)

#: `evidence-opinion`, folder `classes/`: how far the labels of each class of the catalogue can be trusted.
CLASS_OPINION: Final = pa.schema(
    [
        _sure("class_index", pa.int32()),
        _sure("images", pa.int64()),  # with an opinion
        pa.field("threshold", pa.float64()),  # confidence at which an image is of this class; null without an opinion
        pa.field("right_share", pa.float64()),  # of the confident images called so, those that are; null without any
    ]
)

#: The margin over training of the baseline: mean of (logit of the label - largest other logit) over all sightings.
AUM: Final = _table(
    pa.field("aum", pa.float32()),  # null where the training never saw it
    _sure("sightings", pa.int32()),
)

#: Joint clusters of the most confused classes.
CONFUSION: Final = _table(
    _sure("confused_group", pa.int32()),  # -1: its class is confused with none
    _sure("joint_cluster", pa.int32()),  # in the group, 0 is the largest; -1 without one
    pa.field("owner_class", pa.int32()),  # the class of the group that the joint cluster belongs to
    pa.field("owner_share", pa.float32()),  # of the cluster, class sizes evened out, [0, 1]
    pa.field("own_share", pa.float32()),  # the same of the image's own class
)

#: `evidence-confusion`, folder `pairs/`: the classes most taken for each other, the worst pair first.
PAIRS: Final = pa.schema(
    [
        _sure("class_a", pa.int32()),
        _sure("class_b", pa.int32()),  # above class_a
        _sure("a_as_b", pa.int64()),  # images called a that are taken for b, out of fold
        _sure("b_as_a", pa.int64()),
        _sure("rate", pa.float64()),  # mean of both as shares of their class's images with an opinion, (0, 1]
    ]
)

#: `evidence-confusion`, folder `groups/`: the classes whose images are clustered together.
CONFUSED_GROUPS: Final = pa.schema(
    [
        _sure("confused_group", pa.int32()),  # from 0, the group of the most confused pair
        _sure("class_index", pa.int32()),
    ]
)

#: Words of the image's text against the words of its class.
KEYWORD: Final = _table(
    pa.field("keyword", pa.float32()),  # match with its own class, [0, 1]; null where the text says nothing
    pa.field("keyword_other", pa.float32()),  # best match with another class
    pa.field("keyword_class", pa.int32()),  # that class; null where no other matches
)

#: The image's text against the class's gloss, as vectors.
SEMANTIC: Final = _table(
    pa.field("semantic", pa.float32()),  # cosine to its own class; null where the text says nothing
    pa.field("semantic_other", pa.float32()),  # largest cosine to another class
    pa.field("semantic_class", pa.int32()),  # that class
)

#: All evidence in one number, and how wrong each query and class is by it.
FUSED: Final = _table(
    _sure("right_probability", pa.float32()),  # that the label is right, [0, 1]; 0 or 1 where a person looked
    pa.field("fused_class", pa.int32()),  # the class it most probably is; null: of none of them, or nobody can tell
    pa.field("fused_probability", pa.float32()),  # of that class
    _sure("query_right_share", pa.float32()),  # of the results of its class's query that are right, as estimated
    _sure("class_right_share", pa.float32()),  # of its class's images, as estimated
)

#: `evidence-fused`, folder `moves/`, in the order of the evidence tables: what was added up to the log odds of
#: `right_probability`, before a verdict on the image itself. A view that knows nothing of it adds nothing: null.
MOVES: Final = _table(
    _sure("query_odds", pa.float32()),  # where it begins: the share of its query's results that are right
    pa.field("picture_odds", pa.float32()),  # neighbours, opinion and aum
    pa.field("text_odds", pa.float32()),  # keyword and semantic
    pa.field("rank_odds", pa.float32()),
)

#: `evidence-fused`, folder `judged/`: the images that a person looked at, and what is said of them without that.
JUDGED: Final = _table(
    _sure("right", pa.bool_()),  # the verdict
    _sure("held_out_probability", pa.float32()),  # by the verdicts on other pictures alone, in five folds
    _sure("unaided_probability", pa.float32()),  # by no verdict at all
)

#: `evidence-fused`, folder `queries/`: how far the results of each query can be trusted.
QUERY_TRUST: Final = pa.schema(
    [
        _sure("crawl", pa.string()),
        pa.field("query_id", pa.int32()),  # null for images that no query is told of
        _sure("class_index", pa.int32()),
        _sure("images", pa.int64()),
        _sure("right_share", pa.float64()),  # images that are one picture count as one
    ]
)

#: `evidence-fused`, folder `classes/`: the same of each class that has images.
CLASS_TRUST: Final = pa.schema(
    [
        _sure("class_index", pa.int32()),
        _sure("images", pa.int64()),
        _sure("right_share", pa.float64()),
    ]
)

#: By the name a user says: `winnow path evidence/NAME`, stage `evidence-NAME`.
EVIDENCE: Final[dict[str, pa.Schema]] = {
    "duplicates": DUPLICATES,
    "rank": RANK,
    "kmeans": KMEANS,
    "density": DENSITY,
    "hdbscan": HDBSCAN,
    "neighbours": NEIGHBOURS,
    "opinion": OPINION,
    "aum": AUM,
    "confusion": CONFUSION,
    "keyword": KEYWORD,
    "semantic": SEMANTIC,
    "fused": FUSED,
}
