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


#: One row per image, seed and split of one recipe's model.
def predictions(classes: int) -> pa.Schema:
    """The schema of `predictions` for a catalogue of that many classes: logits are float16[classes]."""
    return pa.schema(
        [
            pa.field("image_id", pa.int64(), nullable=False),
            pa.field("seed", pa.int32(), nullable=False),
            pa.field("split", pa.string(), nullable=False),
            pa.field("class_index", pa.int32(), nullable=False),  # the listed label
            pa.field("logits", pa.list_(pa.float16(), classes), nullable=False),
        ]
    )


#: How much each member of a learned ensemble counts: a row per member, and one per member and class where those differ.
ENSEMBLE_WEIGHTS: Final = pa.schema(
    [
        pa.field("member", pa.string(), nullable=False),  # recipe@seed
        pa.field("class_index", pa.int32()),  # null: its weight for all classes together
        pa.field("weight", pa.float64(), nullable=False),  # at least 0; of its log probability
    ]
)

GUESSES: Final = 5  # told of a picture

#: What a model says of pictures that belong to no crawl: one row per file, its likeliest classes first.
LABELLED: Final = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),  # as the user would write it
        pa.field("reason", pa.string()),  # a Defect where it is no usable picture: then nothing is said
        pa.field("detail", pa.string()),  # what the decoder said, for people
        *(
            pa.field(f"{name}_{place}", kind)  # null where there are no more classes
            for place in range(1, GUESSES + 1)
            for name, kind in (("wnid", pa.string()), ("name", pa.string()), ("probability", pa.float32()))
        ),
    ]
)

#: A training's learning curve: one row per recipe, seed and epoch.
CURVE: Final = pa.schema(
    [
        pa.field("seed", pa.int32(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),  # 1-based, finished epochs
        pa.field("images", pa.int64(), nullable=False),  # seen since the start, repeats counted
        pa.field("loss", pa.float64(), nullable=False),  # weighted training loss, mean of the epoch
        pa.field("learning_rate", pa.float64(), nullable=False),
        pa.field("val_top1", pa.float64()),  # share of val images, null without a val split
        pa.field("seconds", pa.float64(), nullable=False),  # wall time of the epoch
    ]
)

#: The margins of a training: one row per image of its training set, sorted by image_id.
MARGINS: Final = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("aum", pa.float32()),  # mean of (logit of the label - largest other logit); null where never seen
        pa.field("sightings", pa.int32(), nullable=False),  # times the training saw it
    ]
)

#: The result table: one row per recipe, seed and split. Accuracies are shares in [0, 1].
SUMMARY: Final = pa.schema(
    [
        pa.field("recipe", pa.string(), nullable=False),
        pa.field("seed", pa.int32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("top1", pa.float64(), nullable=False),
        pa.field("top5", pa.float64(), nullable=False),
        pa.field("class_top1", pa.float64(), nullable=False),  # mean over classes, as WebVision scores it
        pa.field("class_top5", pa.float64(), nullable=False),
        pa.field("log_loss", pa.float64(), nullable=False),  # nats; mean of -log of the true class's probability
        pa.field("calibration_error", pa.float64(), nullable=False),  # mean distance of confidence from accuracy
    ]
)

#: How sure the accuracies are: one row per recipe, split and metric, seeds averaged. 95% intervals over images.
INTERVALS: Final = pa.schema(
    [
        pa.field("recipe", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),  # top1, top5, class_top1 or class_top5
        pa.field("images", pa.int64(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("gain", pa.float64()),  # over the baseline, on the same images; null for itself, or on other images
        pa.field("gain_low", pa.float64()),
        pa.field("gain_high", pa.float64()),
    ]
)

#: The pairs of classes that each recipe mixes up most, most often first; predictions of all seeds are counted.
CONFUSIONS: Final = pa.schema(
    [
        pa.field("recipe", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("class_index", pa.int32(), nullable=False),  # the true class
        pa.field("guessed_class", pa.int32(), nullable=False),  # what it was taken for
        pa.field("times", pa.int64(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),  # of the class's predictions
    ]
)

#: The source's tables beside ours, and one more of what stands in none of them: one row per table, row, split and
#: metric. Figures are shares; null where nothing was published, or where ours has not been run (seeds is 0).
TRICKS: Final = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),  # its short name
        pa.field("title", pa.string(), nullable=False),  # of its slide
        pa.field("place", pa.int32(), nullable=False),  # of the row in the table, from 0
        pa.field("row", pa.string(), nullable=False),  # as the source calls it
        pa.field("recipe", pa.string()),  # ours that stands for it; null: none does
        pa.field("network", pa.string()),  # that ours was trained with; null: not run, or an ensemble
        pa.field("split", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),  # top1, top5, class_top1 or class_top5
        pa.field("published", pa.float64()),  # on WebVision 2.0; told of the means over classes
        pa.field("published_gain", pa.float64()),  # over the published baseline
        pa.field("seeds", pa.int32(), nullable=False),
        pa.field("images", pa.int64()),
        pa.field("value", pa.float64()),  # mean over the seeds
        pa.field("lowest", pa.float64()),  # of the seeds
        pa.field("highest", pa.float64()),
        pa.field("seeds_low", pa.float64()),  # 95% interval of the mean over all seeds; null with one
        pa.field("seeds_high", pa.float64()),
        pa.field("low", pa.float64()),  # 95% interval over images
        pa.field("high", pa.float64()),
        pa.field("gain", pa.float64()),  # over our baseline; null for itself, or on other images
        pa.field("gain_seeds_low", pa.float64()),  # as above, of the differences seed by seed
        pa.field("gain_seeds_high", pa.float64()),
        pa.field("gain_low", pa.float64()),  # as above, on the same images
        pa.field("gain_high", pa.float64()),
    ]
)

#: How far each step takes: one row per step (baseline, manifest, student, ensemble) and metric. Null: not run, or none
#: published. `reduced` is the share of the baseline's errors that are gone, `step_reduced` that of the step before.
CHAIN: Final = pa.schema(
    [
        pa.field("place", pa.int32(), nullable=False),  # of the step, from 0
        pa.field("step", pa.string(), nullable=False),
        pa.field("recipe", pa.string()),  # the best of its kind on `chosen_on`
        pa.field("chosen_on", pa.string()),  # in words
        pa.field("told_on", pa.string()),  # the images, in words, of the figures below; none of them chose
        pa.field("images", pa.int64()),
        pa.field("metric", pa.string(), nullable=False),  # top1, top5, class_top1 or class_top5
        *(
            pa.field(f"{name}{end}", pa.float64())  # shares, with 95% intervals over images
            for name in ("value", "reduced", "step_reduced")
            for end in ("", "_low", "_high")
        ),
        pa.field("published_row", pa.string()),  # the source's best of the kind
        pa.field("published", pa.float64()),  # told of the means over classes
        pa.field("published_reduced", pa.float64()),
        pa.field("published_step_reduced", pa.float64()),
    ]
)

#: What trying the recipes by linear probes says: one row per recipe. Accuracies and gains are shares.
SEARCH: Final = pa.schema(
    [
        pa.field("recipe", pa.string(), nullable=False),
        pa.field("judged_on", pa.string(), nullable=False),  # in words
        pa.field("images", pa.int64(), nullable=False),  # that judged
        pa.field("top1", pa.float64(), nullable=False),
        pa.field("class_top1", pa.float64(), nullable=False),  # mean over classes
        pa.field("gain", pa.float64(), nullable=False),  # in top1 over the first recipe
        pa.field("gain_low", pa.float64(), nullable=False),  # 95% interval, paired, over samples and images
        pa.field("gain_high", pa.float64(), nullable=False),
        pa.field("better", pa.float64(), nullable=False),  # probability that the gain is above 0
    ]
)
