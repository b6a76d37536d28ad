"""A verdict as a person writes it: right, wrong, or the class that the image is of instead."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

RIGHT: Final = "right"
WRONG: Final = "wrong"
_SHOWN: Final = 60  # characters of what was written that are quoted
_LOOKED_UP: Final = 50  # unknown names for which the nearest known one is looked up: each costs a pass over all names


class VerdictError(ValueError):
    """A line says nothing that can be taken; the message is the reason and the remedy."""


@dataclass(frozen=True)
class Verdict:
    """What a person found."""

    right: bool
    class_index: int | None  # the class it is of instead, where it is wrong and somebody said so


@dataclass
class ClassNames:
    """The classes of a catalogue by everything they are called."""

    wnids: list[str]  # of each class
    numbers: Mapping[str, int]  # wnid -> class_index
    lemmas: Mapping[str, list[int]]  # a name in small letters -> the classes that have it
    _near: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, catalogue: Sequence[Mapping[str, Any]]) -> "ClassNames":
        """Rows of CLASSES, in order of class_index."""
        lemmas: dict[str, list[int]] = {}
        for index, row in enumerate(catalogue):
            for name in dict.fromkeys(map(_folded, row["lemmas"])):
                lemmas.setdefault(name, []).append(index)
        wnids = [row["wnid"] for row in catalogue]
        return cls(wnids, {wnid: index for index, wnid in enumerate(wnids)}, lemmas)

    def verdict(self, written: str, label: int) -> Verdict:
        """What was written of an image of class `label`.

        `right` and `wrong` are these words even where a class is called so. A wnid goes before a name, a name before a
        class_index. An image's own class means right.

        Raises:
            VerdictError: no class is called so, or several are.
        """
        word = _folded(written)
        if word in (RIGHT, WRONG):
            return Verdict(word == RIGHT, None)
        index = self._class(written, word)
        return Verdict(True, None) if index == label else Verdict(False, index)

    def _class(self, written: str, word: str) -> int:
        if written in self.numbers:
            return self.numbers[written]
        named = self.lemmas.get(word, [])
        if len(named) == 1:
            return named[0]
        if named:
            wnids = " or ".join(self.wnids[index] for index in named[:5])
            raise VerdictError(f"{len(named)} classes are called {written[:_SHOWN]!r}: write {wnids}")
        if word.isascii() and word.isdigit() and len(word) <= 9 and int(word) < len(self.wnids):
            return int(word)
        raise VerdictError(
            f"no class is called {written[:_SHOWN]!r}: write right, wrong, or a class by its wnid, name or class_index"
            + self._nearest(word[:_SHOWN])
        )

    def _nearest(self, word: str) -> str:
        if word not in self._near and len(self._near) < _LOOKED_UP:
            found = difflib.get_close_matches(word, [RIGHT, WRONG, *self.lemmas], 1)
            self._near[word] = f"; did you mean {found[0]}?" if found else ""
        return self._near.get(word, "")


def _folded(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
