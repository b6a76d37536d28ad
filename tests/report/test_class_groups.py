import numpy as np
import numpy.typing as npt
import pytest

from pipeline.report.class_groups import class_groups, clusters, ends, levels, neighbours, outliers, texts
from pipeline.report.class_view import ClassView, level_name
from pipeline.report.sheets import SheetSettings

NAN = float("nan")
NAMES = ["cat", "dog", "elk"]
SETTINGS = SheetSettings()


def view(weight: list[float] | None = None, **columns: list[float] | list[int]) -> ClassView:
    """A class of cats whose images lie at 100, 101, ..., their ids falling."""
    n = len(next(iter(columns.values()))) if columns else len(weight or [0])
    weights: npt.NDArray[np.float64] | None = None if weight is None else np.array(weight)
    told = {name: np.array(values) for name, values in columns.items()}
    return ClassView(0, np.arange(n, 0, -1), 100 + np.arange(n), weights, told, NAMES)


def test_what_has_not_been_made_is_left_out() -> None:
    assert [group.title for group in class_groups(view([1.0, 2.0]), SETTINGS)] == [""]
    made = class_groups(view(cluster=[0], agreement=[0.5], neighbour_class=[0], keyword=[NAN]), SETTINGS)
    assert [group.title for group in made] == ["", "Clusters"]  # nobody disagrees, and no text says anything


def test_ends_are_a_sample_where_all_weigh_the_same() -> None:
    (only,) = ends(view([2.0, 2.0]), SETTINGS).choices
    assert (only.name, only.note, only.position.tolist()) == ("A sample", "all weigh 2.00", [101, 100])
    heavy, light = ends(view([0.5, 2.0, 1.0]), SETTINGS).choices
    assert (heavy.position.tolist(), light.position.tolist()) == ([101, 102], [100])
    assert (heavy.note, light.note) == ("weight 2.00 to 1.00", "weight 0.50")


def test_clusters_are_largest_first_and_smaller_ones_counted() -> None:
    group = clusters(view([1.0, 3.0, 1.0, 0.0], cluster=[1, 0, 1, -1]), SheetSettings(clusters=1, per_cluster=1))
    (largest,) = group.choices
    assert (largest.name, largest.note) == ("Cluster 1", "50%, 2 images, weight 1.00")
    assert largest.position.tolist() == [102]  # of the smallest id
    assert group.note.endswith("Not pictured: 1 smaller.")
    assert clusters(view(cluster=[-1, -1]), SETTINGS).choices == ()


def test_levels_are_in_their_own_order_and_unknown_ones_are_none() -> None:
    choices = levels(view(density_level=[2, -1, 0, 2, 5]), SETTINGS).choices
    assert [(c.name, c.position.tolist()) for c in choices] == [
        ("Clean", [102]),
        ("Highly noisy", [103, 100]),
        ("Level 5", [104]),
    ]
    assert level_name(-1) == "Level -1"


def test_outliers_come_strongest_first() -> None:
    told = view(hdbscan_cluster=[0, -1, 0], membership=[0.5, 0, 1], outlier=[0.25, 1, 0])
    surest, noise, far = outliers(told, SETTINGS).choices
    assert (surest.position.tolist(), noise.position.tolist()) == ([102, 100], [101])
    assert (far.position.tolist(), far.note) == ([101, 100, 102], "score 1.00 to 0.00")
    none = outliers(view(hdbscan_cluster=[0], membership=[1.0], outlier=[0.0]), SETTINGS).choices
    assert [choice.name for choice in none] == ["Surest members", "Strongest outliers"]


def test_only_images_of_another_label_are_doubted() -> None:
    told = view(agreement=[0.25, NAN, 0.5, 0.0], neighbour_class=[2, -1, 0, 1])
    (doubted,) = neighbours(told, SETTINGS).choices
    assert (doubted.position.tolist(), doubted.labels) == ([103, 100], ("dog", "elk"))
    assert doubted.note == "of 2 named otherwise (50%)"
    assert doubted.facts[0] == ("0% of its neighbours agree, most are dog",)


def test_texts_are_ranked_by_keywords_then_by_meaning_and_none_is_both() -> None:
    told = view(keyword=[0.5, 1.0, NAN, 0.5, 0.0], semantic=[0.1, 0.0, NAN, 0.2, 0.3])
    best, worst = texts(told, SheetSettings(texts=3)).choices
    assert best.position.tolist() == [101, 103, 100]
    assert worst.position.tolist() == [104]
    assert best.beside
    assert best.facts[0] == ("keywords 1.00; meaning 0.00",)
    alone = texts(view(semantic=[0.5, -0.5]), SheetSettings(texts=1)).choices
    assert [choice.position.tolist() for choice in alone] == [[100], [101]]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"density_level": [1]}, ("density: Noisy",)),
        ({"density_level": [-1]}, ()),
        ({"hdbscan_cluster": [-1], "outlier": [0.5]}, ("outlier score 0.50, noise",)),
        ({"agreement": [1.0], "neighbour_class": [0]}, ("100% of its neighbours agree",)),
        ({"agreement": [NAN], "neighbour_class": [-1]}, ()),
        ({"confidence": [0.125], "predicted_class": [2]}, ("a model believes the label to 12%, rather elk",)),
        ({"aum": [-0.5]}, ("margin over training -0.50",)),
        ({"keyword": [0.5], "keyword_other": [0.25], "keyword_class": [1]}, ("keywords 0.50",)),
        ({"semantic": [0.25], "semantic_other": [0.5], "semantic_class": [1]}, ("meaning 0.25, dog 0.50",)),
    ],
)
def test_facts_say_what_is_known_and_nothing_of_what_is_not(columns: dict[str, list[float]], said: tuple[str]) -> None:
    assert view(**columns).facts.of(0) == said
