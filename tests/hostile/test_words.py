"""Words of a crawl that would run, hide, steer or overflow: what arrives in Parquet, CSV, HTML, terminal and names.

One crawl of real pictures goes through the real stages; every word stands in every field that a crawl may fill.
"""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import rich.table
import rich.text
from playwright.sync_api import Browser, Dialog
from rich.markup import escape

from assets import cli
from assets.progress import TerminalProgress
from assets.terminal import Terminal
from pipeline.crawl.detect import describe
from pipeline.crawl.metadata import TEXT_LIMIT
from pipeline.crawl.rows import CrawlError
from pipeline.crawl.settings import CrawlSettings
from pipeline.export.formats import make_export
from pipeline.stages.report import make_report, report_page
from pipeline.storage.tables import read_table
from tests.crawl.pictures import encoded, photo
from tests.export.export_store import Made
from tests.stages.report_store import Reader, pages
from tests.stages.test_report_browser import CHROMIUM, DESK, Watched, browser

__all__ = ["browser"]  # a fixture

WORDS: Final = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onmouseover='alert(2)' style=\"background:url(http://evil.example/x)\" x=\"",
    "picture": "<img src=http://evil.example/x.png onerror=alert(3)><svg/onload=alert(4)>",
    "comment": "--></style></title></textarea><iframe src=javascript:alert(5)>",
    "address": "javascript:alert(6)",
    "template": "{{ 7 * 7 }}{% raise %}${7*7}#{7*7}",
    "formula": "=HYPERLINK(\"http://evil.example\",\"x\")",
    "call": "@SUM(1+1)*cmd|' /C calc'!A0",
    "parted": "a;=1+1\n+2\t-3",
    "wide": "\N{FULLWIDTH EQUALS SIGN}1+1",
    "escape": "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b1m",
    "return": "harmless\rharmful\b\b\x0b\x0c\x7f",
    "turned": "\u202egpj.exe\u2066\u2067\u200f",
    "hidden": "zero\u200bwidth\ufeff\u00ad\U000e0041",
    "nul": "a\0b",
    "lines": "a\u2028b\u2029c\x85d",
    "lone": "\ud800x",
    "marks": "a" + "\u0301" * 2000,
    "styled": "[bold red]x[/] [link=http://evil.example]y[/link]",
    "query": "'); DROP TABLE rows; --",
    "path": "../../../etc/passwd",
    "device": "CON.txt\\..\\NUL",
    "format": "%s%n{0.__class__} $(reboot) `reboot`",
    "long": "x" * 1_000_000,
}  # fmt: skip
#: File names that a disk takes.
NAMES: Final = [
    "=1+1.png",
    "a\x1b[2J.png",
    "\u202egpj.png",
    "<b onclick=1>.png",
    "-rf.png",
    "a\nb.png",
    "$(id) ; `id`.png",
]
FORMULA = re.compile("[=+\\-@\N{FULLWIDTH EQUALS SIGN}]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Every word in the title, description, tags, query, source and class of one picture, and in the manifest."""
    crawl = Made(tmp_path_factory.mktemp("hostile"))
    rows, files = list[dict[str, Any]](), dict[str, str | bytes]()
    for k, word in enumerate(WORDS.values()):
        own = word[:16_000]
        rows.append(
            {"path": f"{k}.png", "label": f"{k} {own}", "title": word, "description": word, "tags": [word, "t"]}
        )
        rows[-1] |= {"query": own, "source": own, "rank": 1}
    for k, name in enumerate(NAMES):
        rows.append({"path": name, "label": f"0 {WORDS['script']}", "title": "t"})
        crawl.decide(name, 1.0, reason=list(WORDS.values())[k])
    for k, row in enumerate(rows):
        files[str(row["path"])] = encoded(photo(k, 30, 30), "PNG")
    for k, word in enumerate(WORDS.values()):
        crawl.decide(f"{k}.png", 1.0, reason=word[:1000].encode("utf-8", "replace").decode())
    files["t.jsonl"] = "".join(f"{json.dumps(row)}\n" for row in rows)
    crawl.add("crawl", files, CrawlSettings(layout="table"))
    return crawl


def arrived(word: str) -> str:
    """What is kept of a word: all but what no UTF-8 can hold, and what is past the limit."""
    return word[:TEXT_LIMIT].encode("utf-8", "replace").decode()


def test_parquet_holds_every_word_as_it_was(made: Made) -> None:
    listing = made.store.current("listing", "crawl")
    rows = {row["path"]: row for row in read_table(listing.table("listing")).to_pylist()}
    assert len(rows) == len(WORDS) + len(NAMES)
    classes = read_table(listing.table("classes")).to_pylist()
    for k, word in enumerate(WORDS.values()):
        row = rows[f"{k}.png"]
        assert row["title"] == row["description"] == arrived(word)
        assert row["tags"] == ([arrived(word), "t"] if len(word) < TEXT_LIMIT else [])
        assert row["source"].strip() == arrived(word[:16_000]).strip()
        assert classes[row["class_index"]]["wnid"] == f"{k} {arrived(word[:16_000])}".strip()
    assert set(NAMES) <= set(rows)
    assert listing.facts["odd_metadata"] == {"description": 1, "tags": 1, "title": 1}  # the long one
    images = made.store.current("images", "crawl")
    assert images.facts["usable"] == len(rows)


def test_no_cell_of_the_csv_runs(made: Made, tmp_path: Path) -> None:
    make_export(made.store, made.source(), "csv", tmp_path / "out")
    text = (tmp_path / "out" / "manifest-00000.csv").read_bytes().decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == 1 + len(WORDS) + len(NAMES)
    assert len({len(row) for row in rows}) == 1
    assert "\0" not in text
    columns = [rows[0].index(name) for name in ("path", "reason", "class_index_name")]
    for row in rows[1:]:
        for at in columns:
            for delimiter in ",;\t":
                for part in re.split(f"[{delimiter}\r\n]", row[at]):
                    assert not FORMULA.match(part.lstrip('" \t\r\n')), row[at]


def test_no_word_becomes_markup(made: Made) -> None:
    made.source()
    make_report(made.store, ["mine"], {})
    found = pages(made.store)
    assert len(found) > len(WORDS)
    for name, html in found.items():
        tags = Reader(html).tags
        assert not {tag for tag, _ in tags} & {"iframe", "object", "embed", "base", "form"}, name
        assert not [key for _, attrs in tags for key in attrs if key.startswith("on") or key == "style"], name
        assert sum(tag == "script" for tag, _ in tags) <= 1, name
        links = [str(attrs[key]) for _, attrs in tags for key in ("href", "src") if key in attrs]
        assert not [link for link in links if re.match(r"(?!data:(image/|,$))[a-z]+:|//", link)], name
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", html), name
        assert "x" * 2000 not in html, name
    shown = Reader(found["classes.html"]).words
    assert WORDS["script"] in shown
    assert WORDS["template"] in shown


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the report cannot be opened in a browser")
def test_in_a_browser_nothing_runs_and_nothing_is_asked_for(made: Made, browser: Browser) -> None:
    made.source()
    make_report(made.store, ["mine"], {})
    watched = Watched(browser, DESK)
    dialogs: list[str] = []

    def opened(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    watched.page.on("dialog", opened)
    for file in sorted(report_page(made.store).parent.rglob("*.html")):
        page = watched.open(file)
        page.evaluate("document.querySelectorAll('*').forEach(e => e.dispatchEvent(new MouseEvent('mouseover')))")
    assert dialogs == []
    watched.end()


def printed(*things: object) -> str:
    """What a terminal would be sent."""
    stream = io.StringIO()
    console = Terminal(file=stream, force_terminal=True, color_system=None, width=100)
    for thing in things:
        console.print(thing, highlight=False)
    return stream.getvalue()


@pytest.mark.parametrize("word", [pytest.param(word, id=name) for name, word in WORDS.items()])
def test_no_word_steers_a_terminal(made: Made, word: str) -> None:
    word = word[:2000].encode("utf-8", "replace").decode()
    table = rich.table.Table("a")
    table.add_row(escape(word))
    told = printed(escape(word), rich.text.Text(word), table)
    stream = io.StringIO()
    console = Terminal(file=stream, force_terminal=True, color_system=None, width=100)
    TerminalProgress(console).say(word)
    facts = made.store.current("listing", "crawl").facts
    TerminalProgress(console).say(describe(facts | {"sources": {word: 1}, "notes": [word]}))
    with TerminalProgress(console).track(word, None, console.print):
        pass
    for text in (told, stream.getvalue(), str(CrawlError(word, word, word, 1))):
        left = re.sub(r"\x1b\[(\?25[lh]|2K|1A)|\r", "", text)  # the bar's own
        assert not [mark for mark in left if not (mark.isprintable() or mark == "\n")]
    assert len(str(CrawlError(word, word, word))) < 3100


def test_a_message_of_the_command_line_is_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise ValueError(f"{WORDS['escape']}\nnext line{WORDS['turned']}")

    monkeypatch.setattr(cli, "app", fails)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = str(ended.value)
    assert told.startswith("winnow: \N{MATHEMATICAL LEFT ANGLE BRACKET}U+001B")
    assert [mark for mark in told if not mark.isprintable()] == ["\n"]


def test_names_of_files_are_ours(made: Made, tmp_path: Path) -> None:
    make_report(made.store, ["mine"], {})
    for form in ("webdataset", "huggingface", "csv"):
        make_export(made.store, made.source(), form, tmp_path / form)
    for root in (made.store.root, tmp_path):
        for path in root.rglob("*"):
            assert re.fullmatch(r"[A-Za-z0-9@][A-Za-z0-9_.@-]{0,80}", path.name), path
