"""Decoding in killable processes: an image costs itself at most, and nothing is left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline.crawl.decode import DecodeSettings, decode
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.worker import FIRST_DEFECT
from pipeline.crawl.workers import DecodePool, Results, Source
from pipeline.records import DEFECTS
from tests.crawl.pictures import encoded, photo

SETTINGS = DecodeSettings(image_size=32, timeout_s=0.1)

#: Runs in every worker before anything else: certain bytes do what no decoder should.
BOOBY_TRAPS = """
import os, pathlib, time
import pipeline.crawl.decode as module
real = module.decode
once = pathlib.Path({once!r})
def decode(data, settings):
    if data == b"abort": os.abort()
    if data == b"raise": raise KeyError("a bug")
    if data == b"spin":
        while True: pass
    if data == b"sleep": time.sleep(60)
    if data.endswith(b"once") and not once.exists():
        once.touch()
        os.abort()
    return real(data, settings)
module.decode = decode
"""


def outcomes(results: Results) -> list[str]:
    return ["usable" if state == 1 else DEFECTS[state - FIRST_DEFECT] for state in results.rows["state"].tolist()]


def worker_processes(parent: int | None = None) -> list[psutil.Process]:
    """The decoding processes of a process, of this one by default; those that have ended have no command line."""
    found = []
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "pipeline.crawl.worker" in child.cmdline():
                found.append(child)
    return found


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    folder = tmp_path / "crawl"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.jpg").write_bytes(encoded(photo(number, 50, 70), "JPEG"))
    return folder


@pytest.fixture
def trapped(crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "traps").mkdir()
    (tmp_path / "traps" / "sitecustomize.py").write_text(BOOBY_TRAPS.format(once=str(tmp_path / "once")))
    monkeypatch.syspath_prepend(tmp_path / "traps")
    for trap in ("abort", "raise", "spin", "sleep"):
        (crawl / trap).write_bytes(trap.encode())
    (crawl / "once").write_bytes((crawl / "0.jpg").read_bytes() + b"once")
    return crawl


def test_pixels_and_rows_are_those_of_the_decoder(crawl: Path, tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(8)]
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "pack").write_bytes(b"".join((crawl / name).read_bytes() for name in names))
    offset = sum((crawl / name).stat().st_size for name in names[:3])
    packed = Source("pack", offset, (crawl / names[3]).stat().st_size)
    told: list[int] = []
    with DecodePool(CrawlFiles(str(crawl)), SETTINGS, 2, containers=CrawlFiles(str(tmp_path / "packed"))) as pool:
        results = pool.decode([*map(Source, names), packed] * 20, told.append)
        pixels = results.pixels.copy()
        assert outcomes(pool.decode([Source(names[5])])) == ["usable"]  # the pool serves again
    assert sum(told) == 180
    for at, name in enumerate([*names, names[3]] * 20):
        wanted = decode((crawl / name).read_bytes(), SETTINGS)
        row = results.rows[at]
        assert np.array_equal(pixels[at], wanted.pixels)
        assert row["sha256"].decode() == wanted.sha256
        assert (row["width"], row["height"], row["perceptual_hash"]) == (70, 50, wanted.perceptual_hash)


def test_refusals_of_the_files_are_outcomes_too(crawl: Path) -> None:
    (crawl / "empty.jpg").touch()
    (crawl / "link.jpg").symlink_to("/etc/hostname")
    (crawl / "text.jpg").write_text("not found")
    names = ["empty.jpg", "absent.jpg", "../crawl/1.jpg", "/etc/hostname", "link.jpg", "text.jpg", "é\n\0", "1.jpg"]
    with DecodePool(CrawlFiles(str(crawl)), SETTINGS, 1) as pool:
        results = pool.decode([*map(Source, names), Source("1.jpg", 0, 10), Source("1.jpg", 0, 10**9)])
    outside = "outside-crawl"
    assert outcomes(results) == [
        *("empty", "missing", outside, outside, outside, "unknown-format", outside, "usable"),
        *("broken", "too-many-bytes"),
    ]


def test_nothing_to_decode(crawl: Path) -> None:
    with DecodePool(CrawlFiles(str(crawl)), SETTINGS, 1) as pool:
        results = pool.decode([])
    assert results.pixels.shape == (0, 32, 32, 3)
    assert results.rows.shape == (0,)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_image_that_kills_or_hangs_costs_itself_only(trapped: Path, workers: int) -> None:
    names = ["0.jpg", "abort", "1.jpg", "spin", "sleep", "2.jpg", "once", "raise", "3.jpg", "4.jpg"]
    told: list[int] = []
    with DecodePool(CrawlFiles(str(trapped)), SETTINGS, workers) as pool:
        results = pool.decode([Source(name) for name in names], told.append)
    assert outcomes(results) == [
        *("usable", "crashed", "usable", "timeout", "timeout", "usable"),
        *("usable", "crashed", "usable", "usable"),
    ]
    assert results.rows["detail"][[1, 3, 7]].tolist() == [
        b"ended by SIGABRT",
        b"more than 0.1 seconds",
        b"exit status 1",
    ]
    assert sum(told) == len(names)


def test_a_picture_past_the_memory_limit_is_named(crawl: Path) -> None:
    (crawl / "large.png").write_bytes(encoded(Image.new("RGBA", (6000, 6000)), "PNG"))
    settings = DecodeSettings(image_size=32, memory_mb=100)
    with DecodePool(CrawlFiles(str(crawl)), settings, 1) as pool:
        assert outcomes(pool.decode([Source("large.png"), Source("1.jpg")])) == ["memory", "usable"]


def test_a_worker_killed_from_outside_costs_nothing(crawl: Path) -> None:
    told: list[int] = []
    killed: set[int] = set()

    def kill(count: int) -> None:
        told.append(count)
        if len(told) in (1, 4):  # by the fourth message the first victim's successor is at work
            victim = next(worker for worker in worker_processes() if worker.pid not in killed)
            killed.add(victim.pid)
            victim.kill()

    with DecodePool(CrawlFiles(str(crawl)), SETTINGS, 1) as pool:
        results = pool.decode([Source(f"{number % 8}.jpg") for number in range(1000)], kill)
    assert len(killed) == 2
    assert sum(told) == 1000
    assert results.usable.all()


def test_an_exception_leaves_no_process_and_no_file(trapped: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    sources = [*(Source("0.jpg") for _ in range(64)), Source("sleep")]
    settings = DecodeSettings(image_size=32, timeout_s=60)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        DecodePool(CrawlFiles(str(trapped)), settings, 2, scratch=scratch) as pool,
    ):
        pool.decode(sources, interrupt)
    assert worker_processes() == []
    assert list(scratch.iterdir()) == []


def test_workers_end_with_a_parent_that_was_killed(trapped: Path) -> None:
    code = f"""
from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.workers import DecodePool, Source
with DecodePool(CrawlFiles({str(trapped)!r}), DecodeSettings(timeout_s=0.5), 2) as pool:
    pool.decode([Source("0.jpg")])
    print("idle", flush=True)
    pool.decode([Source("spin")] * 64)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    with parent.stdout as told:
        assert told.readline() == b"idle\n"
    workers = worker_processes(parent.pid)
    parent.kill()
    parent.wait()
    assert len(workers) == 2
    assert psutil.wait_procs(workers, timeout=20)[1] == []  # the spinning one is ended by its own timer


def test_a_worker_that_cannot_start_is_an_error(crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        pytest.raises(RuntimeError, match="could not start"),
        DecodePool(CrawlFiles(str(crawl)), SETTINGS, 1) as pool,
    ):
        pool.decode([Source("0.jpg")])


def test_the_current_folder_lends_no_code(crawl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (crawl / "numpy.py").write_text("raise SystemExit('hostile')")
    monkeypatch.chdir(crawl)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    with DecodePool(CrawlFiles(str(crawl)), SETTINGS, 1) as pool:
        assert outcomes(pool.decode([Source("0.jpg")])) == ["usable"]


def test_a_pool_works_in_a_thread_and_leaves_ctrl_c_to_its_owner(crawl: Path) -> None:
    outcome: list[bool] = []

    def interrupt(_: int) -> None:
        worker_processes()[0].send_signal(signal.SIGINT)

    def work() -> None:
        with DecodePool(CrawlFiles(str(crawl)), SETTINGS, 1) as pool:
            pool.decode([Source("0.jpg")] * 100, interrupt)
            started = pool.decode([Source("1.jpg")] * 100)
            outcome.append(bool(started.usable.all()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome == [True]


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(crawl: Path, workers: int) -> None:
    with pytest.raises(ValueError, match="workers"):
        DecodePool(CrawlFiles(str(crawl)), SETTINGS, workers)
