"""Files and folders a user names: found in order, and read as carefully as a crawl."""

from pathlib import Path

import numpy as np

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.pictures import count_pictures, pictures_at, read_pictures
from pipeline.crawl.worker import FIRST_DEFECT
from pipeline.records import DEFECTS
from tests.crawl.pictures import encoded

SETTINGS = DecodeSettings(image_size=32)


def jpeg(colour: tuple[int, int, int] = (9, 99, 199)) -> bytes:
    return encoded(np.full((40, 60, 3), colour, np.uint8), "JPEG")


def told(places: list[str], step: int = 512) -> dict[str, str]:
    """Each path, and the defect it has or "usable"."""
    found: dict[str, str] = {}
    for paths, results in read_pictures(pictures_at(places), SETTINGS, 1, step):
        states = results.rows["state"].tolist()
        said = ["usable" if state < FIRST_DEFECT else DEFECTS[state - FIRST_DEFECT] for state in states]
        found |= dict(zip(paths, said, strict=True))
    return found


def test_files_of_one_folder_are_read_together_and_folders_whole(tmp_path: Path) -> None:
    for name in ("a/2.jpg", "a/1.jpg", "b/deep/3.jpg", "b/.hidden.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(jpeg())
    places = pictures_at([str(tmp_path / "a/2.jpg"), str(tmp_path / "a/1.jpg"), str(tmp_path / "b")])
    assert [list(place.paths()) for place in places] == [["2.jpg", "1.jpg"], ["deep/3.jpg"]]
    assert count_pictures(places) == 3
    assert list(told([str(tmp_path / "a/2.jpg"), str(tmp_path / "b")])) == [
        str(tmp_path / "a/2.jpg"),
        str(tmp_path / "b/deep/3.jpg"),
    ]


def test_whatever_is_no_picture_is_told_and_nothing_outside_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(jpeg())
    (folder / "good.jpg").write_bytes(jpeg())
    (folder / "cut.jpg").write_bytes(jpeg()[:200])
    (folder / "text.jpg").write_text("<svg onload=alert(1)>")
    (folder / "nothing.png").touch()
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    found = told([str(folder), str(tmp_path / "absent.jpg"), str(tmp_path / "absent" / "deep.jpg")], step=2)
    assert {Path(path).name: state for path, state in found.items()} == {
        "good.jpg": "usable",
        "cut.jpg": "broken",
        "text.jpg": "unknown-format",
        "nothing.png": "empty",
        "link.jpg": "outside-crawl",
        "absent.jpg": "missing",
        "deep.jpg": "missing",
    }


def test_the_pixels_of_each_step_are_its_own(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(colour=(50 * number, 0, 0)))
    steps = [
        (paths, results.pixels[:, 16, 16, 0].tolist())
        for paths, results in read_pictures(pictures_at([str(tmp_path)]), SETTINGS, 1, 2)
    ]
    assert [len(paths) for paths, _ in steps] == [2, 2, 1]
    np.testing.assert_allclose([red for _, reds in steps for red in reds], [0, 50, 100, 150, 200], atol=6)
