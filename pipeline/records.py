"""The tables between stages: one schema each. Their names are the contract for every stage, export and user."""

from typing import Final, Literal, get_args

import pyarrow as pa

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)

#: Why an image cannot be used. The codes are the whole vocabulary of `images.reason`.
Defect = Literal[
    "missing",  # the list names it, the crawl does not hold it
    "outside-crawl",  # its path leaves the crawl's folder, or is no plain file
    "unreadable",  # the operating system or the object store refused it
    "empty",  # no bytes
    "too-many-bytes",
    "unknown-format",  # no image format recognises it
    "format-not-allowed",  # an image, of a format outside the allow-list
    "too-many-pixels",
    "broken",  # truncated or damaged: the decoder failed
    "memory",  # decoding it went past the memory limit
    "timeout",  # decoding it went past the time limit
    "crashed",  # decoding it killed the worker process
    "withdrawn",  # somebody asked for it to be taken out: neither its bytes nor anything made of them is kept
]
DEFECTS: Final[tuple[Defect, ...]] = get_args(Defect)

#: One row per listed picture of one crawl; ordered by split (train, val, test), class_index, rank, image_id.
LISTING: Final = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),  # hash of crawl name and path
        pa.field("crawl", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),  # inside the crawl, "/"-separated
        pa.field("class_index", pa.int32(), nullable=False),  # 0-based position in the class catalogue
        pa.field("query_id", pa.int32()),
        pa.field("source", pa.string()),  # the search engine or site
        pa.field("rank", pa.int32()),  # 1-based position among its query's results
        pa.field("title", pa.string()),
        pa.field("description", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("split", pa.string(), nullable=False),
    ]
)

#: The class catalogue, one row per class in order of class_index.
CLASSES: Final = pa.schema(
    [
        pa.field("class_index", pa.int32(), nullable=False),
        pa.field("wnid", pa.string(), nullable=False),  # WordNet id, or the folder's or label's name
        pa.field("lemmas", pa.list_(pa.string()), nullable=False),  # names, most usual first
        pa.field("gloss", pa.string()),  # the definition in words
        pa.field("near", pa.list_(pa.string())),  # words of what is related to it in WordNet; null where not given
    ]
)

#: The search terms, one row per query.
QUERIES: Final = pa.schema(
    [
        pa.field("query_id", pa.int32(), nullable=False),
        pa.field("class_index", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)

#: Where a packed picture lies (tar member, or bytes copied out of a table): only for crawls that are not plain files.
LOCATIONS: Final = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("container", pa.string(), nullable=False),  # a file inside the crawl
        pa.field("offset", pa.int64(), nullable=False),  # bytes from the container's start
        pa.field("size", pa.int64(), nullable=False),  # bytes
    ]
)

#: One row per listed image, in the listing's order. shard and row say where its pixels and features lie.
IMAGES: Final = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # "usable" or "quarantined"
        pa.field("reason", pa.string()),  # a Defect where quarantined
        pa.field("detail", pa.string()),  # what the decoder said, for people
        pa.field("width", pa.int32()),  # pixels, upright, as delivered
        pa.field("height", pa.int32()),
        pa.field("sha256", pa.string()),  # of the delivered bytes, hexadecimal
        pa.field("perceptual_hash", pa.uint64()),
        pa.field("shard", pa.int32()),
        pa.field("row", pa.int32()),
    ]
)

#: What people said of images, the latest last: at most one row an image. Classes are told by wnid, which stays what it
#: is when a catalogue grows, and the picture by its bytes, so that a verdict speaks for them wherever they lie.
VERDICTS: Final = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("crawl", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),  # of the bytes that were looked at
        pa.field("wnid", pa.string(), nullable=False),  # the class it was listed with
        pa.field("right", pa.bool_(), nullable=False),  # it is of that class
        pa.field("found_wnid", pa.string()),  # the class it is of instead, where it is wrong and somebody said so
    ]
)

#: Pictures that are not to be kept, and who said so: one row per image, or per content that no crawl holds yet.
WITHDRAWN: Final = pa.schema(
    [
        pa.field("image_id", pa.int64()),  # null for a content that no crawl held when it was told
        pa.field("crawl", pa.string()),
        pa.field("path", pa.string()),
        pa.field("sha256", pa.string()),  # of its bytes; null where it had not been decoded
        pa.field("why", pa.string(), nullable=False),
        pa.field("told_by", pa.string(), nullable=False),
        pa.field("told", pa.timestamp("us", "UTC"), nullable=False),
    ]
)

#: What became of each delivery that was looked at, the latest last.
DELIVERIES: Final = pa.schema(
    [
        pa.field("crawl", pa.string(), nullable=False),  # the name its folder gives it
        pa.field("folder", pa.string(), nullable=False),  # below the watched address, as delivered
        pa.field("content", pa.string(), nullable=False),  # hash of all files' names, sizes, times and marks
        pa.field("marker", pa.string(), nullable=False),  # hash of the same of `_SUCCESS`
        pa.field("digest", pa.string()),  # of what a listing depends on; null where it was not read
        pa.field("outcome", pa.string(), nullable=False),  # an Outcome of `pipeline.stages.deliveries`
        pa.field("taken", pa.bool_(), nullable=False),  # it is what the crawl consists of from then on
        pa.field("listed", pa.int64()),
        pa.field("before", pa.int64()),  # images the crawl listed until then
        pa.field("usable", pa.int64()),  # null where it was not decoded
        pa.field("told", pa.string(), nullable=False),  # for people
        pa.field("seen", pa.timestamp("us", "UTC"), nullable=False),
    ]
)

#: What verdicts say of the usable training images there are now: those looked at, and others of the same bytes.
SETTLED: Final = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("right", pa.bool_(), nullable=False),
        pa.field("class_index", pa.int32()),  # the class it is of: its label where it is right; null: not of its label
        pa.field("told_on", pa.int64(), nullable=False),  # the image_id that a person looked at
    ]
)

#: Whether each recipe is to be trained again: what is another since its last training, and what follows from that.
RETRAINING: Final = pa.schema(
    [
        pa.field("recipe", pa.string(), nullable=False),  # teachers before their students
        pa.field("manifest", pa.string(), nullable=False),  # identity of the one it would be trained on
        pa.field("asked", pa.bool_(), nullable=False),
        pa.field("why", pa.string(), nullable=False),  # in words
        pa.field("images", pa.int64(), nullable=False),  # usable training images
        pa.field("new_images", pa.int64(), nullable=False),  # of them, those that its last training could not know
        pa.field("new_share", pa.float64(), nullable=False),
        pa.field("feature_drift", pa.float64()),  # of the class whose mean feature moved most; null: nothing is known
        pa.field("feature_class", pa.int32()),
        pa.field("precision_drift", pa.float64()),  # of the class whose share of right labels changed most, with sign
        pa.field("precision_class", pa.int32()),
    ]
)

#: The images whose verdict would change a recipe's manifest most, the first first.
REVIEW: Final = pa.schema(
    [
        pa.field("place", pa.int32(), nullable=False),  # in the list, from 1
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("crawl", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("query", pa.string()),  # the search that found it; null where none is told of
        pa.field("class_index", pa.int32(), nullable=False),  # of its label
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("suggested_class", pa.int32()),  # what it most probably is instead
        pa.field("suggested_name", pa.string()),
        pa.field("right_probability", pa.float32(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),  # of the manifest, repeats counted
        pa.field("change", pa.float64(), nullable=False),  # of all weights of the manifest, as a verdict is expected to
        pa.field("reason", pa.string(), nullable=False),  # why it is asked, in words
    ]
)

#: What is trained on: one row per listed image, quarantined ones too. A recipe's manifest appends the evidence it used.
MANIFEST: Final = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("class_index", pa.int32(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),  # mean 1 over what is trained on (repeats counted); else 0
        pa.field("repeats", pa.int32(), nullable=False),  # times an epoch sees it
        pa.field("stage", pa.int32(), nullable=False),  # curriculum stage it enters at, from 0
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("suggested_class", pa.int32()),
        pa.field("reason", pa.string(), nullable=False),  # in words
    ]
)
