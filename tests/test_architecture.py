"""The import law: assets -> models -> pipeline, never back; no circle; some rooms stay light."""

import ast
import functools
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {"pipeline": 0, "models": 1, "assets": 2}


def modules() -> dict[str, Path]:
    found = {}
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Every import statement of a file, those inside functions too; names of our own modules where they are such."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in known else node.module for name in whole)


@functools.cache
def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: set(imports(path, known)) for name, path in known.items()}


def test_no_storey_imports_a_higher_one() -> None:
    broken = [
        f"{name} imports {target}"
        for name, targets in graph().items()
        for target in targets
        if target.split(".")[0] in FLOORS and FLOORS[target.split(".")[0]] > FLOORS[name.split(".")[0]]
    ]
    assert broken == []


def test_there_is_no_circle() -> None:
    arrows = {name: targets & graph().keys() for name, targets in graph().items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in arrows[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in arrows:
        visit(name, ())


def test_dagster_is_named_in_assets_alone() -> None:
    named = [name for name, targets in graph().items() if any(t.split(".")[0].startswith("dagster") for t in targets)]
    assert named
    assert [name for name in named if not name.startswith("assets")] == []


def test_only_storage_and_the_crawl_reader_name_a_file_format() -> None:
    formats = {"pyarrow.parquet", "duckdb"}
    rooms = ("pipeline.storage", "pipeline.crawl", "pipeline.stages.listing")
    broken = [
        f"{name} imports {target}"
        for name, targets in graph().items()
        for target in targets & formats
        if not name.startswith(rooms)
    ]
    assert broken == []


def test_nothing_reads_pickles_but_what_our_own_processes_send() -> None:
    pickles = {"pickle", "joblib", "cloudpickle", "dill"}
    assert [name for name, targets in graph().items() if targets & pickles] == ["pipeline.storage.shelf"]


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("models.worker", {"faiss", "duckdb", "cv2", "simplejpeg", "pydantic", "dagster", "s3fs", "hdbscan"}),
        ("assets.cli", {"torch", "faiss", "cv2", "dagster"}),
        ("assets.definitions", {"torch", "faiss", "transformers"}),
    ],
)
def test_heavy_libraries_are_imported_late(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({absent!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == []


def test_the_root_holds_no_module() -> None:
    assert list(ROOT.glob("*.py")) == []


def test_every_module_imports() -> None:
    for name in modules():
        importlib.import_module(name)
