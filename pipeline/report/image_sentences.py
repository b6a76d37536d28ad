"""Sentences on one image: what a figure of the evidence means for it, and why a source may know nothing of it."""

from collections.abc import Callable
from typing import Final

import numpy as np

from pipeline.report.image_view import ImageView
from pipeline.report.render import counted, figure

_NO_FEATURES: Final = "Nothing could be measured: its features are not finite."
_NO_TEXT: Final = "Its text says nothing: it is empty, a file's name, or only numbers and words that any text has."

#: Why a source can have nothing to say of an image.
SILENT: Final = {
    "duplicates": "Nothing is known of its doubles.",
    "rank": "The listing gives it no rank.",
    "kmeans": _NO_FEATURES,
    "density": _NO_FEATURES,
    "hdbscan": _NO_FEATURES,
    "neighbours": "No neighbour was found: its features are all 0 or not finite, every other image is a double of it, "
    "or the crawls that evidence is fitted on have no image of its class.",
    "opinion": "Its features are not finite, or no image of its class was left to learn from.",
    "aum": "The baseline never trained on it.",
    "confusion": "Nothing is known of confused classes.",
    "keyword": _NO_TEXT,
    "semantic": _NO_TEXT,
    "fused": "No probability was estimated.",
}


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `11th`."""
    last = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number:,}{last}"


def copies(view: ImageView) -> str:
    """How often the picture is listed for training."""
    number = view.number("training_copies")
    if number <= 1:
        return "No other training image shows the same picture."
    return f"{number:,} training images show this same picture; together they count as one."


def position(view: ImageView) -> str:
    """Where it stands among its class's results."""
    ranked = int(np.isfinite(view.columns["position"]).sum())
    return (
        f"{ordinal(view.number('position'))} of its class's results with all queries merged; {ranked:,} have a place."
    )


def top_ranked(view: ImageView) -> str:
    """Whether it is among its class's first."""
    if not view.knows("position"):
        return SILENT["rank"]
    return f"It is {'' if view['top_ranked'] else 'not '}among the first, by which clusters are judged."


def cluster(view: ImageView) -> str:
    """Which k-means cluster it lies in."""
    number = view.number("cluster")
    if number < 0:
        return _NO_FEATURES
    place = "largest" if number == 0 else f"{ordinal(number + 1)} largest"
    return f"It lies in the {place} cluster of its class, which holds {100 * view['cluster_share']:.0f}% of it."


def hdbscan(view: ImageView) -> str:
    """Which dense region it belongs to."""
    number = view.number("hdbscan_cluster")
    if number < 0:
        return "It belongs to no dense region of its class: noise."
    place = "largest" if number == 0 else f"{ordinal(number + 1)} largest"
    return f"It belongs to the {place} dense region of its class."


def neighbours(view: ImageView) -> str:
    """What labels the images most like it carry."""
    most = f"; most of them are {view.name('neighbour_class')}" if view.named_other("neighbour_class") else ""
    return f"{100 * view['agreement']:.0f}% of the images most like it, of all classes, carry its label{most}."


def opinion(view: ImageView) -> str:
    """What a model believes that never saw it."""
    told = f"A model that never saw it or its doubles gives its label {100 * view['confidence']:.0f}%"
    if view.named_other("predicted_class"):
        return f"{told}, and {view.name('predicted_class')} {100 * view['predicted_probability']:.0f}%."
    return f"{told}, more than any other class."


def issue(view: ImageView) -> str:
    """Whether confident learning calls the label wrong."""
    if not view["label_issue"]:
        return "Confident learning does not call the label wrong."
    rather = f", rather {view.name('opinion_class')}" if view.knows("opinion_class") else ""
    return f"Confident learning calls the label wrong{rather}."


def aum(view: ImageView) -> str:
    """What the baseline preferred while it trained."""
    liked = "preferred the label to any other" if view["aum"] > 0 else "preferred another class to the label"
    seen = counted(view.number("sightings"), "sighting")
    return f"In training the baseline {liked}, by {figure(abs(view['aum']))} on average over {seen}."


def joint(view: ImageView) -> str:
    """Whose joint cluster it lies in."""
    if view.number("confused_group") < 0:
        return "Its class is not among those that are confused with others."
    if not view.knows("owner_class"):
        return "Its class is confused with others, but it lies in none of their joint clusters."
    whose = view.name("owner_class") if view.named_other("owner_class") else "its own class"
    share = f"{100 * view['owner_share']:.0f}%"
    return (
        f"Among all images of the classes it is confused with, it lies in a cluster that belongs to {whose} by {share}."
    )


def match(column: str, what: str) -> Callable[[ImageView], str]:
    """How its text matches its class, and which class it matches better; `what` says what the figure is."""

    def tell(view: ImageView) -> str:
        if view.named_other(f"{column}_class") and view[f"{column}_other"] > view[column]:
            return f"{what}; {view.name(f'{column}_class')} fits better, with {view[f'{column}_other']:.2f}."
        return f"{what}; no other class fits better."

    return tell


def fused_class(view: ImageView) -> str:
    """Which class it is rather of."""
    if view.named_other("fused_class"):
        return f"It is rather {view.name('fused_class')}, by {100 * view['fused_probability']:.0f}%."
    return "No other class is more probable than its label."
