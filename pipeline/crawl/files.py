"""Reading the bytes of an untrusted crawl: never outside its folder, never more than the limit."""

import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import fsspec

from pipeline.records import Defect


class DefectError(Exception):
    """One image cannot be used. Data, not a failure of the program: it ends in quarantine under `code`."""

    def __init__(self, code: Defect, detail: str = "") -> None:
        """`detail` is for people and may quote the crawl; it is escaped wherever it is shown."""
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class CrawlFiles:
    """The files below one address: a local folder or any fsspec address (`s3://bucket/prefix`). Cheap to pickle."""

    address: str

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

    def _read_remote(self, parts: tuple[str, ...], offset: int, wanted: int) -> bytes:
        filesystem, root = fsspec.core.url_to_fs(self.address)
        try:
            data: bytes = filesystem.cat_file("/".join((root.rstrip("/"), *parts)), start=offset, end=offset + wanted)
        except FileNotFoundError:
            raise DefectError("missing") from None
        except OSError as error:
            raise DefectError("unreadable", str(error)) from None
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


def _read_local(root: Path, parts: tuple[str, ...], offset: int, wanted: int) -> bytes:
    path = root.joinpath(*parts)
    try:
        found = path.stat()
        # A symbolic link may point anywhere, a device or pipe may never end: only plain files inside the crawl count.
        if not stat.S_ISREG(found.st_mode) or not path.resolve().is_relative_to(root.resolve()):
            raise DefectError("outside-crawl", "not a plain file of this crawl")
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(wanted)
    except (FileNotFoundError, NotADirectoryError):
        raise DefectError("missing") from None
    except (OSError, ValueError) as error:
        raise DefectError("unreadable", str(error)) from None
