"""Files of a crawl that lead elsewhere, never end or expand: each costs itself, and nothing comes in from outside."""

import gzip
import io
import os
import socket
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.rows import CrawlError
from pipeline.crawl.settings import Columns, CrawlSettings
from pipeline.stages.images import make_images
from pipeline.stages.listing import Crawl, make_listing, picture_files
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import read_table
from tests.crawl.pictures import encoded, photo
from tests.crawl.tiny import write

PICTURE = encoded(photo(1, 40, 40), "PNG")
SECRET = encoded(photo(2, 40, 40), "PNG")  # a picture that lies outside of the crawl
SETTINGS = DecodeSettings(image_size=32, timeout_s=1, memory_mb=256)


def outcomes(root: Path, settings: CrawlSettings | None = None) -> dict[str, str]:
    """Path -> "usable" or why not, through the real stages."""
    store, crawl = Store(root / "store"), Crawl("c", str(root / "crawl"), settings or CrawlSettings())
    listing = make_listing(store, crawl)
    images = make_images(store, listing, picture_files(listing, crawl), SETTINGS, workers=1)
    paths = read_table(listing.table("listing"))["path"].to_pylist()
    rows = read_table(images.table("images"))
    found = [why or "usable" for why in rows["reason"].to_pylist()]
    stored = b"".join(path.read_bytes() for path in (root / "store").rglob("*") if path.is_file())
    assert SECRET not in stored
    assert images.facts["listed"] == images.facts["usable"] + images.facts["quarantined"] == len(paths)
    return dict(zip(paths, found, strict=True))


def test_links_pipes_sockets_and_devices_in_folders(tmp_path: Path) -> None:
    write(tmp_path, {"crawl/cat/good.png": PICTURE, "secret.png": SECRET, "crawl/cat/loop/x.png": PICTURE})
    cat = tmp_path / "crawl" / "cat"
    (cat / "link.png").symlink_to("../../secret.png")
    (cat / "absolute.png").symlink_to(tmp_path / "secret.png")
    (cat / "inside.png").symlink_to("good.png")
    (cat / "round.png").symlink_to("round.png")
    (cat / "folder.png").symlink_to("..")
    (cat / "zero.png").symlink_to("/dev/zero")
    (cat / "memory.png").symlink_to("/proc/self/mem")
    (tmp_path / "crawl" / "elsewhere").symlink_to("/etc")
    os.mkfifo(cat / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening, tempfile.TemporaryDirectory() as short:
        listening.bind(f"{short}/s")  # where the name is short enough
        Path(f"{short}/s").rename(cat / "socket.png")
        found = outcomes(tmp_path)
    outside = ("link", "absolute", "folder", "zero", "memory", "pipe", "socket")
    assert found == {
        **{f"cat/{name}.png": "usable" for name in ("good", "inside", "loop/x")},
        **{f"cat/{name}.png": "outside-crawl" for name in outside},
        "cat/round.png": "unreadable",
    }


PATHS = [
    *("../secret.png", "a/../../secret.png", "{root}/secret.png", "//{root}/secret.png", "..\\secret.png"),
    *("C:\\secret.png", "\\\\server\\share\\secret.png", "//server/share/secret.png", "file://{root}/secret.png"),
    *("s3://bucket/secret.png", "http://127.0.0.1/secret.png", "a\0b.png", "%2e%2e/secret.png", "~/secret.png"),
    *("/dev/zero", "/proc/self/environ", ".", "..", "./", "cat", "a\n../secret.png", "x" * 5000, "a/" * 5000 + "b"),
]


def test_a_path_leads_nowhere_but_into_the_crawl(tmp_path: Path) -> None:
    write(tmp_path, {"secret.png": SECRET, "crawl/cat/good.png": PICTURE})
    paths = ["cat/good.png", *(path.replace("{root}", str(tmp_path)) for path in PATHS)]
    pq.write_table(pa.table({"path": paths, "label": ["cat"] * len(paths)}), tmp_path / "crawl" / "t.parquet")
    found = outcomes(tmp_path, CrawlSettings(layout="table"))
    assert found.pop("cat/good.png") == "usable"
    inside = {path: why for path, why in found.items() if why != "outside-crawl"}
    assert inside == {
        **dict.fromkeys(("%2e%2e/secret.png", "~/secret.png", "a\n../secret.png"), "missing"),
        **dict.fromkeys(("x" * 5000, "a/" * 5000 + "b"), "unreadable"),
    }


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    return info, data


def test_members_that_climb_link_or_are_devices_are_listed_and_not_followed(tmp_path: Path) -> None:
    members = [
        member("0.png", data=PICTURE),
        member("../1.png", data=SECRET),
        member("/2.png", data=SECRET),
        member("a/../../3.png", data=SECRET),
        member("4.png", tarfile.SYMTYPE, "../secret.png"),
        member("5.png", tarfile.LNKTYPE, "../secret.png"),
        member("6.png", tarfile.CHRTYPE),
        member("7.png", tarfile.BLKTYPE),
        member("8.png", tarfile.FIFOTYPE),
        member("9\\x.png", data=SECRET),
    ]
    write(tmp_path, {"secret.png": SECRET})
    (tmp_path / "crawl").mkdir()
    with tarfile.open(tmp_path / "crawl" / "train-0.tar", "w") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
            label, number = member(f"{info.name.removesuffix('.png')}.cls", data=b"0")
            tar.addfile(label, io.BytesIO(number))
    found = outcomes(tmp_path)
    assert found.pop("train-0.tar/0.png") == "usable"
    assert set(found.values()) == {"outside-crawl"}
    assert len(found) == 9
    assert {path.name for path in tmp_path.iterdir()} == {"crawl", "store", "secret.png"}


def test_what_expands_is_not_expanded(tmp_path: Path) -> None:
    """A compressed shard is refused unread; a bomb in a picture costs itself, as does an archive called a picture."""
    zeros = bytes(50_000_000)
    write(tmp_path / "packed", {"a.tar.gz": gzip.compress(zeros, 1)})
    with pytest.raises(CrawlError, match="compressed, so that no picture in it can be read alone"):
        make_listing(Store(tmp_path / "other"), Crawl("c", str(tmp_path / "packed")))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x", zeros)
    bomb = PICTURE[:16] + (60_000).to_bytes(4, "big") * 2 + PICTURE[24:]
    files = {"bomb.png": bomb, "zip.png": archive.getvalue(), "gz.png": gzip.compress(zeros, 1), "good.png": PICTURE}
    write(tmp_path, {f"crawl/cat/{name}": data for name, data in files.items()})
    found = outcomes(tmp_path)
    assert found["cat/good.png"] == "usable"
    assert found["cat/zip.png"] == found["cat/gz.png"] == "unknown-format"
    assert found["cat/bomb.png"] in {"broken", "too-many-pixels"}


def test_bytes_in_a_table_are_bytes_of_a_picture_and_nothing_else(tmp_path: Path) -> None:
    """A cell that holds a path, an address or a reference is no picture, and is not followed."""
    cells = [PICTURE, str(tmp_path / "secret.png").encode(), b"file:///etc/passwd", b"", b"\0" * 100]
    write(tmp_path, {"secret.png": SECRET})
    (tmp_path / "crawl").mkdir()
    names = [f"{k}.png" for k in range(len(cells))]
    pq.write_table(pa.table({"path": names, "label": [0] * len(cells), "b": cells}), tmp_path / "crawl" / "t.parquet")
    found = outcomes(tmp_path, CrawlSettings(columns=Columns(image="b")))
    assert list(found.values()).count("usable") == 1
    assert found["0.png"] == "usable"
