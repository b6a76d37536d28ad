"""Every column of evidence that is told of one image: how its figure is shown, and what speaks for the label."""

from collections.abc import Callable
from typing import Final

from pipeline.report import image_sentences as told
from pipeline.report.class_view import level_name
from pipeline.report.image_view import ImageView, Saying, Speaks
from pipeline.report.render import figure

_UNIT: Final = (0.0, 1.0)


def _percent(column: str) -> Callable[[ImageView], str]:
    return lambda view: f"{100 * view[column]:.0f}%"


def _plain(column: str) -> Callable[[ImageView], str]:
    return lambda view: figure(view[column])


def _count(column: str) -> Callable[[ImageView], str]:
    return lambda view: f"{view.number(column):,}"


def _class(column: str) -> Callable[[ImageView], str]:
    return lambda view: view.name(column) if view.number(column) >= 0 else "none"


def _cluster_number(column: str) -> Callable[[ImageView], str]:
    return lambda view: str(view.number(column)) if view.number(column) >= 0 else "none"


def _says(sentence: str) -> Callable[[ImageView], str]:
    return lambda _: sentence


def _yes(column: str) -> Callable[[ImageView], str]:
    return lambda view: "yes" if view[column] else "no"


def _sign(speaks: Callable[[ImageView], bool | None]) -> Callable[[ImageView], Speaks]:
    """True speaks for the label, False against it, None for neither."""
    told: dict[bool | None, Speaks] = {True: "for", False: "against", None: ""}
    return lambda view: told[speaks(view)]


def _better(column: str) -> Callable[[ImageView], bool | None]:
    def speaks(view: ImageView) -> bool | None:
        own, other = view[column], view[f"{column}_other"]
        return None if own == other or not view.knows(f"{column}_other") else own > other

    return speaks


#: Of all sources, the sum of them first.
SAYINGS: Final = (
    Saying(
        source="fused",
        column="right_probability",
        value=_percent("right_probability"),
        sentence=_says("How likely its label is right, by all sources together."),
        speaks=_sign(lambda view: view["right_probability"] >= 0.5),
        compared=True,
        bounds=_UNIT,
    ),
    Saying("fused", "fused_class", _class("fused_class"), told.fused_class),
    Saying(
        "fused",
        "query_right_share",
        _percent("query_right_share"),
        _says("How many of its query's results are right, as estimated."),
    ),
    Saying(
        "fused",
        "class_right_share",
        _percent("class_right_share"),
        _says("How many of its class's images are right, as estimated."),
    ),
    Saying(
        source="neighbours",
        column="agreement",
        value=_percent("agreement"),
        sentence=told.neighbours,
        speaks=_sign(lambda view: not view.named_other("neighbour_class")),
        compared=True,
        bounds=_UNIT,
    ),
    Saying(
        source="neighbours",
        column="neighbour_similarity",
        value=_plain("neighbour_similarity"),
        sentence=_says("Mean similarity (cosine) of these images to it: low for a picture unlike all others."),
        compared=True,
    ),
    Saying(
        source="opinion",
        column="confidence",
        value=_percent("confidence"),
        sentence=told.opinion,
        speaks=_sign(lambda view: not view.named_other("predicted_class")),
        compared=True,
        bounds=_UNIT,
    ),
    Saying(
        "opinion",
        "label_issue",
        _yes("label_issue"),
        told.issue,
        _sign(lambda view: False if view["label_issue"] else None),
    ),
    Saying("aum", "aum", _plain("aum"), told.aum, _sign(lambda view: view["aum"] > 0), compared=True),
    Saying(
        source="keyword",
        column="keyword",
        value=_plain("keyword"),
        sentence=told.match(
            "keyword", "How well the words of its text match the names and definition of its class, 0 to 1"
        ),
        speaks=_sign(_better("keyword")),
        compared=True,
        bounds=_UNIT,
    ),
    Saying(
        source="semantic",
        column="semantic",
        value=_plain("semantic"),
        sentence=told.match("semantic", "How near its text lies to the definition of its class, as a cosine"),
        speaks=_sign(_better("semantic")),
        compared=True,
    ),
    Saying("rank", "position", _count("position"), told.position),
    Saying(
        "rank",
        "top_ranked",
        _yes("top_ranked"),
        told.top_ranked,
    ),
    Saying("kmeans", "cluster", _cluster_number("cluster"), told.cluster),
    Saying(
        source="kmeans",
        column="distance",
        value=_plain("distance"),
        sentence=_says("How far from the centre of that cluster it lies (squared): far ones are odd in it."),
        compared=True,
    ),
    Saying(
        source="kmeans",
        column="cluster_top_distance",
        value=_plain("cluster_top_distance"),
        sentence=_says("How far that cluster is from the class's top-ranked images (squared)."),
        compared=True,
    ),
    Saying(
        source="density",
        column="density",
        value=_plain("density"),
        sentence=lambda view: (
            f"How many of its class lie near it: {level_name(view.number('density_level')).lower()} by that."
        ),
        compared=True,
    ),
    Saying("hdbscan", "hdbscan_cluster", _cluster_number("hdbscan_cluster"), told.hdbscan),
    Saying(
        source="hdbscan",
        column="outlier",
        value=_plain("outlier"),
        sentence=_says("How far it stands out of its class: 0 in its midst, 1 far outside."),
        compared=True,
        bounds=_UNIT,
    ),
    Saying(
        source="confusion",
        column="joint_cluster",
        value=lambda view: view.name("owner_class") if view.knows("owner_class") else "none",
        sentence=told.joint,
        speaks=_sign(lambda view: None if not view.knows("owner_class") else not view.named_other("owner_class")),
    ),
    Saying(
        source="confusion",
        column="own_share",
        value=_percent("own_share"),
        sentence=_says("Share of its own class in that joint cluster, the classes' sizes evened out."),
        compared=True,
        bounds=_UNIT,
    ),
    Saying("duplicates", "training_copies", _count("training_copies"), told.copies),
    Saying(
        "duplicates",
        "leak",
        _yes("leak"),
        lambda view: (
            "It repeats a picture of val or test, so no recipe trains on it."
            if view["leak"]
            else "It repeats no picture of val or test."
        ),
    ),
)
