"""Same or not the same picture: copies as sites make them against pictures that only look alike."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pipeline.evidence.same_picture import SIDE, same_picture, thumbnails

Pixels = npt.NDArray[np.uint8]
S = 64


def scene(seed: int, side: int = 128) -> Pixels:
    """Blobs of several colours and sizes on a pale ground."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), rng.integers(200, 250, 3), np.uint8)
    for _ in range(12):
        place, colour = rng.integers(0, side, 2).tolist(), rng.integers(0, 255, 3).tolist()
        cv2.circle(picture, (place[0], place[1]), int(rng.integers(side // 16, side // 5)), colour, -1)
    return cv2.GaussianBlur(picture, (9, 9), 0).astype(np.uint8, copy=False)


def stored(picture: Pixels) -> Pixels:
    return cv2.resize(picture, (S, S), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def judged(first: Pixels, second: Pixels, tolerance: float = 6.0) -> bool:
    one, other = (thumbnails(picture[None]) for picture in (first, second))
    same = same_picture(one, other, tolerance)
    assert same[0] == same_picture(other, one, tolerance)[0]
    return bool(same[0])


def encoded(picture: Pixels, quality: int) -> Pixels:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_the_same_picture(seed: int) -> None:
    picture = scene(seed)
    copies = {
        "re-encoded": encoded(picture, 60),
        "cropped": picture[1:-1, :-1],
        "smaller": cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA),
        "larger": encoded(np.asarray(cv2.resize(picture, (192, 192), interpolation=cv2.INTER_CUBIC), np.uint8), 80),
    }
    found = {name: judged(stored(picture), stored(np.asarray(copy, np.uint8))) for name, copy in copies.items()}
    assert found == dict.fromkeys(copies, True)


@pytest.mark.parametrize("seed", range(5))
def test_what_differs_in_one_place_or_in_colour_is_another_picture(seed: int) -> None:
    picture = scene(seed)
    label = picture.copy()
    cv2.rectangle(label, (40, 60), (58, 72), (20, 20, 20) if label[60:72, 40:58].mean() > 128 else (235, 235, 235), -1)
    hue = picture.copy()
    hue[..., 0] = 255 - hue[..., 0]
    others = {"label": label, "colour": hue, "mirrored": picture[:, ::-1], "other": scene(seed + 100)}
    found = {name: judged(stored(picture), stored(other)) for name, other in others.items()}
    assert found == dict.fromkeys(others, False)


def test_a_picture_cropped_by_much_is_another() -> None:
    picture = scene(1)
    assert not judged(stored(picture), stored(picture[:, 16:]))


def test_flat_pictures_agree_if_they_have_one_colour() -> None:
    white, grey, blue = (np.full((S, S, 3), colour, np.uint8) for colour in (255, 200, (200, 200, 255)))
    assert judged(white, white)
    assert judged(white, encoded(white, 50))
    assert not judged(white, grey)
    assert not judged(grey, blue)
    faint = white.copy()
    faint[20:40, 20:40] -= 8
    assert not judged(white, faint)


def test_tolerance_is_what_the_worst_cell_may_differ_by() -> None:
    picture = stored(scene(2))
    changed = picture.astype(int)
    changed[8:16, 8:16] += np.where(picture[8:16, 8:16] > 128, -10, 10)
    changed = changed.astype(np.uint8)
    assert not judged(picture, changed, tolerance=2)
    assert judged(picture, changed, tolerance=30)


@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (50, 75), (100, 33), (7, 9)])
def test_thumbnails_keep_level_and_place_at_any_size(shape: tuple[int, int]) -> None:
    flat = np.full((2, *shape, 3), (200, 100, 50), np.uint8)
    brightness = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    thumbs = thumbnails(flat)
    assert thumbs.shape == (2, 3, SIDE, SIDE)
    assert np.allclose(thumbs[:, 0], brightness, atol=0.1)
    ramp = np.broadcast_to(np.linspace(0, 255, shape[1])[None, None, :, None], (1, *shape, 3)).astype(np.uint8)
    along = thumbnails(ramp)[0, 0, SIDE // 2]
    assert (np.diff(along) > -0.01).all()
    assert along[SIDE // 2 - 1 : SIDE // 2 + 1].mean() == pytest.approx(127.5, abs=1)


def test_many_pairs_are_judged_as_each_alone() -> None:
    pictures = np.stack([stored(scene(seed)) for seed in range(6)] + [stored(scene(seed)[1:, 1:]) for seed in range(6)])
    thumbs = thumbnails(pictures)
    first, second = np.divmod(np.arange(144), 12)
    same = same_picture(thumbs[np.tile(first, 3)], thumbs[np.tile(second, 3)], 6.0)
    alone = [same_picture(thumbs[a, None], thumbs[b, None], 6.0)[0] for a, b in zip(first, second, strict=True)]
    assert same.tolist() == alone * 3
    assert same[:144].reshape(12, 12).tolist() == ((np.arange(12) % 6)[:, None] == np.arange(12) % 6).tolist()
