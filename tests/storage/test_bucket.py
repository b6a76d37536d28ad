"""Objects of a bucket on a server that refuses every fourth request."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.storage.bucket import Bucket
from tests.storage.s3 import s3_server


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with s3_server(every=4) as server:
        yield Bucket("s3://winnow/objects/")
        assert server.refused > 5


def test_an_object_is_what_was_put_last(bucket: Bucket) -> None:
    assert bucket.read("a/one") is None
    bucket.write("a/one", b"1")
    bucket.write("a/one", b"2")
    stored = bucket.read("a/one")
    assert stored is not None
    assert stored.data == b"2"
    assert bucket.list("a") == {"a/one": stored._replace(data=b"")}


def test_of_two_that_create_an_object_one_does(bucket: Bucket) -> None:
    assert bucket.create("created", b"first")
    assert not bucket.create("created", b"second")
    assert bucket.create("created", b"first")  # the same again: a try whose answer was lost
    stored = bucket.read("created")
    assert stored is not None
    assert stored.data == b"first"


def test_a_change_is_made_of_what_others_changed_meanwhile(bucket: Bucket) -> None:
    seen = []

    def change(data: bytes | None) -> bytes:
        seen.append(data)
        if len(seen) == 1:
            bucket.write("counter", b"another's ")
        return (data or b"") + b"own"

    assert bucket.change("counter", change) == b"another's own"
    assert seen == [None, b"another's "]


def test_a_change_that_changes_nothing_puts_nothing(bucket: Bucket) -> None:
    bucket.write("still", b"as it was")
    before = bucket.read("still")
    assert bucket.change("still", lambda data: data or b"") == b"as it was"
    assert bucket.read("still") == before


def test_files_go_and_come_whole(bucket: Bucket, tmp_path: Path) -> None:
    files = {f"files/{number:02d}.bin": tmp_path / f"{number:02d}.bin" for number in range(20)}
    for number, path in enumerate(files.values()):
        path.write_bytes(bytes([number]) * 1000)
    bucket.upload(files)
    back = {key: path.with_suffix(".back") for key, path in files.items()}
    bucket.download(back)
    assert [path.read_bytes() for path in back.values()] == [path.read_bytes() for path in files.values()]
    bucket.remove("files")
    assert bucket.list("files") == {}
    with pytest.raises(FileNotFoundError):
        bucket.download(back)


def test_removing_takes_nothing_that_only_begins_alike(bucket: Bucket) -> None:
    bucket.write("kept-too", b"")
    bucket.write("kept/one", b"")
    bucket.remove("kept")
    assert set(bucket.list("")) & {"kept-too", "kept/one"} == {"kept-too"}


@pytest.mark.parametrize("address", ["", "s3://", "/data/store", "http://host/bucket", "s3://bucket/../other"])
def test_what_is_no_bucket_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="s3://BUCKET"):
        Bucket(address)
