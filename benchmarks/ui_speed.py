"""How fast the Dagster UI answers over a store that was lived with: 200 crawls, 30 recipes, many materialisations.

    python -m benchmarks.ui_speed [--crawls 200] [--recipes 30] [--times 5]

Fills the records of a new store, starts `winnow ui` over it, opens the pages of a day's work in a headless Chromium and
notes what each asks of the server; then asks every one of these questions again, one at a time, and takes the median.
Also told is the processor time that the answer cost the server, which does not grow when the machine does other things.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
from playwright.sync_api import Request, sync_playwright

from assets.partitions import CRAWLS, tell_recipes
from assets.run import dagster_instance
from benchmarks.shopcrawl import table
from pipeline.storage.artifacts import Store

ROOT = Path(__file__).resolve().parents[1]
MOST = 1.0  # seconds that an answer may take
EPOCHS = 7
EACH_RUN = 10  # partitions
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PAGES = {
    "graph": "/asset-groups",
    "catalogue": "/assets",
    "asset": "/assets/images",
    "partitions of crawls": "/assets/images?view=partitions",
    "partitions of recipes": "/assets/model?view=partitions",
    "events": "/assets/model?view=events",
    "checks": "/assets/images?view=checks",
    "runs": "/runs",
    "a run": "/runs/{run}",
    "automation": "/automation",
}


@dataclass(frozen=True)
class Question:
    """One query of a page, as the browser sent it."""

    page: str
    name: str
    body: bytes


def main() -> None:
    """Fill, serve, ask, print."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        run = fill(store, options.crawls, options.recipes)
        with served(store) as (address, server):
            questions = list(asked(address, run))
            rows = [_answer(address, server, question, options.times) for question in questions]
    rows.sort(key=lambda row: -row["median s"])
    print(table([_slowest(page, rows) for page in PAGES if any(row["page"] == page for row in rows)]))
    slowest = rows[0]["median s"]
    print(
        f"\n{len(rows)} queries of {len(PAGES)} pages; the slowest answer took {slowest:.2f} s (at most {MOST:.0f} s)"
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"crawls": options.crawls, "recipes": options.recipes, "rows": rows}, indent=1))
    print(f"written to {options.json}")


def fill(store: Store, crawls: int, recipes: int) -> str:
    """Records of as many crawls and recipes as a year brings; returns the id of one run."""
    days = [f"delivery-{number:03d}" for number in range(crawls)]
    names = [f"recipe-{number:02d}" for number in range(recipes)]
    with dagster_instance(store) as instance:
        instance.add_dynamic_partitions(str(CRAWLS.name), days)
        tell_recipes(instance, names)
        parts = [("delivery", "listing", "images", "features"), ("manifest", "model", "predictions")]
        for partitions, assets in zip((days, names), parts, strict=True):
            for first in range(0, len(partitions), EACH_RUN):
                run = _one_run(instance, partitions[first : first + EACH_RUN], assets)
    return run


def _one_run(instance: dg.DagsterInstance, partitions: list[str], assets: tuple[str, ...]) -> str:
    """A run that made some assets of some partitions; a model was watched while it trained."""

    @dg.op(name="made", out=dg.Out(dg.Nothing))
    def made(context: dg.OpExecutionContext) -> None:
        for partition, asset in itertools.product(partitions, assets):
            told: dict[str, Any] = {
                "figure": 1.5,
                "dagster/row_count": 1000,
                "folder": dg.MetadataValue.path("/somewhere"),
            }
            for epoch in range(EPOCHS if asset == "model" else 0):
                seen = {"epoch": epoch, "loss": 1 / (1 + epoch)}
                context.log_event(dg.AssetObservation(asset, partition=partition, metadata=seen))
            context.log_event(dg.AssetMaterialization(asset, partition=partition, metadata=told))

    done = dg.GraphDefinition("past", node_defs=[made]).execute_in_process(
        instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    )
    return done.run_id


@contextmanager
def served(store: Store) -> Iterator[tuple[str, psutil.Process]]:
    """`winnow ui` over a store: its address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "assets.cli", "ui", "--store", str(store.root), "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 900
        while not _serves(address):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit("`winnow ui` did not start")
            time.sleep(0.5)
        yield address, psutil.Process(server.pid)
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def _serves(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/server_info", timeout=5) as reply:  # noqa: S310 - our own server
            return bool(reply.status == 200)
    except OSError:
        return False


def asked(address: str, run: str) -> Iterator[Question]:
    """What the pages ask, each question once."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("no chromium on the PATH: only a browser knows what the UI asks")
    seen: set[bytes] = set()
    heard: list[bytes] = []

    def hear(request: Request) -> None:
        if request.url.startswith(f"{address}/graphql") and request.post_data_buffer:
            heard.append(request.post_data_buffer)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.on("request", hear)
        for name, path in PAGES.items():
            heard.clear()
            page.goto(address + path.format(run=run), wait_until="domcontentloaded", timeout=120_000)
            page.wait_for_timeout(10_000)  # the UI asks on and on; by then it has asked what it shows
            for body in heard:
                if body not in seen:
                    seen.add(body)
                    yield Question(name, json.loads(body).get("operationName") or "unnamed", body)
        browser.close()


def _answer(address: str, server: psutil.Process, question: Question, times: int) -> dict[str, Any]:
    """Ask one question several times."""
    processes = [server, *server.children(recursive=True)]
    seconds, before = [], _processor(processes)
    for _ in range(times):
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{address}/graphql", question.body, {"Content-Type": "application/json"}
        )
        started = time.perf_counter()
        with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310
            told = reply.read()
        seconds.append(time.perf_counter() - started)
    return {
        "page": question.page,
        "slowest query": question.name,
        "median s": round(statistics.median(seconds), 3),
        "processor s": round((_processor(processes) - before) / times, 3),
        "kB": round(len(told) / 1000),
    }


def _slowest(page: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The line of a page; `rows` begin with the slowest."""
    own = [row for row in rows if row["page"] == page]
    return {"page": page, "queries of its own": len(own), **{key: own[0][key] for key in list(own[0])[1:]}}


def _processor(processes: list[psutil.Process]) -> float:
    told = [process.cpu_times() for process in processes if process.is_running()]
    return float(sum(one.user + one.system for one in told))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawls", type=int, default=200)
    parser.add_argument("--recipes", type=int, default=30)
    parser.add_argument("--times", type=int, default=5, help="that each question is asked")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "ui_speed.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
