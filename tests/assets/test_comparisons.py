"""Two manifests compared in the UI: any two recipes, or a recipe and what it was before."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from rich.console import Console

from assets.comparisons import comparison
from assets.partitions import tell_recipes
from assets.progress import TerminalProgress
from assets.resources import StoreResource
from pipeline.storage.artifacts import NotMadeError, Store
from tests.assets.test_compare import two_manifests

Compare = Callable[[str | None], dict[str, Any]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return two_manifests(tmp_path / "store")


@pytest.fixture
def compare(store: Store) -> Compare:
    """Materialise the comparison of class-reweight, as the launchpad would; gives what the UI shows."""

    def materialise(other: str | None) -> dict[str, Any]:
        with dg.DagsterInstance.ephemeral() as instance:
            tell_recipes(instance, ["baseline", "class-reweight"])
            config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            done = dg.materialize(
                [comparison],
                instance=instance,
                partition_key="class-reweight",
                resources={
                    "store": StoreResource(root=str(store.root)),
                    "progress": TerminalProgress(Console(quiet=True)),
                },
                run_config=config | {"ops": {"comparison": {"config": {"with": other} if other else {}}}},
            )
        (made,) = done.asset_materializations_for_node("comparison")
        return {name: value.value for name, value in made.metadata.items()}

    return materialise


def test_another_recipe(compare: Compare) -> None:
    told = compare("baseline")
    assert (told["a"], told["b"]) == ("baseline", "class-reweight")
    assert "| lighter |" in told["changes"]
    assert told["moved_percent"] > 0
    assert Path(told["page"]).exists()
    assert Path(told["table"]).exists()


def test_the_one_before_where_there_is_none_is_told(compare: Compare) -> None:
    with pytest.raises(NotMadeError, match="0 earlier manifests of class-reweight"):
        compare(None)


def test_stores_are_compared_elsewhere(compare: Compare) -> None:
    with pytest.raises(ValueError, match="winnow diff"):
        compare("/somewhere:baseline")
