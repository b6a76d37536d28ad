"""`winnow summary` in the terminal."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from assets.metadata import tricks
from assets.tricks import chain_line, tell_tricks
from pipeline.stages.summary import make_summary
from pipeline.storage.artifacts import Artifact, NotMadeError, Store, seeded
from pipeline.tricks import Bag, PublishedRow, PublishedTable
from tests.stages.predicted_store import add_predictions

ROWS = (PublishedRow("Base", "baseline", 0.7), PublishedRow("[bold]A[/bold]", "a", 0.75))
TABLES = (PublishedTable("t", "Table", ROWS), PublishedTable("u", "Other", (PublishedRow("B", "b", 0.5),)))
BAG = Bag(TABLES, {"baseline": "baseline", "a": "manifest"}, {"a": "resnet18"})


def scored(folder: Path, bag: Bag | None) -> tuple[Store, Artifact]:
    """Forty test images of two classes: the baseline is right of half of each, `a` of three quarters."""
    store = Store(folder)
    label = np.arange(40) % 2
    for recipe, right in (("baseline", np.arange(40) % 4 < 2), ("a", np.arange(40) % 8 < 6)):
        logits = np.zeros((40, 7))
        logits[np.arange(40), np.where(right, label, 6)] = 1
        add_predictions(store, seeded(recipe, 0), logits, ["val"] * 8 + ["test"] * 32, label.tolist())
    return store, make_summary(store, ["baseline", "a"], [0], bag)


def test_chain_and_tables_are_told(tmp_path: Path) -> None:
    store, summary = scored(tmp_path, BAG)
    console = Console(width=220, record=True, force_terminal=False)
    tell_tricks(store, console)
    said = console.export_text()
    assert "Chosen on val, told on 32 images of test" in said
    assert "[bold]A[/bold]" in said  # as it is called, no markup
    assert "+25.0 [" in said
    assert "Other: none of 1 rows run" in " ".join(said.split())
    assert "Only one seed was run" in said
    narrow = Console(width=80, record=True, force_terminal=False)
    tell_tricks(store, narrow)
    assert "+25.0" in (brief := narrow.export_text())
    assert "+25.0 [" not in brief
    assert chain_line(store) == (
        "chain (class mean top-1, chosen on val, told on test): baseline 50.0% → a 75.0% (50% of errors gone)"
    )
    shown = tricks(summary)
    assert set(shown) == {"chain", "tricks", "gains_top5", "gains_top1"}
    assert "| manifest | a | 75.0 [" in shown["chain"].md_str
    assert "| **Table** |" in shown["tricks"].md_str
    assert "data:image/svg+xml" in shown["gains_top1"].md_str


def test_a_summary_without_tables_says_how_to_have_them(tmp_path: Path) -> None:
    store, summary = scored(tmp_path, None)
    with pytest.raises(NotMadeError, match="winnow report"):
        tell_tricks(store, Console())
    assert chain_line(store) is None
    assert tricks(summary) == {}
