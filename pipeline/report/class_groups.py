"""What is pictured of one class: by weight, by cluster, by density, by what neighbours and a model say, by text.

A group without a choice of images is one whose source has not been made, or that has found nothing.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.report.choice import Choice, ChoiceGroup, Positions, extremes, lowest, parts, sample
from pipeline.report.class_view import TEXTUAL, ClassView, level_name
from pipeline.report.sheets import SheetSettings

WIDE: Final = 8  # pictures in a row of a sheet
NARROW: Final = 4


def class_groups(view: ClassView, settings: SheetSettings) -> list[ChoiceGroup]:
    """Everything that a class shows alone, in the order of the page; what there is nothing of is left out."""
    shown = (ends, clusters, levels, outliers, texts, opinions, neighbours)
    return [group for group in (of(view, settings) for of in shown) if group.choices]


def ends(view: ClassView, settings: SheetSettings) -> ChoiceGroup:
    """The heaviest and the lightest; where all weigh the same, or nothing weighs, a fair sample.

    An image weighs here what it would without its doubles, and each picture is shown once: pictures that are listed
    often share one weight, and would fill the sheet of the lightest though nothing is wrong with them.
    """
    weight = view.weight if view.alone is None else view.alone
    known = weight[~np.isnan(weight)] if weight is not None else np.zeros(0)
    if weight is None or not len(known) or known.min() == known.max():
        rows = sample(np.arange(len(view.position)), view.image_id, settings.ends)
        note = f"all weigh {known[0]:.2f}" if len(known) else ""
        return ChoiceGroup("", "", (view.choice("A sample", note, rows, WIDE),))
    chosen = extremes(weight, view.image_id, settings.ends, view.group)
    pairs = [(name, rows) for name, rows in zip(("Heaviest", "Lightest"), chosen, strict=True) if len(rows)]
    return ChoiceGroup("", "", tuple(view.choice(name, _range(weight[rows]), rows, WIDE) for name, rows in pairs))


def _range(weight: npt.NDArray[np.float64]) -> str:
    first, last = f"{weight[0]:.2f}", f"{weight[-1]:.2f}"
    return f"weight {first}" if first == last else f"weight {first} to {last}"


def clusters(view: ClassView, settings: SheetSettings) -> ChoiceGroup:
    """The largest clusters, largest first."""
    if not view.has("cluster"):
        return ChoiceGroup("Clusters", "", ())
    cluster = view.columns["cluster"]
    found = parts(cluster, settings.clusters)
    choices = []
    for number, rows in found:
        note = view.part(rows)
        for column, words in (("cluster_compactness", "compactness"), ("cluster_top_distance", "to the top-ranked")):
            value = view.columns[column][rows[0]] if view.has(column) else np.nan
            note += f", {words} {value:.3g}" if np.isfinite(value) else ""
        chosen = sample(rows, view.image_id, settings.per_cluster)
        choices.append(view.choice(f"Cluster {number}", note, chosen, NARROW))
    note = (
        "Compactness: mean squared distance to the cluster's centre; to the top-ranked: from that centre to the one of "
    )
    note += "the class's best-ranked images."
    smaller = len(np.unique(cluster[cluster >= 0])) - len(found)
    note += f" Not pictured: {smaller:,} smaller." if smaller else ""
    return ChoiceGroup("Clusters", note, tuple(choices))


def levels(view: ClassView, settings: SheetSettings) -> ChoiceGroup:
    """A sample of each density level, the densest first."""
    title, note = "Density levels", "From the images that most of their class resembles to those that few resemble."
    if not view.has("density_level"):
        return ChoiceGroup(title, note, ())
    found = sorted(parts(view.columns["density_level"], settings.clusters), key=lambda pair: pair[0])
    chosen = [(level, rows, sample(rows, view.image_id, settings.per_cluster)) for level, rows in found]
    return ChoiceGroup(
        title, note, tuple(view.choice(level_name(k), view.part(rows), few, NARROW) for k, rows, few in chosen)
    )


def outliers(view: ClassView, settings: SheetSettings) -> ChoiceGroup:
    """HDBSCAN's surest members, a sample of its noise, and the strongest outliers."""
    title, note = "HDBSCAN", "Noise belongs to no cluster; the outlier score is 1 far outside of every cluster."
    if not view.has("hdbscan_cluster", "membership", "outlier"):
        return ChoiceGroup(title, note, ())
    inside = view.columns["hdbscan_cluster"] >= 0
    noise, count = np.flatnonzero(~inside), settings.per_cluster
    far = lowest(-view.columns["outlier"], view.image_id, count)
    surest = np.flatnonzero(inside)
    surest = surest[lowest(-view.columns["membership"][surest], view.image_id[surest], count)]
    score = f"score {view.columns['outlier'][far[0]]:.2f} to {view.columns['outlier'][far[-1]]:.2f}" if len(far) else ""
    rows = [
        ("Surest members", f"of {view.part(np.flatnonzero(inside))} in clusters", surest),
        ("Noise", view.part(noise), sample(noise, view.image_id, count)),
        ("Strongest outliers", score, far),
    ]
    return ChoiceGroup(title, note, tuple(view.choice(name, told, few, NARROW) for name, told, few in rows if len(few)))


def doubted_rows(view: ClassView, score: str, rival: str, count: int) -> Positions:
    """The images of lowest `score` for which another class is named, lowest first."""
    doubted = _rivalled(view, rival)
    return doubted[lowest(view.columns[score][doubted], view.image_id[doubted], count)]


def _rivalled(view: ClassView, rival: str) -> Positions:
    other = view.columns[rival]
    return np.flatnonzero((other >= 0) & (other != view.index))


def neighbours(view: ClassView, settings: SheetSettings) -> ChoiceGroup:
    """The images whose most similar ones carry another label, named on each."""
    note = "On each picture the label that most of the similar pictures carry."
    return _doubted(view, ChoiceGroup("Neighbours disagree", note, ()), ("agreement", "neighbour_class"), settings)


def opinions(view: ClassView, settings: SheetSettings) -> ChoiceGroup:
    """The images that an out-of-fold model takes for another class, named on each."""
    note = "On each picture the class that a model names which never saw it."
    return _doubted(view, ChoiceGroup("A model disagrees", note, ()), ("margin", "predicted_class"), settings)


def _doubted(view: ClassView, group: ChoiceGroup, columns: tuple[str, str], settings: SheetSettings) -> ChoiceGroup:
    if not view.has(*columns):
        return group
    every = _rivalled(view, columns[1])
    rows = doubted_rows(view, *columns, settings.doubted)
    labels = [view.names[k] for k in view.columns[columns[1]][rows].tolist()]
    note = f"of {len(every):,} named otherwise ({100 * len(every) / len(view.image_id):.0f}%)"
    choice = view.choice("Most doubtful", note, rows, WIDE, labels)
    return replace(group, choices=(choice,)) if len(rows) else group


def texts(view: ClassView, settings: SheetSettings) -> ChoiceGroup:
    """The images whose text fits the class best, and worst; by keywords, then by meaning."""
    note = "The texts that fit the class best and worst; a text that says nothing is neither."
    scores = [view.columns[name] for name in TEXTUAL if view.has(name)]
    if not scores:
        return ChoiceGroup("Texts", note, ())
    first, then = scores[0], scores[-1]
    best = lowest(-first, view.image_id, settings.texts, -then)
    worst = lowest(first, view.image_id, settings.texts, then)
    named = (("Best match", best), ("Worst match", worst[~np.isin(worst, best)]))
    choices = []
    for name, rows in named:
        facts = tuple(("; ".join(view.facts.of_text(row)),) for row in rows.tolist())
        choices.append(Choice(name, "", view.position[rows], 1, facts=facts, beside=True))
    return ChoiceGroup("Texts", note, tuple(choice for choice in choices if len(choice.position)))
