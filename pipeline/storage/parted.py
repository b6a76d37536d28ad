"""Rows of any kind in the order of their image ids, with bounded memory: parted on the disk, each part sorted alone."""

from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.storage.room import scratch_file

PART_ROWS: Final = 2**17  # about so many rows are sorted at a time, up to 33 million rows
_MOST_BITS: Final = 8  # a process may open 1,024 files, and two tables may be compared


class Parted:
    """Rows in files without names, one for each run of image ids.

    Ids are hashes: runs of them are even, and their order is a shuffle that no two machines disagree about.
    """

    def __init__(self, schema: pa.Schema, rows: int) -> None:
        """Nothing is written before the first row.

        Args:
            schema: of the rows, `image_id` among them.
            rows: how many are expected, about.
        """
        self._bits = min(_MOST_BITS, max(0, (-(-rows // PART_ROWS) - 1).bit_length()))
        self._files = [scratch_file() for _ in range(2**self._bits)]
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writers = [pa.ipc.new_stream(file, schema, options=options) for file in self._files]

    def __enter__(self) -> Self:
        """The files last as long as the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        """Drop the files."""
        for file in self._files:
            file.close()

    def add(self, rows: pa.Table) -> None:
        """Keep some rows."""
        part = self._part(rows["image_id"].to_numpy())
        order = np.argsort(part, kind="stable")
        borders = np.searchsorted(part[order], np.arange(len(self._files) + 1))
        sorted_rows = rows.take(pa.array(order))
        for writer, first, last in zip(self._writers, borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            if last > first:
                writer.write_table(sorted_rows.slice(first, last - first))

    def parts(self) -> Iterator[pa.Table]:
        """All rows by ascending image id, part by part; equal ids are in one part, in the order they came.

        Empty parts come too, so that two tables parted alike keep step. Nothing may be added afterwards.
        """
        for writer in self._writers:
            writer.close()
        for file in self._files:
            file.seek(0)
            with pa.ipc.open_stream(file) as stream:
                part = stream.read_all()
            yield part.take(pa.array(np.argsort(part["image_id"].to_numpy(), kind="stable")))

    def _part(self, image_id: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The leading bits, so that parts ascend as the signed ids do."""
        if not self._bits:
            return np.zeros(len(image_id), np.int64)
        return np.asarray((image_id >> (64 - self._bits)) + 2 ** (self._bits - 1), np.int64)
