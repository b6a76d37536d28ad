import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.evidence_tables import EVIDENCE, JUDGED, NEAREST, NEIGHBOURS
from pipeline.records import QUERIES
from pipeline.report.sheets import SheetSettings
from pipeline.stages.classes import ClassOrder
from pipeline.stages.population import Population
from pipeline.stages.report import ReportSettings, make_report
from pipeline.stages.report_evidence import beside
from pipeline.stages.report_gallery import usable_positions
from pipeline.stages.standing import FITTED_ON
from pipeline.storage.artifacts import WHOLE, Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import part_path, read_table, write_table
from tests.stages.report_store import (
    CRAWL,
    HOSTILE,
    NAMES,
    NONE,
    RECIPES,
    SAID,
    Image,
    Reader,
    add_crawl,
    add_evidence,
    add_features,
    add_weights,
    pages,
    read,
    shown,
)

DOG = NAMES[1]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One crawl with all evidence, nothing weighed or trained."""
    made = Store(tmp_path / "store")
    add_crawl(made, "shop", CRAWL)
    add_evidence(made, "shop", CRAWL)
    return made


def sheets(page: Reader) -> list[str]:
    return [str(attrs["alt"]) for tag, attrs in page.tags if tag == "img" and " picture" in str(attrs["alt"])]


def test_the_overview_equals_the_figures_worked_by_hand(store: Store) -> None:
    page = read(store)
    # three of four agree to 0.75, 0.5 and 0; the dog has no neighbours. A tenth of three lies at 0.1, 0.5 and 0.7
    told = page.row("neighbours", "3")
    assert told[1:5] == ["3", "25.0", "0.417", "0.500 0.100 to 0.700"]
    assert told[-1] == "1 image (25.0%) among another label"
    assert page.row("duplicates", "4")[-1] == (
        "0 images (0.0%) repeating another training picture 1 image (25.0%) repeating a picture of val or test"
    )
    assert page.row("rank", "3")[-1] == "2 images (50.0%) top-ranked"
    assert page.row("density", "3")[-1].startswith("1 image (25.0%) clean 1 image (25.0%) noisy")
    assert page.row("opinion", "4")[-1].endswith("2 images (50.0%) taken for another class")
    assert page.row("confusion", "4")[-1].endswith("2 images (50.0%) in another class's joint cluster")
    assert page.row("keyword", "3")[1:3] == ["3", "25.0"]
    assert [page.row(source)[0].split()[0] for source in EVIDENCE] == list(EVIDENCE)


def test_each_class_has_its_figures(store: Store) -> None:
    read(store)
    page = shown(store, "class-evidence.html")
    # right by all evidence, by confident learning; agreement, belief, noise, doubles, no text, keywords, meaning
    assert page.row("cat")[1:] == ["62.5", "62.5", "41.7", "41.7", "33.3", "0.0", "33.3", "0.38", "0.31"]
    assert page.row(DOG)[1:] == ["50.0", NONE, NONE, "50.0", "100.0", "0.0", "0.0", "0.50", "0.25"]
    cat = shown(store, "class/00000.html")
    assert cat.row("Belief in the label") == ["Belief in the label", "41.7%", "1 of 2"]
    assert cat.row("Noise") == ["Noise", "33.3%", "1 of 2"]
    assert cat.row(DOG, "37.5") == [DOG, "37.5"]  # confused with, out of fold
    assert cat.row("query 8") == ["query 8", "1", "25.0", ""]
    assert "Its queries" not in shown(store, "class/00001.html").words  # nobody named one


def test_every_kind_of_evidence_is_pictured(store: Store) -> None:
    read(store)
    page = shown(store, "class/00000.html")
    assert sheets(page) == [
        "A sample: 3 pictures",
        *("Cluster 0: 2 pictures", "Cluster 1: 1 picture"),
        *("Clean: 1 picture", "Noisy: 1 picture", "Highly noisy: 1 picture"),
        *("Surest members: 2 pictures", "Noise: 1 picture", "Strongest outliers: 3 pictures"),
        "Best match: 2 pictures",
        "Most doubtful: 2 pictures",
        "Most doubtful: 1 picture",
        "Doubted picture 1: 4 pictures",
    ]
    assert "67%, 2 images, compactness 0.5, to the top-ranked 0.25" in page.words
    maps = [str(attrs["alt"]) for tag, attrs in page.tags if tag == "img" and "images)" in str(attrs["alt"])]
    assert maps[:3] == [
        "Neighbours with the same label (3 images)",
        "A model's belief in the label (3 images)",
        "Density level (3 images)",
    ]


def test_captions_tell_what_is_known_of_a_picture(store: Store) -> None:
    page = read(store)
    assert page.row("Highly noisy")[-1] == (
        "density: Highly noisy; outlier score 0.88, noise; 0% of its neighbours agree, most are "
        f"{DOG}; a model believes the label to 12%, rather {DOG}; margin over training -3.00; "
        f"keywords 0.00, {DOG} 0.50; meaning 0.12, {DOG} 0.38"
    )
    assert page.row("Noisy")[-1].endswith("margin over training 1.00")  # its text says nothing: nothing is said of it


def test_texts_are_quoted_with_the_words_that_match(store: Store) -> None:
    page = read(store, settings=ReportSettings(sheets=SheetSettings(texts=1)))
    assert "Best match: 1 picture" in sheets(page)
    assert "Worst match: 1 picture" in sheets(page)
    # the best text is markup that names no cat, the worst is "title 2"
    assert f"{HOSTILE} no word matches keywords 0.75; meaning 0.50" in page.words
    assert f"title 2 no word matches keywords 0.00, {DOG} 0.50; meaning 0.12, {DOG} 0.38" in page.words


def test_confused_groups_name_their_classes_owners_and_labels(store: Store) -> None:
    page = read(store)
    assert f"cat · {DOG}" in page.words
    assert f"cat and {DOG} 37.5%" in page.words
    assert f"Cluster 0: cat's by 62% 3 images, labelled cat 67%, {DOG} 33%" in page.words
    assert f"Cluster 1: {DOG}'s by 100% 1 image, labelled cat 100%" in page.words


def test_a_leak_shows_the_training_picture_beside_the_one_it_repeats(store: Store) -> None:
    page = read(store)
    assert "2 listed pictures in 1 group; 0 groups with different labels; 1 training picture repeating" in page.words
    assert "2 doubles 1 for training, 1 for val or test, alike, not the same file cat test: cat" in page.words
    assert "The largest other groups" not in page.words


def test_nothing_of_the_crawl_becomes_markup_in_any_caption(store: Store) -> None:
    page = read(store)
    html = "".join(pages(store).values())
    assert "<script>alert" not in html
    assert html.count(DOG.replace('"', "&#34;").replace("<", "&lt;").replace(">", "&gt;")) > 5
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"]


@pytest.mark.parametrize("source", [[name] for name in SAID] + [[name for name in SAID if name != one] for one in SAID])
def test_any_source_may_be_missing(tmp_path: Path, source: Sequence[str]) -> None:
    store = Store(tmp_path / "store")
    add_crawl(store, "shop", CRAWL)
    add_evidence(store, "shop", CRAWL, source)
    page = read(store)
    missing = [name for name in EVIDENCE if name not in source]
    assert "Evidence that has not been made" in page.words
    assert all(name in page.words for name in missing)
    assert {row[0][0].split()[0] for row in page.cells if row and row[0] and row[0][0].split()[:1]} >= set(source)


def test_no_evidence_is_told_in_words(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    add_crawl(store, "shop", CRAWL)
    words = read(store).words
    for sentence in ("No evidence has been made yet", "looked for confused classes yet", "looked for doubles yet"):
        assert sentence in words


def test_evidence_older_than_a_crawl_counts_as_unknown(store: Store) -> None:
    add_crawl(store, "later", [Image(0, path="late.jpg"), Image(2)])
    page = read(store)
    assert "Evidence neighbours is older than 2 training images: of these it knows nothing yet." in page.words
    assert page.row("neighbours", "3")[1:3] == ["3", "50.0"]
    assert page.row("empty", NONE)
    # its features have not been made: there is no map, and the rest stands
    assert not [attrs for tag, attrs in page.tags if tag == "img" and "Density level" in str(attrs["alt"])]


def test_features_of_other_pictures_make_no_map(store: Store) -> None:
    add_features(Store(store.root), "shop", CRAWL[:3])  # the same identity: nothing is made anew
    assert "Every mark is a picture" in read(store).words
    folder = store.current("features", "shop").table("features")
    (part,) = folder.glob("*.npy")
    np.save(part, np.zeros((3, 2), np.float16))
    assert make_report(store, [*RECIPES, "other"], {}).made
    assert "Every mark is a picture" not in shown(store, "class/00000.html").words


def test_without_weights_the_worst_classes_are_those_of_the_evidence(store: Store) -> None:
    read(store)
    words = shown(store, "index.html").words
    assert f"{DOG} Right labels 50% cat Right labels 62.5%" in words
    add_weights(store, "shop", CRAWL)
    read(store)
    assert f"cat 33% look wrong {DOG} 0% look wrong" in shown(store, "index.html").words


def test_new_evidence_makes_a_new_report(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    add_crawl(store, "shop", CRAWL)
    first = make_report(store, RECIPES, {})
    add_evidence(store, "shop", CRAWL, ["rank"])
    assert make_report(store, RECIPES, {}).identity != first.identity


def test_a_column_beside_other_images_by_hand() -> None:
    table = pa.table({"image_id": [3, 1], "x": pa.array([0.5, None]), "k": pa.array([7, None]), "b": [True, True]})
    ids = np.array([1, 2, 3], np.int64)
    np.testing.assert_array_equal(beside(table, ids, "x"), [np.nan, np.nan, 0.5])
    assert beside(table, ids, "k").tolist() == [-1, -1, 7]
    assert beside(table, ids, "b").tolist() == [True, False, True]
    assert beside(table, np.array([3, 1]), "k").tolist() == [7, -1]
    assert beside(table.slice(0, 0), ids, "k").tolist() == [-1, -1, -1]


def test_an_image_that_cannot_be_used_any_more_has_no_place() -> None:
    numbers, small = np.zeros(2, np.int32), np.zeros(2, np.int8)
    population = Population(
        np.array([5, 6], np.int64), numbers, small, np.array([True, False]), small, numbers, numbers
    )
    assert usable_positions(population, np.array([6, 5, 7])).tolist() == [-1, 0, -1]
    none = dataclasses.replace(population, image_id=np.zeros(0, np.int64), usable=np.zeros(0, np.bool_))
    assert usable_positions(none, np.array([6])).tolist() == [-1]
    assert len(ClassOrder.of(population, 1)) == 1


def test_classes_and_queries_are_told_worst_first(store: Store) -> None:
    queries = [{"query_id": 7, "class_index": 0, "text": HOSTILE}, {"query_id": 8, "class_index": 0, "text": "cats"}]
    folder = store.current("listing", "shop").folder / "queries"
    write_table(part_path(folder, 0), QUERIES, [pa.Table.from_pylist(queries, schema=QUERIES)])
    page = read(store)
    assert page.row("cats", "25.0") == [f"cats {NAMES[0]}", "1", "25.0", ""]
    assert page.row(HOSTILE, "87.5")[1:3] == ["2", "87.5"]
    told = [" ".join("".join(row[0]).split()) for row in page.cells if len(row) == 4 and "".join(row[-1]).strip() == ""]
    places = [
        next(k for k, name in enumerate(told) if name.startswith(own)) for own in ("cats", "no query is", HOSTILE)
    ]
    assert places == sorted(places)
    assert "<script>alert" not in "".join(pages(store).values())
    assert "Nobody can tell yet: there is no verdict of a person" in page.words
    assert "winnow verdicts FILE" in page.words


def test_verdicts_judge_how_honest_the_probabilities_are(store: Store) -> None:
    told = [
        {"image_id": 4000, "right": True, "held_out_probability": 0.875, "unaided_probability": 0.5},
        {"image_id": 4002, "right": False, "held_out_probability": 0.125, "unaided_probability": 0.75},
    ]
    folder = store.current("evidence-fused").folder / "judged"
    write_table(part_path(folder, 0), JUDGED, [pa.Table.from_pylist(told, schema=JUDGED)])
    page = read(store)
    assert "By 2 images that a person looked at, a probability is 12.5 points off on average" in page.words
    assert "62.5 without any verdict" in page.words
    assert any(
        str(attrs.get("alt")).startswith("How often labels were right") for tag, attrs in page.tags if tag == "img"
    )


def test_the_page_says_which_crawls_judge_all_images(store: Store) -> None:
    before = store.current("evidence-neighbours")

    def build(draft: Draft) -> Facts:
        for table, schema in (("evidence", NEIGHBOURS), ("nearest", NEAREST)):
            path = part_path(draft.table(table), 0)
            draft.finish(len(table), {path: write_table(path, schema, [read_table(before.table(table))])})
        return before.facts | {FITTED_ON: ["shop"]}

    assert "evidence.fitted_on" not in read(store).words
    store.make(before.stage, WHOLE, "stands", build)
    assert "Images are judged by those of shop alone, as evidence.fitted_on says: neighbours." in read(store).words
