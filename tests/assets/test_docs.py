"""Every command of README.md and docs/ is run, every link leads somewhere, every quoted message is one of ours.

Each page gets a folder that holds what the pages speak of: a crawl and a store after one small run, where the pages say
they lie, and the files beside them. Its commands are run there in order, in this process, by the real command line. A
command that would take too long is done in a cheaper way, which `Reader` states; one that it has no way for fails.
"""

import argparse
import ast
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer
from rich.console import Console

import assets.cli  # noqa: F401 - tells the app its commands
from assets.commands.common import app
from assets.people import take
from assets.plan import Order, read_machine
from assets.progress import TerminalProgress
from assets.run import crawls_at, make_manifest_of
from assets.settings import Settings, settings_of
from pipeline.crawl.detect import detect
from pipeline.storage.artifacts import Store
from tests.assets.conftest import ROOT, SETTINGS, SmallRun

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
#: Where else the pages say that things lie.
PLACES = {
    "path/to/crawl": Path("crawl"),
    **dict.fromkeys(
        ("path/to/store", "path/to/other/store", "path/to/one/store", "path/to/another"), Path("winnow-store")
    ),
    "demo/store": Path("winnow-store"),
    ".venv": Path(sys.prefix),
}
OWN_RECIPE = '\n[recipe.mine]\nparts = ["semantic", "class-reweight"]\n'
SEVERAL = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])


@pytest.fixture(scope="module")
def told(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run, and what a reader would have done by then: a verdict given, two manifests more."""
    folder = tmp_path_factory.mktemp("told")
    shutil.copytree(small_run.folder / "crawl", folder / "crawl")
    shutil.copytree(small_run.store, folder / "winnow-store")
    (folder / "winnow.toml").write_text(SETTINGS + OWN_RECIPE)
    (folder / "verdicts.csv").write_text("crawl,path,verdict\ncrawl,google/q0001/00000.jpg,wrong\n")
    store, console = Store(folder / "winnow-store"), Console(quiet=True)
    assert take(store, folder / "verdicts.csv", console)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")  # set by the commands, and put back
        for recipe in ("kmeans-size", "fused"):
            make_manifest_of(store, recipe, TerminalProgress(console))
    for picture in sorted((folder / "crawl" / "test_images").rglob("*.jpg"))[:3]:
        (folder / "folder" / "of" / "pictures").mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, folder / "folder" / "of" / "pictures")
        shutil.copy(picture, folder / "photo.jpg")
    return folder


@pytest.fixture
def folder(told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the above to work in; arrays and weights, which nothing ever writes to, are shared."""

    def copy(source: str, target: str) -> str:
        if source.endswith((".npy", ".safetensors")):
            Path(target).hardlink_to(source)
            return target
        return shutil.copy2(source, target)

    own = tmp_path / "reader"
    shutil.copytree(told, own, copy_function=copy)
    for name, lies in PLACES.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).symlink_to(lies if lies.is_absolute() else own / lies)
    monkeypatch.chdir(own)
    monkeypatch.setenv("DAGSTER_HOME", "")
    return own


@dataclass(frozen=True)
class Reader:
    """Somebody who does in a folder what a page says."""

    patch: pytest.MonkeyPatch

    def does(self, line: str) -> None:
        """One command line, or one with the document that it reads."""
        words = shlex.split(line.replace(".venv/bin/", ""), comments=True)
        match words:
            case _ if "<<" in line:  # a program on the page
                subprocess.run(["/bin/bash", "-euc", line], check=True, capture_output=True, timeout=60)
            case ["make", target]:  # is there; each is tried by hand and before a change lands
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
            case ["python", "-m", module, *options] if module.startswith("benchmarks."):
                self.parses(module, options)
            case ["winnow", *options]:
                self.winnow(options)
            case _:
                pytest.fail(f"no rule covers {line!r}: write it as one of those above, or add a rule")

    def parses(self, module: str, options: list[str]) -> None:
        """A benchmark takes minutes to hours: its own parser must take the options, and no more is done."""

        class Parsed(Exception):  # noqa: N818 - it is no error
            pass

        real = argparse.ArgumentParser.parse_args

        def parse(parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
            real(parser, options)
            raise Parsed

        with self.patch.context() as patch:
            patch.setattr(argparse.ArgumentParser, "parse_args", parse)
            with pytest.raises(Parsed):
                runpy.run_module(module, run_name="__main__")

    def winnow(self, options: list[str]) -> None:
        """Commands run; those that train, measure, draw, wait or serve are stopped when they know what to do."""

        def finds(_: Store, settings: Settings, addresses: list[str], *__: Any) -> None:
            for crawl in crawls_at(addresses, settings):
                assert detect(crawl.address, crawl.settings).files.entries(), crawl.address

        def plans(store: Store, addresses: list[str], order: Order, *_: Any) -> None:
            finds(store, order.settings, addresses)
            assert order.machine is None or read_machine(order.machine)

        self.patch.setattr("assets.run.run_crawls", finds)
        self.patch.setattr("assets.run.gather_evidence", finds)
        self.patch.setattr("assets.plan.plan", plans)
        for waits in ("assets.demo.run_demo", "assets.watch.watch", "assets.share.share", "os.execv"):
            self.patch.setattr(waits, lambda *_, **__: None)
        assert app(options, standalone_mode=False) in {None, 0}


def files(page: Path) -> dict[str, str]:
    """Blocks that begin with the name of a file, as `# machine.toml`: the commands below may speak of it."""
    told = (re.match(r"# (\S+\.\w+)\n", text) for _, text in BLOCK.findall(page.read_text()))
    return {name[1]: name.string for name in told if name}


def commands(page: Path) -> Iterator[str]:
    """What stands in the shell blocks of a page; continued lines are one, and so are a line and its document."""
    for language, text in BLOCK.findall(page.read_text()):
        if language == "sh":
            whole = re.compile(r"^.*<<'(\w+)'\n(?:.*\n)*?\1$|^[^#\n].*$", re.MULTILINE)
            yield from (found[0] for found in whole.finditer(text.replace("\\\n", " ")))


@SEVERAL
@pytest.mark.usefixtures("folder")
def test_every_command_of_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in files(page).items():
        Path(name).write_text(text)
    for line in commands(page):
        try:
            Reader(monkeypatch).does(line)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{page.name}: {line}\n{error}") from error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rm -r winnow-store", "no rule covers"),
        ("python -m assets.cli recipes", "no rule covers"),
        ("make nothing", "make nothing"),
        ("winnow fly", "No such command"),
        ("winnow report --fast", "No such option"),
        ("winnow run path/to/nothing", "nothing there"),
        ("winnow run path/to/crawl --recipes nothing", "unknown recipe 'nothing'"),
        ("python -m benchmarks.recipes --nothing", "2"),  # argparse's exit status; what is wrong it prints
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_wrong_command_fails(line: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((Exception, SystemExit, pytest.fail.Exception), match=message):
        Reader(monkeypatch).does(line)


@SEVERAL
def test_commands_in_a_line_of_text_exist(page: Path) -> None:
    for code in re.findall(r"`(?:\.venv/bin/)?winnow ([a-z][^`]*)`", BLOCK.sub("", page.read_text())):
        name, *rest = code.split()
        assert name in COMMANDS, f"{page.name}: winnow {code}"
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known, (
            f"{page.name}: winnow {code}"
        )


@SEVERAL
def test_settings_on_a_page_are_settings(page: Path) -> None:
    for language, text in BLOCK.findall(page.read_text()):
        if language == "toml" and text not in files(page).values():
            settings_of(tomllib.loads(text), page.name)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@SEVERAL
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
        place, _, anchor = target.partition("#")
        if "://" not in target:
            led = (page.parent / place).resolve() if place else page
            assert led.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(led), f"{page.name}: {target}"


def messages() -> Iterator[str]:
    """Every string of the source; what is put into one at run time is a line end."""
    for storey in ("assets", "models", "pipeline"):
        for file in (ROOT / storey).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
                elif isinstance(node, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\n" for part in node.values)


def test_every_quoted_message_is_in_the_source() -> None:
    page = ROOT / "docs" / "troubleshooting.md"
    quoted = re.findall(r"^\| `([^`]+)`", page.read_text(), re.MULTILINE)
    assert len(quoted) > 30
    told = list(messages())
    for message in quoted:
        pattern = re.compile(".*?".join(map(re.escape, message.split("…"))), re.DOTALL)
        assert any(pattern.search(one) for one in told), message
