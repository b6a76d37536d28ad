"""The terminal as we print on it: a stranger's words stay words."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from pipeline.visible import spelt


class Terminal(Console):
    """A console on which only our own styles and progress bars steer anything.

    Names, titles and messages of a crawl may hold escape sequences that move the cursor, set a window's title or turn
    text round. Whatever text is printed, every such character is spelt out.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of what is shown, as rich makes them, their text made visible."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control or text.isprintable() else Segment(spelt(text, kept="\n"), style)
