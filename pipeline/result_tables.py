"""The tables of models: what they say, how they were trained, how good they are. One schema each, as in `records`."""

from typing import Final

import pyarrow as pa


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
