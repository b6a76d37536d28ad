"""One decoder, its rules, and what it calls what it refuses."""

import contextlib
import hashlib
import io
import struct
import zlib
from typing import Any

import imagehash
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.crawl.decode import FORMATS, DecodeSettings, decode
from pipeline.crawl.files import DefectError
from pipeline.crawl.fingerprint import perceptual_hash
from pipeline.crawl.orientation import exif_orientation, jpeg_exif
from tests.crawl.pictures import Pixels, encoded, photo

SETTINGS = DecodeSettings(image_size=32)
WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)


def plain(color: object, mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new(mode, size, color)  # type: ignore[arg-type]


def middle(data: bytes) -> tuple[int, ...]:
    return tuple(decode(data, SETTINGS).pixels[16, 16].tolist())


def defect(data: bytes, wanted: DecodeSettings = SETTINGS) -> str:
    with pytest.raises(DefectError) as caught:
        decode(data, wanted)
    return caught.value.code


def distance(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 31),
        ("max_pixels", 10**8),
        ("max_bytes", 0),
        ("timeout_s", 0.0),
        ("memory_mb", 10),
        ("shard_mb", 0),
        ("formats", ()),
        ("formats", ("EPS",)),
    ],
)
def test_settings_out_of_range_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        DecodeSettings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_whole_picture(kind: str) -> None:
    halves = np.zeros((60, 200, 3), np.uint8)
    halves[:, :100] = RED
    halves[:, 100:] = BLUE
    data = encoded(halves, kind)
    made = decode(data, SETTINGS)
    assert (made.width, made.height, made.pixels.shape) == (200, 60, (32, 32, 3))
    assert made.pixels.dtype == np.uint8
    assert distance(made.pixels[:, :14], np.full((32, 14, 3), RED, np.uint8)) < 3
    assert distance(made.pixels[:, 18:], np.full((32, 14, 3), BLUE, np.uint8)) < 3
    assert made.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_undone_as_pillow_undoes_it(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photo(1, 60, 90), kind, exif=exif.tobytes())
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        oracle = ImageOps.exif_transpose(image).convert("RGB")
    made = decode(data, SETTINGS)
    assert (made.width, made.height) == oracle.size == ((60, 90) if orientation >= 5 else (90, 60))
    assert distance(made.pixels, np.asarray(oracle.resize((32, 32), Image.Resampling.BOX))) < 2


@given(st.binary(max_size=60), st.sampled_from([b"", b"II*\0", b"MM\0*", b"Exif\0\0MM\0*\0\0\0\x08"]))
def test_no_exif_block_fails(noise: bytes, beginning: bytes) -> None:
    assert 1 <= exif_orientation(beginning + noise) <= 8
    jpeg_exif(b"\xff\xd8\xff\xe1" + noise)


def test_an_orientation_out_of_range_is_none() -> None:
    block = b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 9, 0)
    assert exif_orientation(block) == 1
    assert exif_orientation(block.replace(b"\x09", b"\x06")) == 6


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_composited_on_white(kind: str) -> None:
    assert middle(encoded(plain((255, 0, 0, 0), "RGBA"), kind, **({"exact": True} if kind == "WEBP" else {}))) == WHITE
    half = middle(encoded(plain((255, 0, 0, 128), "RGBA"), kind))
    assert np.allclose(half, (255, 127, 127), atol=2)


def test_one_transparent_colour_becomes_white() -> None:
    palette = plain(1, "P")
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert middle(encoded(palette, "PNG")) == RED
    assert middle(encoded(palette, "PNG", transparency=1)) == WHITE
    assert middle(encoded(palette, "PNG", transparency=b"\xff\x00")) == WHITE
    assert middle(encoded(palette, "GIF", transparency=1)) == WHITE
    assert middle(encoded(plain(RED), "PNG", transparency=RED)) == WHITE


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_become_light(kind: str) -> None:
    cyan = middle(encoded(plain((255, 0, 0, 0), "CMYK"), kind))
    assert np.allclose(cyan, (0, 255, 255), atol=4)


def test_depth_and_greys() -> None:
    deep = Image.fromarray(np.full((30, 40), 0x80FF, np.uint16))
    assert middle(encoded(deep, "PNG")) == middle(encoded(deep, "TIFF")) == (128, 128, 128)
    assert middle(encoded(plain(77, "L"), "PNG")) == middle(encoded(plain(77, "L"), "JPEG")) == (77, 77, 77)
    assert middle(encoded(plain(1, "1"), "PNG")) == WHITE
    assert middle(encoded(plain((77, 255), "LA"), "PNG")) == (77, 77, 77)
    assert np.allclose(middle(encoded(plain((255, 128, 128), "LAB"), "TIFF")), WHITE, atol=1)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_numbers_without_a_range_are_stretched(kind: type) -> None:
    steps: npt.NDArray[Any] = np.repeat(np.array([[-1000, 0, 1000]], kind), 11, axis=1).repeat(33, axis=0)
    if kind is np.float32:
        steps[0, 11] = np.nan  # counts as 0
    row = decode(encoded(Image.fromarray(steps), "TIFF"), SETTINGS).pixels[16, [4, 16, 28]]
    assert row.tolist() == [[0, 0, 0], [127, 127, 127], [255, 255, 255]]


def test_a_flat_picture_of_numbers_is_black() -> None:
    assert middle(encoded(plain(0.3, "F"), "TIFF")) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_counts(kind: str) -> None:
    assert np.allclose(middle(encoded(plain(RED), kind, save_all=True, append_images=[plain(BLUE)])), RED, atol=4)


@pytest.mark.parametrize("size", [(301, 517), (303, 519), (256, 512), (1030, 1024)])
def test_a_large_jpeg_shrunk_while_decoding_looks_as_if_shrunk_after(size: tuple[int, int]) -> None:
    data = encoded(photo(2, *size), "JPEG", quality=90)
    with Image.open(io.BytesIO(data)) as image:
        oracle = np.asarray(image.resize((32, 32), Image.Resampling.BOX))
    made = decode(data, SETTINGS)
    assert (made.height, made.width) == size
    assert distance(made.pixels, oracle) < 1.0


def test_strips_are_averaged_along_and_stretched_across() -> None:
    stripes = np.tile(np.array([[0, 200]], np.uint8), (1, 4500))
    made = decode(encoded(stripes, "PNG"), SETTINGS)
    assert (made.width, made.height) == (9000, 1)
    assert np.abs(made.pixels.astype(int) - 100).max() <= 1


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    framed = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + framed + struct.pack(">I", 100) + b"IDAT"


def test_refusals_are_named() -> None:
    jpeg = encoded(photo(3, 40, 40), "JPEG")
    assert defect(b"") == "empty"
    assert defect(jpeg, DecodeSettings(max_bytes=len(jpeg) - 1)) == "too-many-bytes"
    assert defect(b"<!DOCTYPE html><title>404</title>") == "unknown-format"
    assert defect(b"\0") == "unknown-format"
    assert defect(encoded(photo(3, 40, 40), "PPM")) == "format-not-allowed"
    assert defect(jpeg, DecodeSettings(formats=("PNG",))) == "format-not-allowed"
    assert defect(b"\x89PNG\r\n\x1a\n and no more") == "broken"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_a_header_of_too_many_pixels_is_refused(kind: str) -> None:
    data = encoded(photo(3, 40, 50), kind)
    assert decode(data, DecodeSettings(max_pixels=2000)).width == 50
    assert defect(data, DecodeSettings(max_pixels=1999)) == "too-many-pixels"


@pytest.mark.parametrize("size", [(7000, 7000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header_alone(size: tuple[int, int]) -> None:
    assert defect(png_header(*size)) == "too-many-pixels"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncation_breaks(kind: str, share: float) -> None:
    data = encoded(photo(4, 64, 64), kind)
    assert defect(data[: int(len(data) * share)]) == "broken"


@pytest.mark.parametrize(("rows", "reason"), [(0, "broken"), (65_000, "too-many-pixels")])
def test_a_jpeg_that_lies_of_its_rows_is_refused(rows: int, reason: str) -> None:
    data = bytearray(encoded(photo(5, 64, 1024), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 7] = rows.to_bytes(2, "big")
    assert defect(bytes(data)) == reason


FLIPS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMATS), FLIPS)
def test_damage_is_pixels_or_a_defect(kind: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray(encoded(photo(6, 24, 24), kind))
    for at, mask in flips:
        data[at % len(data)] ^= mask
    with contextlib.suppress(DefectError):  # any other exception fails
        assert decode(bytes(data), SETTINGS).pixels.shape == (32, 32, 3)


@pytest.mark.parametrize("seed", range(8))
def test_perceptual_hash_is_that_of_imagehash(seed: int) -> None:
    pixels = photo(seed, 32, 32)  # nothing to shrink: the one step in which we differ
    oracle = int(str(imagehash.phash(Image.fromarray(pixels))), 16)
    assert bits(perceptual_hash(pixels), oracle) <= 2


def test_perceptual_hash_tells_alike_from_unlike() -> None:
    hashes = []
    for seed in range(20):
        picture = photo(seed, 300, 400)
        saved = decode(encoded(picture, "PNG"), SETTINGS).perceptual_hash
        again = Image.fromarray(picture).resize((230, 150))
        assert bits(saved, decode(encoded(again, "JPEG", quality=50), DecodeSettings()).perceptual_hash) <= 8
        hashes.append(saved)
    unlike = [bits(one, other) for at, one in enumerate(hashes) for other in hashes[:at]]
    assert min(unlike) > 8
    assert 28 < np.mean(unlike) < 36


@pytest.mark.parametrize("level", [0, 1, 100, 255])
def test_a_flat_picture_hashes_without_noise(level: int) -> None:
    assert perceptual_hash(np.full((64, 64, 3), level, np.uint8)) == (2**63 if level else 0)
