"""What a cluster does to what it is sent, in this process."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from pipeline.engine import Result, Task
from pipeline.storage import shelf


class Posted:
    """What a cluster does to functions, tasks and results on their way, without any other machine."""

    def __init__(self, scratch: Path) -> None:
        self._shelf = shelf.Shelf(scratch)

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        with self._shelf.packed(function) as data:
            arrived = shelf.unpacked(data)
            for task in tasks:
                yield shelf.unpacked(shelf.packed(arrived(shelf.unpacked(shelf.packed(task)))))

    def accelerated(self) -> Self:
        return self
