"""Dagster's daemon and webserver killed while a run of theirs is under way, set up as `deploy/` does on one machine."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import dagster as dg
import numpy as np

from benchmarks.faults.runs import ROOT, prepare, start, told
from benchmarks.faults.stops import check_bytes
from benchmarks.faults.tally import Tally, hold
from pipeline.storage.artifacts import Store
from pipeline.storage.verify import verify

RECIPE: Final = "kmeans-size"
STAGES: Final = ("manifest", "model")
#: Who is killed: of which service, and whether with all that it started, as systemd does.
VICTIMS: Final = {
    "kill -9 of Dagster's webserver": ("webserver", False),
    "kill -9 of Dagster's daemon": ("daemon", False),
    "kill -9 of Dagster's daemon and all it started": ("daemon", True),
}
WITHIN: Final = 30.0  # seconds after a run was asked for; on a quiet machine it takes some 25
PATIENCE: Final = 600.0
_LAUNCH: Final = """mutation ($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""


@dataclass
class Services:
    """Webserver and daemon over one store."""

    store: Path
    port: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)  # of processes, of all that was started

    def start(self, name: str) -> None:
        """Start one of them, as its unit does."""
        more = ["-h", "127.0.0.1", "-p", str(self.port)] if name == "webserver" else ["run"]
        home = str(self.store / "dagster")
        self.running[name] = subprocess.Popen(
            [str(Path(sys.executable).with_name(f"dagster-{name}")), *more, "-m", "assets.definitions"],
            cwd=self.store.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), "DAGSTER_HOME": home, "WINNOW_STORE": str(self.store)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.groups.append(self.running[name].pid)

    def end(self) -> None:
        """Kill all that is left of them, what outlived its parent too."""
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        for process in self.running.values():
            process.wait()

    def kill(self, name: str, *, everything: bool = False) -> None:
        """Kill one of them, alone or with all that it started."""
        process = self.running.pop(name)
        if everything:
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()

    def launch(self) -> str:
        """Ask the webserver for the manifest and the model of a recipe, as its page does; the id of the run."""
        params = {
            "selector": {
                "repositoryLocationName": "assets.definitions",
                "repositoryName": "__repository__",
                "jobName": "__ASSET_JOB",
                "assetSelection": [{"path": [name]} for name in STAGES],
            },
            "runConfigData": "{}",
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": RECIPE}]},
        }
        answer = self.ask(_LAUNCH, {"params": params})["launchPipelineExecution"]
        hold(answer["__typename"] == "LaunchRunSuccess", f"the webserver refused the run: {answer}")
        return str(answer["run"]["runId"])

    def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """What the webserver answers to a question in GraphQL."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310
            found: dict[str, Any] = json.load(reply)["data"]
        return found

    def answers(self) -> bool:
        """Whether the webserver does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/server_info", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


def service_kills(work: Path, tries: int, seed: int) -> Iterator[Tally]:
    """Each killed at a random moment of a run and started again, as its unit is; the run ends as if undisturbed."""
    prepare(work)
    start(work, "whole").wait()
    shutil.copy(ROOT / "deploy" / "one-machine" / "dagster.yaml", work / "whole" / "dagster")
    whole = told(Store(work / "whole"))
    rng = np.random.default_rng([seed, 60])
    for fault, (name, everything) in VICTIMS.items():
        tally = Tally(fault)
        for _ in range(tries):
            after = float(rng.uniform(0, WITHIN))
            with tally.attempt(f"{after:.1f} s"):
                services = Services(_without_model(work), free_port())
                try:
                    _one_kill(services, name, everything, after, tally)
                finally:
                    services.end()
                check_bytes(told(Store(services.store)), whole)
        yield tally


def _one_kill(services: Services, name: str, everything: bool, after: float, tally: Tally) -> None:
    services.start("webserver")
    services.start("daemon")
    until(services.answers, "the webserver answers")
    run = services.launch()
    time.sleep(after)
    services.kill(name, everything=everything)
    damage = verify(Store(services.store), workers=1)
    hold(not damage, f"what stands after the kill is damaged: {damage[:1]}")
    services.start(name)
    tally.timed(lambda: until(lambda: _ended(services.store, run), "the run, or the one in its place, succeeds"))
    until(services.answers, "the webserver answers again")


def _ended(store: Path, run: str) -> bool:
    """Whether a run or one that was started in its place has succeeded, and none of them is left."""
    os.environ["DAGSTER_HOME"] = str(store / "dagster")  # as its settings say
    with dg.DagsterInstance.get() as instance:
        own = [each for each in instance.get_runs() if run in {each.run_id, each.root_run_id}]
    return all(each.is_finished for each in own) and any(each.is_success for each in own)


def _without_model(work: Path) -> Path:
    """The store as it was before manifest and model of the recipe were made."""
    store = work / "services" / "store"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(work / "whole", store)
    for folder in ("artifacts", "current"):
        for stage in STAGES:
            for path in (store / folder / stage).glob(f"{RECIPE}*"):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
    return store


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something; raises Lost after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        hold(time.monotonic() < deadline, f"after {PATIENCE:.0f} s still not: {what}")
        time.sleep(1)


def free_port() -> int:
    """A port of the loopback that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
