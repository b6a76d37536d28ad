"""What every chart is drawn with: an SVG document that follows light and dark by itself, its lines and its words.

Drawn by hand rather than by a plotting library: a chart is a few kilobytes, its text stays text in the reader's own
font, and shown as an image it can neither run a script nor load anything. Equal figures give equal bytes.
"""

from collections.abc import Callable, Sequence
from typing import Final

from markupsafe import escape

WIDTH: Final = 440

_STYLE = """
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#57606a}
.strong{font-weight:600;fill:#1f2328}.grid{stroke:#e4e7eb}.axis{stroke:#8b949e}.bar{fill:#3b78e7}.marked{fill:#d9730d}
.end{text-anchor:end}.mid{text-anchor:middle}
@media(prefers-color-scheme:dark){text{fill:#9aa4af}.strong{fill:#e6e9ed}.grid{stroke:#2c323a}.axis{stroke:#6b747e}}
"""


def document(height: float, body: Sequence[str]) -> bytes:
    """A chart of WIDTH by `height` from its elements."""
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}><style>{_STYLE}</style>{"".join(body)}</svg>'.encode()


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of a class of the style."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def text(x: float, y: float, words: str, kind: str) -> str:
    """Words, escaped; `end` and `mid` in `kind` say which part of them stands at x."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """The straight line that takes low to start and high to end."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def cut(words: str, limit: int) -> str:
    """The words, shortened to `limit` characters with an ellipsis."""
    return words if len(words) <= limit else f"{words[: limit - 1]}…"


def number(value: float) -> str:
    """A figure with thousands apart and a real minus sign."""
    return f"{value:,.6g}".replace("-", "\N{MINUS SIGN}")
