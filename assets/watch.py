"""`winnow watch`: deliveries taken as they come, and everything up to the manifests made from what is taken."""

import dataclasses
import time
from pathlib import Path

from rich.console import Console

from assets.deliveries import judge, told
from assets.progress import ProgressReporter, TerminalProgress
from assets.resources import recorded_crawls
from assets.run import make_manifests
from assets.settings import DeliverySettings, Settings
from pipeline.stages.deliveries import due, find_deliveries, recorded_deliveries
from pipeline.storage.artifacts import Store


def watch(store: Store, settings: Settings, folder: str, console: Console, *, every: int) -> None:
    """Look for deliveries, once (`every` 0) or every so many seconds until it is stopped.

    A look that takes nothing still finishes what an earlier one left unfinished.
    """
    address = folder if "://" in folder else str(Path(folder).resolve())
    settings = dataclasses.replace(settings, deliveries=DeliverySettings(folder=address))
    progress = TerminalProgress(console)
    look(store, settings, progress)
    while every:
        time.sleep(every)
        if due(store, find_deliveries(address)):
            look(store, settings, progress)


def look(store: Store, settings: Settings, progress: ProgressReporter) -> list[str]:
    """Judge the deliveries that are due, then make evidence and manifests of all that counts; the crawls taken.

    Nothing is made before the crawls are there that evidence is to be fitted on.
    """
    taken = []
    for one in due(store, find_deliveries(settings.deliveries.folder or "")):
        with progress.track(f"delivery {one.crawl}", None, lambda _: None) as advance:
            row = judge(store, settings, one, advance)
        progress.say(told(row))
        taken += [one.crawl] if row["taken"] else []
    waited_for = sorted(set(settings.evidence.fitted_on) - set(recorded_crawls(store)))
    if waited_for:
        progress.say(f"evidence waits for {', '.join(waited_for)}, which evidence.fitted_on names: not delivered yet")
    elif any(row["taken"] for row in recorded_deliveries(store)):
        make_manifests(store, settings, taken, progress)
    return taken
