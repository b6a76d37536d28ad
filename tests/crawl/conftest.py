"""Fixtures for the tests of crawls."""

import tarfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def hostile(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of odd, broken and malicious inputs."""
    folder = tmp_path_factory.mktemp("hostile")
    with tarfile.open(shared_data / "hostile" / "hostile.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "hostile"
