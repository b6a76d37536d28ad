"""A bucket on S3: objects read, written whole, created once, and changed only from what they were.

Whoever asks is whom the environment names (`AWS_ACCESS_KEY_ID` and so on, `AWS_ENDPOINT_URL` for other servers that
speak S3): no secret passes through here. Every request is tried again, with growing pauses, while the server says that
it is busy (503, SlowDown) or cannot be reached.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

SCHEME: Final = "s3://"
_ADDRESS: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]*(/[^/]+)*/?")
AT_ONCE: Final = 16  # files in flight
_TRIES: Final = 10  # of the client for each request; file systems above it try again
_CHANGES: Final = 100  # times a change is made anew because another came first
Result = TypeVar("Result")


class Stored(NamedTuple):
    """An object's bytes, and the server's mark of them."""

    data: bytes
    etag: str


class Bucket:
    """The objects below `s3://BUCKET/PREFIX`."""

    def __init__(self, address: str) -> None:
        """Name a place; nothing is asked of the server yet.

        Raises:
            ValueError: that is no address of a bucket.
        """
        self.address = address.rstrip("/")
        self._base = self.address.removeprefix(SCHEME)
        if not _ADDRESS.fullmatch(address) or ".." in self._base.split("/"):
            raise ValueError(f"{address!r} is no bucket: a store is shared in s3://BUCKET or s3://BUCKET/PREFIX")

    @property
    def _files(self) -> Any:
        import fsspec  # noqa: PLC0415 - half a second, which stores that are not shared do without

        retries = {"retries": {"max_attempts": _TRIES, "mode": "standard"}}
        return fsspec.filesystem("s3", use_listings_cache=False, config_kwargs=retries)

    def list(self, prefix: str) -> dict[str, Stored]:
        """Every key below `prefix/`, with the mark of its object and no bytes."""
        found = self._files.find(f"{self._base}/{prefix}", detail=True)
        return {path.removeprefix(f"{self._base}/"): Stored(b"", one["ETag"]) for path, one in sorted(found.items())}

    def read(self, key: str) -> Stored | None:
        """An object, or None where there is none."""
        bucket, path = self._split(key)
        files = self._files
        try:
            # Bytes and mark of one answer: asked for one after the other they might be of two versions.
            answer = files.call_s3("get_object", Bucket=bucket, Key=path)
        except FileNotFoundError:
            return None
        return Stored(_body(files, answer["Body"]), answer["ETag"])

    def write(self, key: str, data: bytes) -> None:
        """Put an object, whatever stood there."""
        self._files.pipe_file(f"{self._base}/{key}", data)

    def create(self, key: str, data: bytes) -> bool:
        """Put an object where there is none; False where another stands."""
        return self._put(key, data, IfNoneMatch="*")

    def change(self, key: str, change: Callable[[bytes | None], bytes]) -> bytes:
        """Replace an object by `change(its bytes, or None)`, again and again until nobody else did in between.

        Raises:
            RuntimeError: somebody else always did.
        """
        for _ in range(_CHANGES):
            stored = self.read(key)
            data = change(None if stored is None else stored.data)
            if stored is not None and stored.data == data:
                return data
            if self._put(key, data, **({"IfNoneMatch": "*"} if stored is None else {"IfMatch": stored.etag})):
                return data
        raise RuntimeError(f"{self.address}/{key} is changed by others all the time: try again")

    def upload(self, files: Mapping[str, Path]) -> None:
        """Put files, key -> path; those that are there with as many bytes are taken as being there."""
        there = self._sizes({key.rpartition("/")[0] for key in files})
        left = {key: path for key, path in files.items() if there.get(key) != path.stat().st_size}
        for keys in _batches(list(left)):
            self._files.put([str(left[key]) for key in keys], [f"{self._base}/{key}" for key in keys])

    def download(self, files: Mapping[str, Path]) -> None:
        """Get files, key -> path.

        Raises:
            FileNotFoundError: an object is not there.
        """
        for keys in _batches(list(files)):
            self._files.get([f"{self._base}/{key}" for key in keys], [str(files[key]) for key in keys])

    def remove(self, prefix: str) -> None:
        """Remove the object of that key and all below it."""
        keys = self._files.find(f"{self._base}/{prefix}")
        if keys:
            self._files.rm(keys)

    def _sizes(self, prefixes: set[str]) -> dict[str, int]:
        found = (self._files.find(f"{self._base}/{prefix}", detail=True) for prefix in sorted(prefixes))
        return {path.removeprefix(f"{self._base}/"): one["size"] for each in found for path, one in each.items()}

    def _put(self, key: str, data: bytes, **condition: str) -> bool:
        import botocore.exceptions  # noqa: PLC0415 - as fsspec

        bucket, path = self._split(key)
        try:
            self._files.call_s3("put_object", Bucket=bucket, Key=path, Body=data, **condition)
        except (OSError, botocore.exceptions.ClientError) as error:
            if not _refused(error):
                raise
            # A try whose answer was lost may have been ours: then what stands there is what we put.
            stored = self.read(key)
            return stored is not None and stored.data == data
        return True

    def _split(self, key: str) -> tuple[str, str]:
        bucket, _, path = f"{self._base}/{key}".partition("/")
        return bucket, path


def _refused(error: BaseException) -> bool:
    """Whether the server did not put an object because its condition does not hold."""
    cause = error.__cause__ or error
    code = getattr(cause, "response", {}).get("Error", {}).get("Code", "")
    return code in {"PreconditionFailed", "ConditionalRequestConflict"}


def _body(files: Any, stream: Any) -> bytes:
    from fsspec.asyn import sync  # noqa: PLC0415 - as fsspec

    data: bytes = sync(files.loop, stream.read)
    return data


def _batches(keys: list[str]) -> list[list[str]]:
    return [keys[at : at + AT_ONCE] for at in range(0, len(keys), AT_ONCE)]
