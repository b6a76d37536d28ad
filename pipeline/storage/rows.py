"""A few rows of a large table: found by what they hold, and read without the rest of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.storage.tables import iterate_table, open_part, part_paths, read_footer


@dataclass(frozen=True)
class RowGroup:
    """What a table's footer says of one column of one run of rows."""

    rows: range  # counted over all parts
    least: Any  # of the values that are not null; None where all are
    most: Any
    nulls: int


def row_groups(folder: Path, column: str) -> Iterator[RowGroup]:
    """The row groups of all parts in order: only footers are read.

    Raises:
        ValueError: a footer tells nothing of the column; every table of ours does.
    """
    begin = 0
    for part in part_paths(folder):
        footer = read_footer(part)
        place = footer.schema.names.index(column)
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            told = group.column(place).statistics
            if told is None or told.null_count is None:
                raise ValueError(f"{part} has no statistics of {column}: it was not written by Winnow")
            least, most = (told.min, told.max) if told.has_min_max else (None, None)
            yield RowGroup(range(begin, begin + group.num_rows), least, most, told.null_count)
            begin += group.num_rows


def take_rows(folder: Path, rows: npt.NDArray[np.integer[Any]], columns: Sequence[str]) -> pa.Table:
    """Some columns of some rows, in the order asked for: only row groups that hold one are read, checksums verified.

    Args:
        folder: of the table.
        rows: (r,) row numbers over all parts, in any order.
        columns: which to read.

    Raises:
        IndexError: the table has no such row.
    """
    order = np.argsort(rows, kind="stable")
    wanted = np.asarray(rows, np.int64)[order]
    if wanted.min(initial=0) < 0:
        raise IndexError(f"rows are counted from 0, not {wanted[0]}")
    held: list[pa.Table] = []
    done = begin = 0
    for part in part_paths(folder):
        if done == len(wanted) and held:
            break
        with open_part(part) as file:
            for group in range(file.num_row_groups):
                end = begin + file.metadata.row_group(group).num_rows
                stop = int(np.searchsorted(wanted, end))
                if stop > done or not len(wanted):
                    own = pa.array(wanted[done:stop] - begin)
                    held.append(file.read_row_group(group, columns=list(columns)).take(own))
                done, begin = stop, end
    if done < len(wanted):
        raise IndexError(f"{folder} holds {begin} rows, no row {wanted[done]}")
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return pa.concat_tables(held).select(list(columns)).take(pa.array(back))


def find_rows(
    folder: Path, columns: Sequence[str], chosen: Callable[[pa.RecordBatch], npt.NDArray[np.bool_]]
) -> npt.NDArray[np.int64]:
    """Numbers of the rows that are chosen; the columns named are streamed, memory holds a batch of them.

    Args:
        folder: of the table.
        columns: what the choice depends on.
        chosen: (rows,) truths of a batch.
    """
    found, begin = [np.zeros(0, np.int64)], 0
    for batch in iterate_table(folder, columns):
        found.append(np.flatnonzero(chosen(batch)) + begin)
        begin += batch.num_rows
    return np.concatenate(found)
