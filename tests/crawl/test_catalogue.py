"""Classes: their order, names and definitions."""

from pathlib import Path

import pytest

from pipeline.crawl.catalogue import Names, class_table, named_by_labels, read_names
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.rows import CrawlError, Synset
from pipeline.crawl.settings import CrawlSettings
from tests.crawl.tiny import write

TENCH, GOLDFISH = Synset("n01", ["tench", "Tinca tinca"]), Synset("n02", ["goldfish"])


def test_own_order_and_names() -> None:
    table, index = class_table([GOLDFISH, TENCH], Names({"n01": "a fish"}, {}))
    assert table.to_pylist() == [
        {"class_index": 0, "wnid": "n02", "lemmas": ["goldfish"], "gloss": None, "near": None},
        {"class_index": 1, "wnid": "n01", "lemmas": ["tench", "Tinca tinca"], "gloss": "a fish", "near": None},
    ]
    assert index == {"n02": 0, "n01": 1}


def test_labels_that_are_numbers_are_ordered_as_numbers() -> None:
    assert [synset.wnid for synset in named_by_labels(["10", "9"])] == ["9", "10"]
    assert [synset.wnid for synset in named_by_labels(["10", "9", "a_b"])] == ["10", "9", "a_b"]
    assert named_by_labels(["hot_dog"]) == [Synset("hot_dog", ["hot dog"])]


def test_definitions_in_the_crawl_and_files_of_the_user(tmp_path: Path) -> None:
    write(tmp_path, {"crawl/info/glosses.tsv": "n01\tits own\n", "words": "n01\ttench, carp\n", "gloss": "n01\tmine\n"})
    files = CrawlFiles(str(tmp_path / "crawl"))
    assert read_names(files, CrawlSettings()) == Names({"n01": "its own"}, {})
    settings = CrawlSettings(definitions=str(tmp_path / "gloss"), lemmas=str(tmp_path / "words"))
    assert read_names(files, settings) == Names({"n01": "mine"}, {"n01": ["tench", "carp"]})


def test_near_words_are_words_or_related_classes(tmp_path: Path) -> None:
    own = "n01\tcarp, n02 , n77\n"
    write(tmp_path, {"crawl/info/near_words.tsv": own, "near": "n02\tpond\n"})
    files = CrawlFiles(str(tmp_path / "crawl"))
    table, _ = class_table([TENCH, GOLDFISH], read_names(files, CrawlSettings()))
    assert table.column("near").to_pylist() == [["carp", "goldfish", "n77"], None]
    table, _ = class_table([TENCH, GOLDFISH], read_names(files, CrawlSettings(near_words=str(tmp_path / "near"))))
    assert table.column("near").to_pylist() == [None, ["pond"]]


def test_a_catalogue_gives_order_names_and_classes_without_pictures(tmp_path: Path) -> None:
    write(tmp_path, {"c.csv": 'wnid,lemmas,gloss\nn02,,\nn03,"bream, sea bream",a fish\nn01,,\n'})
    names = read_names(CrawlFiles(str(tmp_path)), CrawlSettings(catalogue=str(tmp_path / "c.csv")))
    table, index = class_table([TENCH, GOLDFISH], names)
    assert table.column("wnid").to_pylist() == ["n02", "n03", "n01"]
    assert table.column("lemmas").to_pylist() == [["goldfish"], ["bream", "sea bream"], ["tench", "Tinca tinca"]]
    assert index == {"n01": 2, "n02": 0}
    assert class_table(named_by_labels(["2", "0"]), names)[1] == {"0": 0, "2": 2}  # positions in it
    with pytest.raises(CrawlError, match=r"catalogue: no class '3' among its 3\. Add a line for it"):
        class_table(named_by_labels(["3", "0"]), names)
    with pytest.raises(CrawlError, match="no class 'n09'"):
        class_table([TENCH, Synset("n09", ["x"])], names)


@pytest.mark.parametrize(
    ("option", "text", "told"),
    [
        ("definitions", "n01\ta\nn02 b\n", "file, line 2: 'n02 b' has no tab. Write wnid<TAB>text"),
        ("lemmas", "n01\ta\n\nn01\tb\n", "file, line 3: n01 is named twice. Remove one"),
        ("catalogue", "wnid,gloss\n", "file, line 1: no column lemmas. Begin with wnid,lemmas,gloss"),
        ("catalogue", "wnid,lemmas,gloss\na,,\na,,\n", "file, line 3: wnid 'a' is empty or named twice"),
    ],
)
def test_refusals(tmp_path: Path, option: str, text: str, told: str) -> None:
    write(tmp_path, {"file": text})
    with pytest.raises(CrawlError) as refused:
        read_names(CrawlFiles(str(tmp_path)), CrawlSettings(**{option: str(tmp_path / "file")}))  # type: ignore[arg-type]
    assert told in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CrawlError, match=r"none\.tsv: cannot be read .*Correct the crawl's settings"):
        read_names(CrawlFiles(str(tmp_path)), CrawlSettings(definitions=str(tmp_path / "none.tsv")))
