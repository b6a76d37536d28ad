"""Explaining images of small stores: where they stand, what is told of them, and what is missing."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from assets.explain import explain
from pipeline.evidence.fusion import FusionSettings
from pipeline.evidence_tables import EVIDENCE
from pipeline.policy.catalogue import RULES
from pipeline.policy.policy import Policy
from pipeline.policy.rule import Part
from pipeline.records import DEFECTS, SETTLED
from pipeline.report.explanation import DEFECT_WORDS
from pipeline.stages import explain_pictures
from pipeline.stages.classes import ClassOrder
from pipeline.stages.explain import explain_image
from pipeline.stages.explain_find import Found, find_ids, find_image
from pipeline.stages.explain_pictures import closest
from pipeline.stages.explain_place import Crawl, class_mates
from pipeline.stages.fusion import make_fused
from pipeline.stages.manifest import make_manifest
from pipeline.storage import tables
from pipeline.storage.arrays import write_array
from pipeline.storage.artifacts import NotMadeError, Store
from tests.stages import report_store
from tests.stages.report_store import CRAWL, HOSTILE, SAID, Image, Reader
from tests.stages.tiny_store import Picture, add_evidence, two_crawls
from tests.stages.tiny_store import add_crawl as add_tiny_crawl

AT = {"shop": "/data/shop"}


def whole(folder: Path) -> Store:
    """The report's made-up crawl with everything that has been made of it; ids are 4000 and on."""
    store = Store(folder)
    report_store.add_crawl(store, "shop", CRAWL)
    report_store.add_weights(store, "shop", CRAWL)
    report_store.add_evidence(store, "shop", CRAWL)
    return store


def crawls_of(store: Store) -> list[Crawl]:
    return [
        Crawl(*(store.current(stage, name) for stage in ("listing", "images", "features")))
        for name in store.partitions("listing")
    ]


def text_of(page: Path) -> Reader:
    return Reader(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_the_images_of_a_class_are_found_without_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP_ROWS", rows)
    store = two_crawls(tmp_path)
    rng = np.random.default_rng(rows)
    many = [
        Picture(int(label), None if rng.random() < 0.3 else (0, 1), split)
        for split in ("train", "val", "test")
        for label in sorted(rng.integers(0, 3, 20))
    ]
    add_tiny_crawl(store, "ccc", many, shard_rows=7)
    crawls = crawls_of(store)
    order = ClassOrder.read([c.listing for c in crawls], [c.images for c in crawls if c.images])
    for label in range(len(order.sizes)):
        mates, own = class_mates(crawls, label), order.rows(label)
        assert mates.rows == range(own.start, own.stop)
        assert mates.image_id.tolist() == order.image_id[own].tolist()
        assert mates.at.tolist() == order.population.row[order.members[own]].tolist()


def test_a_crawl_that_is_not_decoded_has_no_mates(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    first, second = crawls_of(store)
    mates = class_mates([first, Crawl(second.listing, None, None)], 0)
    assert mates.image_id.tolist() == [100, 101, 103]
    assert class_mates([Crawl(first.listing, None, None)], 0).image_id.tolist() == []
    assert class_mates([first, second], 2).start == 4


def test_an_image_is_found_by_id_path_and_part(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    listings = [crawl.listing for crawl in crawls_of(store)]
    at = {"a": "/data/a/", "bb": "s3://bucket/bb"}
    for told in ("101", "a/1.jpg", "./a/1.jpg", "a/a/1.jpg", "/data/a/a/1.jpg"):
        assert find_image(listings, told, at) == Found(0, 1), told
    assert find_image(listings, "s3://bucket/bb/bb/1.jpg", at) == Found(1, 1)
    assert find_image(listings, "b/0", at) == Found(1, 0)
    assert find_ids(listings, np.array([201, 7, 100])) == [Found(1, 1), None, Found(0, 0)]


def test_several_or_no_images_are_told_with_what_is_near(tmp_path: Path) -> None:
    store = two_crawls(tmp_path)
    listings = [crawl.listing for crawl in crawls_of(store)]
    with pytest.raises(ValueError, match=r"fits 8 images: a/a/0.jpg, .* and 3 more; give more of the path"):
        find_image(listings, ".jpg", {})
    with pytest.raises(ValueError, match=r"fits 2 images: a/a/1.jpg, bb/bb/1.jpg; give more"):
        find_image(listings, "1.jp", {})
    with pytest.raises(ValueError, match=r"no image is called 'bb/1.jpeg'; nearest by name: bb/bb/1.jpg"):
        find_image(listings, "bb/1.jpeg", {})
    with pytest.raises(ValueError, match="nearest by name"):
        find_image(listings, "9" * 19, {})  # no image_id is so large
    with pytest.raises(NotMadeError, match="winnow evidence CRAWL"):
        find_image([], "1", {})


def test_everything_is_told_of_an_image_and_nothing_of_it_can_run(tmp_path: Path) -> None:
    store = whole(tmp_path)
    told, page = explain_image(store, "4000", AT)
    assert page == store.root / "explain" / "4000.html"
    html, shown = page.read_text(encoding="utf-8"), text_of(page)
    assert HOSTILE in shown.words  # as words
    assert "<script" not in html
    assert {tag for tag, _ in shown.tags}.isdisjoint({"script", "iframe", "link rel=stylesheet", "form"})
    assert all(str(found.get("src", "data:")).startswith("data:") for _, found in shown.tags)
    assert told.headline == "Its label is almost surely right: 100% likely."
    assert [one.source for one in told.testimonies] == [
        *("fused", "neighbours", "opinion", "aum", "keyword", "semantic", "rank", "kmeans", "density", "hdbscan"),
        *("confusion", "duplicates"),
    ]
    says = "75% of the images most like it, of all classes, carry its label. agreement"
    assert shown.row("neighbours", says)[1:] == [says, "75%", "higher than all of its class"]
    assert [sheet.name for sheet in told.sheets] == ["Nearest images", "Its cluster", "Its density level"][:2]
    nearest = told.sheets[0]
    assert [caption.label for caption in nearest.captions] == ["cat", "cat", report_store.NAMES[1]]
    assert "2 of 3 have its own" in nearest.note
    (recipe,) = told.recipes
    assert (recipe.recipe, recipe.weight, recipe.reason) == ("weighed", 1.5, "so")
    assert shown.row("weighed")[1:3] == ["1.50", "so"]


def test_an_image_that_is_wrong_says_what_it_is_rather(tmp_path: Path) -> None:
    told, page = explain_image(whole(tmp_path), "4002", AT)
    assert told.headline == "Its label is probably wrong: 25% likely."
    assert told.details == (f"It is rather {report_store.NAMES[1]}, by 50%.",)
    assert set(told.for_and_against[1]) == {"neighbours", "opinion", "aum", "keyword", "semantic", "confusion"}
    assert "Its density level" not in [sheet.name for sheet in told.sheets]  # nobody else is of it
    assert "No word of its text is a word of its class" in text_of(page).words


def test_a_leak_names_what_it_repeats(tmp_path: Path) -> None:
    told, _ = explain_image(whole(tmp_path), "4001", AT)
    assert "It repeats a picture of val or test, so no recipe trains on it." in told.details
    doubles = told.sheets[-1]
    assert (doubles.name, doubles.note) == ("The same picture elsewhere", "1 double, 1 of them in val or test")
    assert doubles.captions[0].label == "test: cat"
    silent = {one.source for one in told.testimonies if one.silent}
    assert silent == {"keyword", "semantic"}


def test_an_image_of_test_and_one_in_quarantine(tmp_path: Path) -> None:
    store = whole(tmp_path)
    told, page = explain_image(store, "4007", AT)
    assert told.headline.startswith("An image of test")
    assert told.details == ("1 training image repeat it; no recipe trains on these.",)
    assert told.testimonies == ()
    assert "Evidence" not in {line.strip() for line in text_of(page).pieces}
    broken, page = explain_image(store, "4004", AT)
    assert broken.headline == "It cannot be used."
    assert "truncated or damaged" in broken.details[0]
    assert HOSTILE in broken.details[1]
    assert (
        "pic\N{MATHEMATICAL LEFT ANGLE BRACKET}U+202E\N{MATHEMATICAL RIGHT ANGLE BRACKET}gpj.exe" in text_of(page).words
    )
    assert (broken.picture, broken.sheets) == (None, ())
    assert set(DEFECT_WORDS) == set(DEFECTS)


@pytest.mark.parametrize("source", EVIDENCE)
def test_a_table_that_is_not_there_is_named_with_the_command_that_makes_it(tmp_path: Path, source: str) -> None:
    store = Store(tmp_path)
    report_store.add_crawl(store, "shop", CRAWL)
    report_store.add_evidence(store, "shop", CRAWL, [name for name in SAID if name != source])
    told, page = explain_image(store, "4001", AT)
    assert page.exists()
    assert told.missing[0] == f"Evidence that has not been made: {source}."
    assert f"winnow evidence /data/shop --store {tmp_path}" in told.missing[1]
    assert len(told.testimonies) == len(EVIDENCE) - 1
    assert any(f"winnow run /data/shop --store {tmp_path} --recipes NAME" in sentence for sentence in told.missing)


def test_a_store_with_nothing_but_a_listing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    report_store.add_listing(store, "shop", CRAWL)
    told, _ = explain_image(store, "4000", {})
    assert told.headline == "It has been listed, but not decoded yet."
    assert any("winnow evidence CRAWL" in sentence for sentence in told.missing)
    report_store.add_images(store, "shop", CRAWL)
    told, _ = explain_image(store, "4000", {})
    assert (told.headline, told.testimonies) == ("Nobody has estimated yet whether its label is right.", ())
    assert told.picture


def test_tables_of_other_images_are_left_aside(tmp_path: Path) -> None:
    store = whole(tmp_path)
    report_store.add_crawl(store, "aa", [Image(0), Image(0, "val")])  # comes before the other in every table
    told, _ = explain_image(store, "4000", AT)
    assert told.testimonies == ()
    assert told.missing[0].startswith("Evidence that was made of other images than there are now: duplicates, rank,")
    assert any(sentence.startswith("Manifests of other images") for sentence in told.missing)
    assert told.recipes == ()


def judged(folder: Path) -> Store:
    """The tiny store with evidence of three views, fused, and two recipes."""
    store, crawls = two_crawls(folder), ["a", "bb"]
    for crawl in crawls:
        images = store.current("images", crawl)
        for number, part in enumerate(tables.part_paths(images.table("images"))):
            usable = len(tables.read_part(part, ("shard",))["shard"].drop_null())
            with write_array(images.table("pixels") / f"part-{number:05d}.npy", (usable, 8, 8, 3), np.uint8):
                pass
    add_evidence(store, crawls, "duplicates", training_copies=[1] * 6)
    add_evidence(store, crawls, "keyword", keyword=[0.9, 0.8, 0, 0.7, None, None], keyword_other=[0, 0, 0.8, 0, 0, 0])
    add_evidence(store, crawls, "rank", position=[1, 2, 4, 3, None, None])
    make_fused(store, crawls, ["keyword", "rank"], FusionSettings(), workers=1)
    for name in ("baseline", "semantic"):
        settings = RULES[name].settings(**({"by": "keyword"} if name == "semantic" else {}))
        make_manifest(store, name, Policy(parts=(Part(rule=RULES[name], settings=settings),)), crawls)
    return store


def test_steps_lead_to_the_probability_and_rows_of_several_crawls_are_told_apart(tmp_path: Path) -> None:
    store = judged(tmp_path)
    for image in ("100", "103", "200", "201"):
        told, _ = explain_image(store, image, {})
        names = [move.name for move in told.moves]
        assert names == ["how right its query is", "its text (keyword)", "its place in the results (rank)"]
        fused = told.testimonies[0].figures[0]
        assert fused.column == "right_probability"
        right = float(fused.value.removesuffix("%")) / 100
        assert told.moves[-1].after == pytest.approx(right, abs=0.006)
        assert [move.before for move in told.moves] == [0.5, *(move.after for move in told.moves[:-1])]
        assert [row.recipe for row in told.recipes] == ["baseline", "semantic"]
    assert [move.odds is None for move in told.moves] == [False, True, True]  # 201 has neither text nor rank


def test_mates_come_nearest_first_and_by_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crawls = crawls_of(two_crawls(tmp_path))
    mates = class_mates(crawls, 0)  # 100 at (0, 0), 101 at (0, 1), 103 at (9, 9), 200 at (0, 2)
    for block in (1, 100):
        monkeypatch.setattr(explain_pictures, "_BLOCK", block)
        assert closest(crawls, mates, 0, np.array([2, 3, 1])).tolist() == [1, 3, 2]
        assert closest(crawls, mates, 2, np.array([0, 1, 3])).tolist() == [3, 1, 0]
    assert closest(crawls, mates, 0, np.zeros(0, np.int64)).tolist() == []


def test_what_a_person_found_comes_first(tmp_path: Path) -> None:
    store = judged(tmp_path)
    rows = [
        {"image_id": 103, "right": False, "class_index": 2, "told_on": 103},
        {"image_id": 100, "right": True, "class_index": 0, "told_on": 101},
    ]
    report_store.add_tables(store, "settled", "all", "settled", SETTLED, rows)
    wrong, _ = explain_image(store, "103", {})
    assert wrong.details[0] == "A person found the label wrong: it is class 2. That outranks all evidence."
    twin, _ = explain_image(store, "100", {})
    assert twin.details[0].startswith("A person found the label right, looking at a file with the same bytes.")
    assert not explain_image(store, "101", {})[0].details


def test_the_terminal_tells_the_same_and_a_crawl_cannot_write_in_colour(tmp_path: Path) -> None:
    store = whole(tmp_path)
    console = Console(record=True, width=160, color_system=None, file=io.StringIO())
    explain(store, "4002", console)
    said = console.export_text()
    assert "cat? Its label is probably wrong: 25% likely." in said
    assert "0% of the images most like it" in said
    assert "weighed" in said
    assert str(Path("explain") / "4002.html") in said
    explain(store, "4000", console)
    assert HOSTILE in " ".join(console.export_text().split())
    styled = Console(record=True, width=160, file=io.StringIO())
    crawl = [Image(0, path="[red]x[/red]\x1b[31m.jpg"), Image(1)]
    other = Store(tmp_path / "other")
    report_store.add_listing(other, "shop", crawl)
    explain(other, "4000", styled)
    assert "[red]x[/red]" in styled.export_text()
    assert "\x1b" not in styled.export_text()
