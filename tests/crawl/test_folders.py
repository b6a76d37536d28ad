"""A folder per class, with and without splits."""

from pathlib import Path

from tests.crawl.tiny import read, rows, write


def test_classes_at_the_top_are_training(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "cat/1.jpg": "x",
            "cat/deep/2": "x",
            "cat/notes.txt": "x",
            "cat/.hidden.jpg": "x",
            "train/a.jpg": "x",  # a class of trains: it has pictures itself
            "stray.jpg": "x",
            "info/glosses.tsv": "cat\tan animal\n",
        },
    )
    found = [(row.path, row.label, row.split) for row in rows(tmp_path)]
    assert found == [("cat/1.jpg", "cat", "train"), ("cat/deep/2", "cat", "train"), ("train/a.jpg", "train", "train")]


def test_splits_at_the_top(tmp_path: Path) -> None:
    write(tmp_path, {"train/cat/1.jpg": "x", "Validation/cat/2.jpg": "x", "test/dog/3.jpg": "x", "old/cat/4.jpg": "x"})
    held = read(tmp_path)
    found = [(row.path, row.label, row.split) for row in held.rows]
    assert found == [
        ("Validation/cat/2.jpg", "cat", "val"),
        ("test/dog/3.jpg", "dog", "test"),
        ("train/cat/1.jpg", "cat", "train"),
    ]
    assert held.notes == ["folders that are no split: old: left out"]


def test_without_val_and_test(tmp_path: Path) -> None:
    write(tmp_path, {"train/cat/1.jpg": "x", "train/dog/2.jpg": "x"})
    assert [(row.label, row.split) for row in rows(tmp_path)] == [("cat", "train"), ("dog", "train")]


def test_links_are_listed_and_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside", {"secret/s.jpg": "x"})
    write(tmp_path / "crawl", {"cat/1.jpg": "x"})
    (tmp_path / "crawl/cat/link").symlink_to(tmp_path / "outside/secret")
    assert [row.path for row in rows(tmp_path / "crawl")] == ["cat/1.jpg", "cat/link"]
