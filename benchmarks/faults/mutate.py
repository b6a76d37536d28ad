"""Mutations of files and documents, drawn by a generator alone: the same generator gives the same bytes."""

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

#: Numbers at which lengths, sizes and offsets break.
_EDGES: Final = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MOST_BYTES: Final = 2**18  # a file does not grow past this by mutation
#: What may stand where a JSON value stood.
_VALUES: Final = (
    *("NaN", "-Infinity", "1e999", "-0", "9" * 5000, "null", "true", "[]", "{}", '""', '"\\ud800"', '"\\u0000"'),
    *('{"a":1,"a":2}', "[" * 100_000, '{"a":' * 50_000, '"' + "x" * 100_000 + '"', '"../../etc/passwd"', "0.5", "-1"),
    *("\"=cmd|' /C calc'!A0\"", '"<script>alert(1)</script>"', '"\u202e"', "[[[[1]]]]", '["a",1,null]', "1e15"),
)
_PNG: Final = b"\x89PNG\r\n\x1a\n"

Change = Callable[[bytearray, np.random.Generator], bytearray]


def mutated(data: bytes, others: Sequence[bytes], rng: np.random.Generator, changes: Sequence[Change]) -> bytes:
    """`data` after one to six changes, in one of eight cases with the end of another; half of PNGs with sound sums."""
    changed = bytearray(data)
    for _ in range(int(2 ** rng.uniform(0, 2.6))):
        changed = changes[int(rng.integers(len(changes)))](changed, rng)[:_MOST_BYTES]
    if rng.random() < 1 / 8:
        other = others[int(rng.integers(len(others)))]
        changed = changed[: _place(changed, rng)] + other[_place(other, rng) :]
    return _checksums_mended(bytes(changed)) if rng.random() < 0.5 else bytes(changed)


def _place(data: Sequence[int], rng: np.random.Generator) -> int:
    """A position, as often in the first hundred bytes, where headers are, as anywhere."""
    return int(rng.integers(min(len(data), 100) + 1 if rng.random() < 0.5 else len(data) + 1))


def _flip(data: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(rng.integers(1, 9)):
        if at := _place(data, rng):
            data[at - 1] ^= 1 << int(rng.integers(8))
    return data


def _edge(data: bytearray, rng: np.random.Generator) -> bytearray:
    size, order = int(rng.choice([1, 2, 4])), "big" if rng.random() < 0.5 else "little"
    number = _EDGES[rng.integers(len(_EDGES))] & (256**size - 1)
    at = min(_place(data, rng), max(0, len(data) - size))
    data[at : at + size] = number.to_bytes(size, order)
    return data


def _nudge(data: bytearray, rng: np.random.Generator) -> bytearray:
    if at := _place(data, rng):
        data[at - 1] = (data[at - 1] + int(rng.integers(-8, 9))) % 256
    return data


def _cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: _place(data, rng)]


def _drop(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    return data[:at] + data[at + int(rng.integers(1, 65)) :]


def _double(data: bytearray, rng: np.random.Generator) -> bytearray:
    at, size = _place(data, rng), int(2 ** rng.uniform(0, 10))
    return data[: at + size] + data[at : at + size] * int(rng.integers(1, 5)) + data[at + size :]


def _zero(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    size = len(data[at : at + int(2 ** rng.uniform(0, 10))])
    data[at : at + size] = bytes([int(rng.choice([0, 255]))]) * size
    return data


def _move(data: bytearray, rng: np.random.Generator) -> bytearray:
    at, to, size = _place(data, rng), _place(data, rng), int(rng.integers(1, 129))
    return data[:to] + data[at : at + size] + data[to:]


BYTES: Final[Sequence[Change]] = (_flip, _flip, _edge, _edge, _nudge, _cut, _drop, _double, _zero, _move)


def _checksums_mended(data: bytes) -> bytes:
    """A PNG whose chunks all carry the right checksum, so that what is inside them is looked at; others as they are."""
    if not data.startswith(_PNG):
        return data
    mended, at = bytearray(data), len(_PNG)
    while at + 12 <= len(mended):
        end = at + 8 + int.from_bytes(mended[at : at + 4], "big")
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = zlib.crc32(mended[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(mended)


def _token(data: bytearray, rng: np.random.Generator, values: Sequence[str]) -> bytearray:
    """A value of a document made another."""
    marks = [at for at, mark in enumerate(data) if mark in b':,[ \n"']
    if not marks:
        return data
    at = marks[rng.integers(len(marks))] + 1
    end = next((to for to in range(at, len(data)) if data[to] in b',}]"\n'), len(data))
    return data[:at] + values[int(rng.integers(len(values)))].encode("utf-8", "surrogatepass") + data[end:]


def _mark(data: bytearray, rng: np.random.Generator) -> bytearray:
    """A mark of the grammar, or a byte that is no text, put somewhere."""
    at = _place(data, rng)
    marks = (*map(bytes, zip(b'{}[]",:\\\n\r\t\0')), b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b[2J", b"/*")
    return data[:at] + marks[rng.integers(len(marks))] + data[at:]


DOCUMENTS: Final[Sequence[Change]] = (
    *(partial(_token, values=_VALUES), partial(_token, values=_VALUES), _mark, _mark),
    *(_flip, _edge, _cut, _drop, _double, _move),
)
