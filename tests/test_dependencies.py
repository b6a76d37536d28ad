"""The list of licences is that of what is pinned; what is unfit, old or inconsistent is told."""

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import dependencies
from benchmarks.dependencies import FLOORS, ROOT, Package, complaints, licence_of, packages, page, pins, unfit

PAGE = ROOT / "docs" / "licences.md"


@pytest.fixture(scope="module")
def found() -> list[Package]:
    return list(packages())


def test_the_page_is_of_what_is_pinned(found: list[Package]) -> None:
    """Else: python -m benchmarks.dependencies --out docs/licences.md."""
    cells = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")][2:]
    assert {row[0]: row[1] for row in cells} == pins(ROOT / "constraints.txt")
    here = {name: distribution(name).version for name in ("torch", "pyarrow")}
    if here.items() <= pins(ROOT / "constraints.txt").items():
        assert page(found).splitlines()[:20] == PAGE.read_text().splitlines()[:20]
        told = {one.name: one.licence for one in found if one.licence}
        assert {row[0]: row[2] for row in cells if row[0] in told} == told


def test_what_is_pinned_is_fit(found: list[Package]) -> None:
    assert list(complaints(found)) == []
    assert set(FLOORS) <= set(pins(ROOT / "constraints.txt"))


@pytest.mark.parametrize(
    ("licence", "wrong"),
    [
        ("MIT", False),
        ("MIT AND BSD-3-Clause", False),
        ("GPL-3.0", True),
        ("MIT AND GPL-3.0", True),
        ("GPL-3.0 OR MIT", False),
        ("GPL-3.0 OR AGPL-3.0", True),
        ("(MIT AND Apache-2.0) OR GPL-2.0", False),
        ("unknown", True),
        ("", True),
    ],
)
def test_a_licence_is_fit_by_our_list(licence: str, wrong: bool) -> None:
    assert unfit(licence) is wrong


class Metadata(dict[str, Any]):
    def get_all(self, name: str) -> Any:
        found = self.get(name)
        return [found] if isinstance(found, str) else found


@pytest.mark.parametrize(
    ("told", "licence"),
    [
        ({"License-Expression": "MIT AND PSF-2.0", "License": "x"}, "MIT AND PSF-2.0"),
        ({"Classifier": ["License :: OSI Approved :: Apache Software License", "Topic :: X"]}, "Apache-2.0"),
        ({"Classifier": ["License :: OSI Approved"], "License": "BSD 3\nwhole text"}, "BSD 3"),
        ({"License": "  3-Clause BSD License"}, "BSD-3-Clause"),
        ({}, "unknown"),
        ({"Name": "nvidia-nothing", "License": "Proprietary"}, "NVIDIA"),
    ],
)
def test_what_a_package_says_of_itself(told: dict[str, Any], licence: str) -> None:
    package: Any = SimpleNamespace(metadata=Metadata({"Name": "a", **told}))
    assert licence_of(package) == licence


def test_what_is_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([sys.executable], 1, "a 1 requires b, which is not installed.\n")
    monkeypatch.setattr(dependencies.subprocess, "run", lambda *_, **__: done)  # type: ignore[attr-defined]
    found = [
        Package("A", "1", "GPL-3.0", ""),
        Package("Pillow", "9.0", "MIT-CMU", ""),
        Package("torch", "2.14", "", ""),
    ]
    assert list(complaints(found)) == [
        "A 1: its licence, GPL-3.0, is not on the list",
        "Pillow 9.0: 12.2 is the first version without a known hole",
        "a 1 requires b, which is not installed.",
    ]


def test_who_needs_what(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text(
        '[project]\nname = "own"\ndependencies = ["jinja2"]\n'
        "[project.optional-dependencies]\n"
        """web = ["own", "flask; python_version > '3'", "six; python_version < '3'"]\n"""
    )
    found = dependencies.needs(project)
    assert found["jinja2"] == found["markupsafe"] == "always"
    assert found["flask"] == found["werkzeug"] == "web"
    assert "own" not in found
