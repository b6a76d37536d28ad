import base64

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.sheets import Caption, SheetSettings, contact_sheet, data_uri, extremes, make_sheet, sample


def decoded(data: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[..., ::-1]


def plain(colours: list[tuple[int, int, int]], size: int = 16) -> np.ndarray:
    return np.stack([np.full((size, size, 3), colour, np.uint8) for colour in colours])


def test_pictures_lie_in_reading_order_in_their_colours() -> None:
    sheet = decoded(contact_sheet(plain([(250, 0, 0), (0, 250, 0), (0, 0, 250)]), 2, SheetSettings(quality=95)))
    assert sheet.shape == (32, 32, 3)
    corners = {"red": sheet[8, 8], "green": sheet[8, 24], "blue": sheet[24, 8]}
    assert [int(np.argmax(corners[name])) for name in ("red", "green", "blue")] == [0, 1, 2]
    assert np.ptp(sheet[24, 24]) < 8  # the empty place is grey


def test_large_pictures_are_reduced_and_small_ones_kept() -> None:
    large = np.zeros((1, 200, 100, 3), np.uint8)
    assert decoded(contact_sheet(large, 1, SheetSettings(size=64))).shape == (64, 32, 3)
    assert decoded(contact_sheet(plain([(0, 0, 0)], 32), 1, SheetSettings(size=64))).shape == (32, 32, 3)


@pytest.mark.parametrize("wrong", [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((1, 8, 8), np.uint8)])
def test_what_is_no_picture_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        contact_sheet(wrong, 1, SheetSettings())


def test_a_sheet_knows_its_empty_places() -> None:
    captions = [Caption(f"{k}.jpg", "", None, None) for k in range(3)]
    sheet = make_sheet("Heaviest", "", plain([(9, 9, 9)] * 3), captions, 2, SheetSettings())
    assert (sheet.columns, sheet.blanks) == (2, 1)
    assert make_sheet("Heaviest", "", plain([(9, 9, 9)] * 3), captions, 8, SheetSettings()).columns == 3
    with pytest.raises(ValueError, match="2 captions for 3 pictures"):
        make_sheet("Heaviest", "", plain([(9, 9, 9)] * 3), captions[:2], 2, SheetSettings())


def test_ends_by_hand() -> None:
    weight, ids = np.array([1.0, 3.0, 1.0, 2.0, 3.0]), np.array([50, 40, 30, 20, 10])
    heavy, light = extremes(weight, ids, 2)
    assert heavy.tolist() == [4, 1]  # equal weights by image id
    assert light.tolist() == [0, 2]
    heavy, light = extremes(weight, ids, 9)
    assert heavy.tolist() == [4, 1, 3]
    assert light.tolist() == [0, 2]


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 12))
def test_no_image_is_at_both_ends(weights: list[int], count: int) -> None:
    heavy, light = extremes(np.array(weights, np.float64), np.arange(len(weights), dtype=np.int64), count)
    assert not set(heavy.tolist()) & set(light.tolist())
    assert (len(heavy), len(light)) == (min(count, (len(weights) + 1) // 2), min(count, len(weights) // 2))
    if len(heavy) and len(light):
        assert min(weights[k] for k in heavy) >= max(weights[k] for k in light)


def test_a_sample_is_the_smallest_ids() -> None:
    ids = np.array([9, 1, 5, 3], np.int64)
    assert sample(np.array([0, 2, 3]), ids, 2).tolist() == [3, 2]


def test_data_uri() -> None:
    head, _, tail = data_uri(b"\x00\xff", "image/jpeg").partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(tail) == b"\x00\xff"


@pytest.mark.parametrize("wrong", [{"quality": 0}, {"size": 4}, {"ends": 65}, {"classes": 0}, {"clusters": 0}])
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"sheets.{next(iter(wrong))} must be"):
        SheetSettings(**wrong)
