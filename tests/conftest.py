"""Fixtures for all tests, and how they are shared out over the processes of `pytest -n`."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # before any library counts the cores: each process has one of them
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples on every machine and run; `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file run in one process, which makes their fixtures once; all that look at `small_run` too."""
    for item in items:
        shared = "small_run" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("small_run" if shared else item.path.name))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real inputs beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the checkout: real inputs are needed for this test")
    return folder
