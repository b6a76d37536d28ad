import base64

import cv2
import numpy as np
import pytest

from pipeline.report.sheets import Caption, Sheet, SheetSettings, contact_sheet, data_uri


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
    captions = tuple(Caption(f"{k}.jpg", "", None, None) for k in range(3))
    assert Sheet("Heaviest", "", "data:,", 2, captions).blanks == 1
    assert Sheet("Heaviest", "", "data:,", 3, captions).blanks == 0


def test_data_uri() -> None:
    head, _, tail = data_uri(b"\x00\xff", "image/jpeg").partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(tail) == b"\x00\xff"


@pytest.mark.parametrize(
    "wrong", [{"quality": 0}, {"size": 4}, {"ends": 65}, {"texts": 0}, {"clusters": 0}, {"points": 0}]
)
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"sheets.{next(iter(wrong))} must be"):
        SheetSettings(**wrong)
