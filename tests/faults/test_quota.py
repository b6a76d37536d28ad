"""A quota that is used up in the middle of a stage: told in words, and nothing is lost."""

import shutil
from pathlib import Path

import pytest

from benchmarks.faults.chain import make_everything, write_crawl
from benchmarks.faults.quota import quotas
from pipeline.storage.artifacts import Store


@pytest.mark.skipif(shutil.which("strace") is None, reason="no `strace` on the PATH to refuse calls with")
def test_a_stage_whose_quota_is_used_up_says_so_and_goes_on(tmp_path: Path) -> None:
    template = Store(tmp_path / "template")
    make_everything(template, write_crawl(tmp_path / "crawl"))
    (tally,) = quotas(template, tmp_path / "work", ["settled"], tries=2, seed=1)
    assert (tally.tries, tally.survived, tally.lost) == (2, 2, [])
