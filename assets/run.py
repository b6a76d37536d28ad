"""`winnow run`: the graph of the UI, materialised in this process, partition by partition."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from rich.console import Console

from assets.definitions import defs
from assets.partitions import CRAWLS
from assets.progress import ProgressReporter, TerminalProgress
from assets.resources import StoreResource, forget, record
from assets.settings import Settings
from pipeline.stages.listing import Crawl, crawl_name
from pipeline.stages.report import report_page
from pipeline.storage.artifacts import Store

HOME = "dagster"  # Dagster's own records, inside the store


@contextmanager
def dagster_instance(store: Store) -> Iterator[dg.DagsterInstance]:
    """The instance that the command line and the UI share over one store."""
    home = (store.root / HOME).resolve()
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        settings.write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    os.environ["DAGSTER_HOME"] = str(home)
    with dg.DagsterInstance.get() as instance:
        yield instance


def run_crawls(store: Store, settings: Settings, addresses: Sequence[str], console: Console) -> None:
    """`winnow run`: every stage over every crawl, then what was computed and where to look."""
    started, before = time.time(), len(store.work())
    whole = [at if "://" in at else str(Path(at).resolve()) for at in addresses]
    crawls = [Crawl(name=crawl_name(at), address=at, settings=settings.crawl) for at in whole]
    page = run_graph(store, settings, crawls, TerminalProgress(console))
    made, seconds = len(store.work()) - before, time.time() - started
    console.print(f"{made} stages computed in {seconds:.0f} s; everything else stood from before", highlight=False)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)


def run_graph(store: Store, settings: Settings, crawls: Iterable[Crawl], progress: ProgressReporter) -> Path:
    """Materialise everything the settings ask for and return the report; what is made under the same identity is kept.

    Raises:
        BusyError: another process writes the same store.
        ValueError, RuntimeError: a stage failed; its own message says what to do.
    """
    record(store, settings, crawls)
    resource = StoreResource(root=str(store.root))
    with dagster_instance(store) as instance:
        known = resource.crawls()
        instance.add_dynamic_partitions(str(CRAWLS.name), known)
        run = _Runner(instance, resource, progress)
        for crawl in known:
            run.listing(crawl)
            run.assets(["images"], crawl)
        run.assets(["baseline_manifest", "baseline_model"])
        for crawl in known:
            run.assets(["features"], crawl)
        run.assets(["evidence_kmeans"])
        for recipe in settings.recipes:
            run.assets(["manifest", "model", "predictions"], recipe)
        run.assets(["summary", "report"])
    return report_page(store)


def make_results(store: Store, progress: ProgressReporter) -> Path:
    """Bring summary and report up to date with what the store holds, and return the report."""
    with dagster_instance(store) as instance:
        _Runner(instance, StoreResource(root=str(store.root)), progress).assets(["summary", "report"])
    return report_page(store)


class _Runner:
    """Materialises some assets of the graph in this process."""

    def __init__(self, instance: dg.DagsterInstance, store: StoreResource, progress: ProgressReporter) -> None:
        self.instance = instance
        self.store = store
        self.resources = {"store": store, "progress": progress}

    def listing(self, crawl: str) -> None:
        """List a crawl; one that cannot be read at all is not kept with the store, where it would block later runs."""
        store = self.store.open()
        try:
            self.assets(["listing"], crawl)
        except (ValueError, OSError):  # refused, or out of reach
            if crawl not in store.partitions("listing"):
                forget(store, crawl)
                self.instance.delete_dynamic_partition(str(CRAWLS.name), crawl)
            raise

    def assets(self, names: list[str], partition: str | None = None) -> None:
        try:
            dg.materialize(
                [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)],
                selection=dg.AssetSelection.assets(*names),
                instance=self.instance,
                resources=self.resources,
                partition_key=partition,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # the error itself is told
            )
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
