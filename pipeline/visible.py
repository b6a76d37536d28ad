"""What strangers wrote, made fit to be shown: nothing in it hides, reorders, breaks lines or steers a terminal."""

import unicodedata
from typing import Final

#: Control, format (bidirectional overrides among them), private and unassigned characters, line and paragraph ends.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LONGEST: Final = 300  # characters shown of any text of a crawl


def visible(text: str, limit: int = _LONGEST) -> str:
    """The text with every character that hides, reorders or breaks lines spelt out, cut at so many characters.

    What comes back is still plain text: a page escapes it, and so does whoever styles it for a terminal.
    """
    if len(text) <= limit and text.isprintable():
        return text
    shown = spelt(text[:limit])
    return shown if len(text) <= limit else f"{shown}…"


def spelt(text: str, kept: str = "") -> str:
    """The whole text with those characters spelt out, but the ones in `kept`."""
    return "".join(
        _spelt(mark) if mark not in kept and unicodedata.category(mark) in _UNSEEN else mark for mark in text
    )


def _spelt(mark: str) -> str:
    return f"\N{MATHEMATICAL LEFT ANGLE BRACKET}U+{ord(mark):04X}\N{MATHEMATICAL RIGHT ANGLE BRACKET}"
