"""A few tries of every fault, by the command that tries them all (`make faults`), in a process of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.faults.damage import damaged
from benchmarks.faults.disk import ordered
from benchmarks.faults.tally import Tally, hold, table

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ("damage", "repair", "kills", "races", "disk", "fuzz", "again")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("faults")
    command = [sys.executable, "-m", "benchmarks.faults", *SECTIONS, "--tries", "0.02", "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--json", str(folder / "faults.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    told: list[dict[str, Any]] = json.loads((folder / "faults.json").read_text())
    return told


def test_nothing_is_lost_to_any_fault(rows: list[dict[str, Any]]) -> None:
    assert [row for row in rows if row["lost"]] == []
    assert all(row["tries"] > 0 for row in rows)


@pytest.mark.parametrize(
    "fault",
    [
        *("Parquet", "npy", "ledgers", "pointers", "documents", "history", "repaired", "kill -9 in evidence-fused"),
        *("kill -9 in manifest", "two writers", "grows and shrinks", "a limit on"),
        *(
            "mutated pictures (JPEG)",
            "within its memory",
            "mutated texts of a query",
            "mutated tables (Parquet)",
            "manifest again",
        ),
    ],
)
def test_the_fault_was_tried(rows: list[dict[str, Any]], fault: str) -> None:
    assert any(fault in row["fault"] for row in rows)


def test_damage_is_damage_and_drawn_by_the_seed() -> None:
    data = bytes(range(256)) * 8
    first = [damaged(data, np.random.default_rng(seed)) for seed in range(200)]
    assert all(changed != data for changed in first)
    assert first == [damaged(data, np.random.default_rng(seed)) for seed in range(200)]
    kinds = {(len(changed) < len(data), bytes(512) in changed) for changed in first}
    assert kinds == {(True, False), (False, True), (False, False)}


def test_another_order_of_flushes_is_noticed() -> None:
    goal = Path("/store/goal")
    data, renamed, folder = (
        "fsync(3</store/goal.7.partial>) = 0",
        'rename("/store/goal.7.partial", "/store/goal") = 0',
        "fsync(3</store>) = 0",
    )
    assert ordered("\n".join([data, renamed, folder]), goal)
    for wrong in ([renamed, data, folder], [data, renamed], [renamed, folder], [data, folder, renamed]):
        assert not ordered("\n".join(wrong), goal)


def test_a_tally_counts_what_was_lost() -> None:
    tally = Tally("a fault")
    for number in range(3):
        with tally.attempt(f"try {number}"):
            hold(number != 1, "all of it")
    row = tally.row()
    assert (row["tries"], row["survived"], row["lost"]) == (3, 2, 1)
    assert row["what_was_lost"] == ["try 1: all of it"]
    assert table([row]).splitlines()[-1] == "| a fault | 3 | 2 | 1 |  |  |"
