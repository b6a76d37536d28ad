"""Damage: truncations, flipped bits and zeroed blocks in everything that is published."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.faults.chain import stages
from benchmarks.faults.copies import contents, copied
from benchmarks.faults.tally import Tally, hold
from pipeline.storage.artifacts import Store
from pipeline.storage.repair import drop_damaged
from pipeline.storage.verify import Check, checks, unmade, verify

BLOCK: Final = 512  # bytes of a zeroed block, a disk's sector
FORMATS: Final[Mapping[str, Callable[[Path], bool]]] = {
    "tables (Parquet)": lambda path: path.suffix == ".parquet",
    "arrays (npy)": lambda path: path.suffix == ".npy",
    "weights (safetensors)": lambda path: path.suffix == ".safetensors",
    "ledgers": lambda path: path.parent.name == "ledger",
    "artifact records": lambda path: path.name == "artifact.json",
    "pointers": lambda path: "current" in path.parts,
    "documents": lambda path: path.name in {"crawls.json", "settings.json"},
    "history": lambda path: path.name == "work.jsonl",
}


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes cut short, with one to eight bits flipped, or a block of them zeroed; never the bytes themselves."""
    while True:
        kind, at = rng.integers(3), int(rng.integers(len(data)))
        changed = bytearray(data)
        if kind == 0:
            changed = changed[:at]
        elif kind == 1:
            for bit in rng.integers(8 * len(data), size=rng.integers(1, 9)):
                changed[bit // 8] ^= 1 << bit % 8
        else:
            begin = at // BLOCK * BLOCK
            changed[begin : begin + BLOCK] = bytes(len(changed[begin : begin + BLOCK]))
        if changed != data:
            return bytes(changed)


def detection(store: Store, tries: int, seed: int) -> Iterator[Tally]:
    """Every fault must be found, and its file named, by the check of that file; other files must stay sound."""
    everything = list(checks(store))
    for name, chosen in FORMATS.items():
        own = [check for check in everything if chosen(check.path)]
        tally = Tally(f"damage in {name}: found and named")
        rng = np.random.default_rng([seed, len(name)])
        for _ in range(tries if own else 0):
            _try_one(tally, own[rng.integers(len(own))], rng)
        if own:
            yield tally


def _try_one(tally: Tally, check: Check, rng: np.random.Generator) -> None:
    sound = check.path.read_bytes()
    try:
        check.path.write_bytes(damaged(sound, rng))
        with tally.attempt(check.path.name):
            found = check.damage()
            hold(found is not None and found.path == check.path, "not noticed")
    finally:
        check.path.write_bytes(sound)


def repair(template: Store, work: Path, tries: int, seed: int) -> Tally:
    """A damaged file of a copy is dropped and made again: the same bytes everywhere, and no other shard made anew."""
    tally = Tally("damage in any file: repaired, byte for byte")
    rng = np.random.default_rng([seed, 1])
    makers = stages()
    made_here = [check for check in checks(template) if _remade(check, makers)]
    for _ in range(tries):
        store = copied(template, work)
        chosen = made_here[rng.integers(len(made_here))]
        path = store.root / chosen.path.relative_to(template.root)
        data = path.read_bytes()
        path.unlink()  # the copy shares its bytes with the template
        path.write_bytes(damaged(data, rng))
        with tally.attempt(str(path.relative_to(store.root))):
            tally.timed(partial(_repair, store, makers))
            hold(not verify(store, workers=1), "still damaged")
            hold(contents(store) == contents(template), "other bytes")
        shutil.rmtree(store.root)
    return tally


def _remade(check: Check, makers: Mapping[str, object]) -> bool:
    """Whether the file is one that no stage, or one of ours, makes: the pictures are not read again here."""
    return check.folder is None or check.folder.parts[-3] in makers


def _repair(store: Store, makers: Mapping[str, Callable[[Store], object]]) -> None:
    drop_damaged(store, verify(store, workers=1))
    for stage, _ in unmade(store):
        makers[stage](store)
