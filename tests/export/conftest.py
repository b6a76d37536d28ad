"""Crawls that are listed and decoded once; every test has a copy of its own."""

from pathlib import Path

import pytest

from tests.export.export_store import Made, add_crawl, add_more


@pytest.fixture(scope="session")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(tmp_path_factory.mktemp("listed") / "one")
    add_crawl(made)
    return made


@pytest.fixture(scope="session")
def listed_two(listed: Made) -> Made:
    made = listed.copied(listed.root.with_name("two"))
    add_more(made)
    return made


@pytest.fixture
def one(listed: Made, tmp_path: Path) -> Made:
    """Kept: `a` twice at half weight, `b c`, and `=d`, a tulip that is trained on as a daisy."""
    return listed.copied(tmp_path / "made")


@pytest.fixture
def two(listed_two: Made, tmp_path: Path) -> Made:
    """The same, and of a second crawl both pictures."""
    return listed_two.copied(tmp_path / "made")
