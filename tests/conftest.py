"""Fixtures for all tests, and how they are shared out over the processes of `pytest -n`."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # before any library counts the cores: each process has one of them
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples on every machine and run; `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("same")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of one file run in one process, which makes their fixtures once; files that look at `small_run` are one."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - not on a machine that runs the GPU tests alone

    @functools.cache
    def scope(file: str) -> str:
        return "small_run" if "small_run" in (config.rootpath / file).read_text() else file

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = lambda nodeid: scope(nodeid.partition("::")[0])
    return scheduler


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Nobody cuts the power of a test, so what it writes is not flushed: `storage/test_atomic.py` sees that it is.

    Processes that a test starts do wait.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real inputs beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the checkout: real inputs are needed for this test")
    return folder
