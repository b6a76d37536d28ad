"""Sound pictures and crawls that the fuzzing begins with: small, and as unlike each other as their formats allow."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.crawl.decode import FORMATS

#: How each format is written: a mode of Pillow's, and what its writer is told.
_WAYS: Final[Mapping[str, Sequence[tuple[str, dict[str, Any]]]]] = {
    "JPEG": [("RGB", {}), ("RGB", {"progressive": True}), ("L", {}), ("CMYK", {}), ("RGB", {"restart_marker_rows": 1})],
    "PNG": [("RGB", {}), ("RGBA", {}), ("P", {"transparency": 3}), ("1", {}), ("I;16", {}), ("LA", {})],
    "GIF": [("P", {}), ("L", {"interlace": 1}), ("P", {"transparency": 1, "loop": 0})],
    "WEBP": [("RGB", {}), ("RGBA", {"lossless": True}), ("RGB", {"quality": 5})],
    "BMP": [("RGB", {}), ("L", {}), ("1", {}), ("RGBA", {})],
    "TIFF": [
        *(("RGB", {"compression": name}) for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")),
        *(("1", {"compression": "group4"}), ("F", {}), ("I;16", {}), ("CMYK", {}), ("P", {})),
    ],
}
_DEPTH: Final = {"I;16": np.uint16, "F": np.float32}


def pictures() -> dict[str, list[bytes]]:
    """Sound files by format; each also as an animation or with EXIF where the format has that."""
    found = {}
    for kind in FORMATS:
        found[kind] = [_written(kind, mode, options) for mode, options in _WAYS[kind]]
        if kind in ("GIF", "WEBP", "PNG"):
            frames = [_picture("RGB", seed) for seed in (5, 6)]
            found[kind].append(_written(kind, "RGB", {"save_all": True, "append_images": frames}))
        if kind in ("JPEG", "WEBP", "PNG"):
            exif = Image.Exif()
            exif[0x0112] = 6
            found[kind].append(_written(kind, "RGB", {"exif": exif}))
    return found


def _picture(mode: str, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    if mode in _DEPTH:
        return Image.fromarray((rng.random((24, 32)) * 60_000).astype(_DEPTH[mode]))
    return Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).convert(mode)


def _written(kind: str, mode: str, options: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    _picture(mode, 1).save(stream, kind, **options)
    return stream.getvalue()


_ENTRIES: Final = [
    {"title": "a boat", "description": "on a lake", "tags": ["boat", "lake"]},
    {"title": None, "tags": "red, blue"},
    {},
    {"title": "caf\u00e9 \U0001f600", "description": "", "tags": []},
]
_RECORD: Final = {"path": "a.jpg", "label": "boat", "title": "T", "tags": ["x"], "rank": 2, "split": "train"}


def documents() -> dict[str, list[bytes]]:
    """Sound documents by the layout that reads them."""
    lines = [_RECORD, _RECORD | {"path": "b.jpg", "label": 7, "query": "q", "source": "web", "split": "val"}]
    table = pa.Table.from_pylist([{**_RECORD, "query": "q"}, {"path": "b.jpg", "label": "cat"}])
    return {
        "texts of a query (JSON)": [
            json.dumps(_ENTRIES).encode(),
            json.dumps(_ENTRIES, indent=1, ensure_ascii=False).encode(),
        ],
        "tables (JSONL)": ["".join(f"{json.dumps(line)}\n" for line in lines).encode()],
        "tables (CSV)": [b'path,label,title,rank,split\na.jpg,boat,"a ""b"", c",1,train\nb.jpg,cat,,2,val\n'],
        "shards (tar with JSON)": [_shard(tarfile.USTAR_FORMAT), _shard(tarfile.PAX_FORMAT)],
        "tables (Parquet)": [_parquet(table, name) for name in ("snappy", "zstd", "none")],
    }


def _shard(form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for key in ("1", "a" * 120 if form == tarfile.PAX_FORMAT else "2"):
            for suffix, data in (("jpg", b"picture"), ("json", json.dumps(_RECORD).encode()), ("txt", b"words")):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def _parquet(table: pa.Table, compression: str) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, compression=compression)
    return stream.getvalue()
