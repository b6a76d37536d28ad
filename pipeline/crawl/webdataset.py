"""Crawls delivered as WebDataset shards: tar files whose members `key.jpg`, `key.cls`, `key.json` make one sample."""

import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final, NamedTuple

from pipeline.crawl.files import CrawlFiles, DefectError, inner_parts
from pipeline.crawl.metadata import column, described, label_of, parse_json, split_of, text
from pipeline.crawl.rows import SPLIT_NAMES, Contents, CrawlError, Row
from pipeline.crawl.settings import Columns
from pipeline.records import Split

PICTURE_SUFFIXES: Final = frozenset(
    {"jpg", "jpeg", "jpe", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "jp2", "avif", "img"}
)
_SIDECARS: Final = frozenset({"cls", "txt", "json"})
_SIDECAR_LIMIT: Final = 2**20  # bytes
_READ_AHEAD: Final = 2**20  # bytes
_COMPRESSED: Final = {
    rb"\x1f\x8b": "gzip -d",
    rb"BZh[1-9]1AY&SY": "bzip2 -d",
    rb"\xfd7zXZ": "xz -d",
    rb"\x28\xb5\x2f\xfd": "zstd -d",
}
_LONG_HEADERS: Final = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class _Member(NamedTuple):
    number: int  # from 1, directories counted
    key: str  # the name up to the first dot after the last slash
    suffix: str  # the rest, lower case
    name: str
    offset: int | None  # of its bytes in the tar; None: not to be followed
    size: int
    data: bytes | None  # of a sidecar


class _Header(tarfile.TarInfo):
    """Refuses headers that would be read into memory however long they claim to be."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _LONG_HEADERS and self.size > _SIDECAR_LIMIT:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc, no-any-return]


def read(files: CrawlFiles, shards: Sequence[str], columns: Columns) -> Contents:
    """The samples of several shards, each read once from front to back; pictures stay where they are.

    The label is `key.cls`, or the JSON's `columns.label`; the description is `key.txt`, or the JSON's. A member that is
    no plain file, or whose name leaves the shard, is listed in the container "", which nothing can read.

    Raises:
        CrawlError: while the rows are read, where a shard is compressed, cut or damaged, or a sample has no label.
    """
    odd: Counter[str] = Counter()
    return Contents(rows=_rows(files, shards, columns, odd), odd=odd)


def split_of_shard(path: str) -> Split:
    """The split that a shard's folder, or the first word of its name, tells; train where they tell none."""
    words = [*PurePosixPath(path).parts[:-1], re.split(r"[-_.]", PurePosixPath(path).name, maxsplit=1)[0]]
    return next((SPLIT_NAMES[word.lower()] for word in words if word.lower() in SPLIT_NAMES), "train")


def _rows(files: CrawlFiles, shards: Sequence[str], columns: Columns, odd: Counter[str]) -> Iterator[Row]:
    for shard in shards:
        for key, members in groupby(_members(files, shard), key=lambda member: member.key):
            yield from _sample(shard, key, list(members), columns, odd)


def _sample(shard: str, key: str, members: list[_Member], columns: Columns, odd: Counter[str]) -> Iterator[Row]:
    pictures = [member for member in members if member.suffix.rpartition(".")[2] in PICTURE_SUFFIXES]
    if not pictures:
        return
    at = pictures[0].number
    sidecars = {member.suffix: member.data for member in members if member.data is not None}
    record = _record(f"{shard}/{key}.json", sidecars.get("json"), odd)
    caption = text(_text(sidecars.get("txt")), odd, "description")
    label = label_of(_text(sidecars.get("cls"))) or label_of(column(record, columns.label))
    if label is None:
        remedy = (
            f"Put {key}.cls or {key}.json with {columns.label!r} beside it; members of a sample must be neighbours."
        )
        raise CrawlError(f"{shard}, member {at}", f"{pictures[0].name!r} has no label", remedy)
    split = split_of(column(record, columns.split)) if column(record, columns.split) else split_of_shard(shard)
    if split is None:
        raise CrawlError(f"{shard}, member {at}", "unknown split in its JSON", "Write train, val or test.")
    told = described(record, columns, odd)
    told["description"] = told["description"] if caption is None else caption
    for picture in pictures:
        place = ("", 0, 0) if picture.offset is None else (shard, picture.offset, picture.size)
        row = Row(f"{shard}/{picture.name}", label, split, shard, picture.number)
        yield row._replace(**told, container=place[0], offset=place[1], size=place[2])


def _record(file: str, data: bytes | None, odd: Counter[str]) -> dict[str, Any]:
    found = {} if data is None else parse_json(data, file)
    if isinstance(found, dict):
        return found
    odd["entry"] += 1
    return {}


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "backslashreplace").strip()


def _members(files: CrawlFiles, shard: str) -> Iterator[_Member]:
    """Every member but directories, in order. The shard is a stream: nothing is sought, nothing kept."""
    number = 0
    try:
        _check_plain(files, shard)
        with files.open(shard) as stream, _open_tar(stream) as tar:
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # or memory would grow with the shard
                number += 1
                if not info.isdir():
                    yield _member(shard, tar, info, number)
        # tarfile takes a damaged header, and the end of the file, for the end of the shard.
        if any(files.read(shard, tarfile.BLOCKSIZE, tar.offset, tarfile.BLOCKSIZE)):
            raise tarfile.ReadError("no header follows, nor the marker of the end")
    except (tarfile.TarError, DefectError, OSError, EOFError) as error:
        raise CrawlError(
            f"{shard}, member {number + 1}", f"cut or damaged ({error})", "Fetch the shard again."
        ) from None


def _check_plain(files: CrawlFiles, shard: str) -> None:
    start = files.read(shard, 10, size=10)
    for magic, command in _COMPRESSED.items():
        if re.match(magic, start):
            raise CrawlError(shard, "compressed, so that no picture in it can be read alone", f"Unpack it: {command}.")


def _open_tar(stream: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|", bufsize=_READ_AHEAD, tarinfo=_Header, errors="surrogateescape")


def _member(shard: str, tar: tarfile.TarFile, info: tarfile.TarInfo, number: int) -> _Member:
    folder, slash, base = info.name.rpartition("/")
    stem, _, suffix = base.partition(".")
    suffix = suffix.lower()
    plain = info.isreg() and not info.issparse()
    data = None
    if plain and suffix in _SIDECARS:
        if info.size > _SIDECAR_LIMIT:
            raise CrawlError(f"{shard}, member {number}", f"{info.name!r} is too large", "1 MiB of text must do.")
        extracted = tar.extractfile(info)
        data = extracted.read() if extracted else b""
    offset = info.offset_data if plain and _stays_inside(info.name) else None
    return _Member(number, f"{folder}{slash}{stem}", suffix, info.name, offset, info.size, data)


def _stays_inside(name: str) -> bool:
    try:
        return bool(inner_parts(name))
    except DefectError:
        return False
