"""Reading the bytes of an untrusted crawl: never outside its folder, never more than the limit."""

import functools
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

import fsspec

from pipeline.records import Defect

#: What the file systems of fsspec call their mark of the content, and the time of the last change.
_MARKS: Final = ("ETag", "etag", "md5Hash")
_TIMES: Final = ("LastModified", "last_modified", "updated", "mtime", "created")
_Listed = tuple[str, int | None, str | None, str | None]  # name and the other fields of an Entry


class DefectError(Exception):
    """One image cannot be used. Data, not a failure of the program: it ends in quarantine under `code`."""

    def __init__(self, code: Defect, detail: str = "") -> None:
        """`detail` is for people and may quote the crawl; it is escaped wherever it is shown."""
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Entry:
    """One file or folder of a crawl."""

    path: str  # inside the crawl, "/"-separated
    size: int | None  # bytes; None: a folder
    mark: str | None = None  # the object store's own mark of the content (ETag), where it has one
    modified: str | None = field(default=None, compare=False)  # when it was written, as the store tells it


@dataclass(frozen=True)
class CrawlFiles:
    """The files below one address: a local folder or any fsspec address (`s3://bucket/prefix`). Cheap to pickle."""

    address: str
    skip: frozenset[str] = frozenset()  # paths inside that do not belong to the crawl: no listing shows them

    @property
    def local(self) -> Path | None:
        """The folder on this machine, or None for an object store."""
        return None if "://" in self.address else Path(self.address)

    def read(self, path: str, limit: int, offset: int = 0, size: int | None = None) -> bytes:
        """The bytes of one file, or `size` bytes of it from `offset`.

        Args:
            path: inside the crawl, "/"-separated, as the crawl wrote it (untrusted).
            limit: bytes; more than this is a defect.
            offset: first byte.
            size: bytes to read; None reads to the end.

        Raises:
            DefectError: missing, outside-crawl, unreadable, empty or too-many-bytes.
        """
        if size is not None and size > limit:
            raise DefectError("too-many-bytes", f"{size} bytes, the limit is {limit}")
        parts = inner_parts(path)
        wanted = min(limit + 1, size) if size is not None else limit + 1
        root = self.local
        data = self._read_remote(parts, offset, wanted) if root is None else _read_local(root, parts, offset, wanted)
        if len(data) > limit:
            raise DefectError("too-many-bytes", f"the limit is {limit}")
        if not data:
            raise DefectError("empty")
        if size is not None and len(data) < size:
            raise DefectError("broken", f"its container ends after {len(data)} of {size} bytes")
        return data

    def entries(self, folder: str = "") -> list[Entry]:
        """The files and folders directly in `folder`, sorted by path; nothing where there is no such folder.

        Names with a leading dot are left out. A symbolic link counts as a file, so that nothing outside is walked.

        Raises:
            DefectError: outside-crawl, for a folder that leaves the crawl.
        """
        parts = inner_parts(folder) if folder else ()
        root = self.local
        found = self._list_remote(parts) if root is None else _list_local(root, parts)
        shown = [told for told in found if told[0][:1] not in {"", "."}]
        named = [Entry("/".join((*parts, name)), size, mark, modified) for name, size, mark, modified in shown]
        return sorted((entry for entry in named if entry.path not in self.skip), key=lambda entry: entry.path)

    def walk(self, folder: str = "") -> Iterator[Entry]:
        """Every file below `folder`, in a fixed order, one folder in memory at a time."""
        waiting = [folder]
        while waiting:
            found = self.entries(waiting.pop())
            yield from (entry for entry in found if entry.size is not None)
            waiting += [entry.path for entry in reversed(found) if entry.size is None]

    def open(self, path: str) -> BinaryIO:
        """A stream of one file's bytes.

        Raises:
            DefectError: missing, outside-crawl or unreadable.
        """
        parts = inner_parts(path)
        root = self.local
        try:
            if root is not None:
                return _plain_file(root, parts).open("rb")
            filesystem, base = fsspec.core.url_to_fs(self.address)
            stream: BinaryIO = filesystem.open("/".join((base.rstrip("/"), *parts)), "rb")
        except (FileNotFoundError, NotADirectoryError):
            raise DefectError("missing") from None
        except (OSError, ValueError) as error:
            raise DefectError("unreadable", getattr(error, "strerror", None) or type(error).__name__) from None
        return stream

    def _list_remote(self, parts: tuple[str, ...]) -> list[_Listed]:
        # Without the listing cache, or a walk would keep the whole crawl's listing in memory.
        filesystem, base = fsspec.core.url_to_fs(self.address, use_listings_cache=False)
        folder = "/".join((base.rstrip("/"), *parts))
        try:
            found: list[dict[str, Any]] = filesystem.ls(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        inside = [info for info in found if info["name"].strip("/") != folder.strip("/")]
        return [
            (
                info["name"].rstrip("/").rsplit("/", 1)[-1],
                None if info["type"] == "directory" else info["size"],
                _first(info, _MARKS),
                _first(info, _TIMES),
            )
            for info in inside
        ]

    def _read_remote(self, parts: tuple[str, ...], offset: int, wanted: int) -> bytes:
        filesystem, root = fsspec.core.url_to_fs(self.address)
        try:
            data: bytes = filesystem.cat_file("/".join((root.rstrip("/"), *parts)), start=offset, end=offset + wanted)
        except FileNotFoundError:
            raise DefectError("missing") from None
        except OSError as error:
            raise DefectError("unreadable", getattr(error, "strerror", None) or type(error).__name__) from None
        return data


def inner_parts(path: str) -> tuple[str, ...]:
    """The names a crawl's path consists of.

    Raises:
        DefectError: outside-crawl, for an absolute path, a drive, a backslash, a NUL or a climb with "..".
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or any(mark in path for mark in ("\0", "\\", "://")):
        raise DefectError("outside-crawl", path)
    return parts


def _first(info: dict[str, Any], names: Iterable[str]) -> str | None:
    return next((str(info[name]) for name in names if info.get(name)), None)


def _list_local(root: Path, parts: tuple[str, ...]) -> list[_Listed]:
    try:
        with os.scandir(root.joinpath(*parts)) as found:
            return [_listed(entry) for entry in found]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _listed(entry: os.DirEntry[str]) -> _Listed:
    told = entry.stat(follow_symlinks=False)
    return entry.name, None if entry.is_dir(follow_symlinks=False) else told.st_size, None, str(told.st_mtime_ns)


def _plain_file(root: Path, parts: tuple[str, ...]) -> Path:
    """The path of a file of the crawl, links followed.

    A symbolic link may point anywhere, a device or pipe may never end: only plain files inside the crawl count.
    """
    top = _real_root(root)
    path = Path(os.path.realpath("/".join((top, *parts))))
    if not str(path).startswith(top.rstrip("/") + "/") or not stat.S_ISREG(path.stat().st_mode):
        raise DefectError("outside-crawl", "not a plain file of this crawl")
    return path


@functools.lru_cache(maxsize=16)
def _real_root(root: Path) -> str:
    return os.path.realpath(root)


def _read_local(root: Path, parts: tuple[str, ...], offset: int, wanted: int) -> bytes:
    try:
        with _plain_file(root, parts).open("rb", buffering=0) as stream:
            # No more than there is: a buffer of the limit's size for each small file would cost more than the file.
            left = os.fstat(stream.fileno()).st_size - offset
            return os.pread(stream.fileno(), max(0, min(wanted, left)), offset)
    except (FileNotFoundError, NotADirectoryError):
        raise DefectError("missing") from None
    except OSError as error:
        raise DefectError("unreadable", getattr(error, "strerror", None) or type(error).__name__) from None
    except ValueError:  # a lone surrogate in its name
        raise DefectError("missing") from None
