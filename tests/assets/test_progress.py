"""Progress in the terminal and in a run's log."""

import io

import pytest
from rich.console import Console

from assets.progress import LogProgress, TerminalProgress


def test_the_log_tells_how_much_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 10.0, 12.0, 20.0])
    monkeypatch.setattr("assets.progress.time.monotonic", lambda: next(clock))
    lines: list[str] = []
    with LogProgress().track("decoding", 1000, lines.append) as advance:
        for _ in range(4):
            advance(100)
    # at 2 s and 12 s it is too early for another line; at 10 s a fifth is done
    assert lines == ["decoding: 200 of 1,000, about 40 s to go", "decoding: 400 of 1,000, about 30 s to go"]


def test_without_a_total_the_log_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 6.0])
    monkeypatch.setattr("assets.progress.time.monotonic", lambda: next(clock))
    lines: list[str] = []
    with LogProgress().track("listing", None, lines.append) as advance:
        advance(5000)
    assert lines == ["listing: 5,000"]


def test_the_terminal_shows_a_bar_and_crawl_strings_as_they_are() -> None:
    stream = io.StringIO()
    terminal = TerminalProgress(Console(file=stream, force_terminal=True, width=120))
    with terminal.track("decoding [bold]crawl", 10, lambda _: None) as advance:
        advance(10)
    terminal.say("[red]not markup[/red]")
    assert "10/10" in stream.getvalue()
    assert "decoding [bold]crawl" in stream.getvalue()
    assert "[red]not markup[/red]" in stream.getvalue()


def test_a_file_gets_a_plain_line_for_each_stage() -> None:
    stream = io.StringIO()
    with TerminalProgress(Console(file=stream, width=120)).track("decoding", 10, lambda _: None) as advance:
        advance(10)
    assert stream.getvalue() == "decoding ...\n"
