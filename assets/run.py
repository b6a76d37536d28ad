"""`winnow run`: the graph of the UI, materialised in this process, partition by partition."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from rich.console import Console

from assets.command_runs import command_tags, end_lost_runs
from assets.definitions import defs
from assets.ensembles import member_names
from assets.evidence import IN_CLASS
from assets.held_open import held_open
from assets.no_values import NoValues
from assets.outcome import outcome
from assets.partitions import CRAWLS, tell_recipes
from assets.progress import ProgressReporter, TerminalProgress
from assets.recipes import recipe_named, teachers_first
from assets.resources import StoreResource, forget, record, recorded_crawls
from assets.room import require_room
from assets.settings import Settings, recorded_settings
from assets.tricks import chain_line
from pipeline.stages.listing import Crawl, crawl_name
from pipeline.stages.report import report_page
from pipeline.stages.standing import refuse_unknown
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
    with held_open(home), dg.DagsterInstance.get() as instance:
        end_lost_runs(instance)
        yield instance


def run_crawls(store: Store, settings: Settings, addresses: Sequence[str], console: Console) -> None:
    """`winnow run`: every stage over every crawl, then what was computed and where to look."""
    with _told(store, console):
        page = run_graph(store, settings, crawls_at(addresses, settings), TerminalProgress(console))
    for line in filter(None, (outcome(store), chain_line(store), f"report: {page}")):
        console.print(line, highlight=False, soft_wrap=True)


def gather_evidence(store: Store, settings: Settings, addresses: Sequence[str], console: Console) -> None:
    """`winnow evidence`: everything that is known of each image, without training the recipes."""
    progress = TerminalProgress(console)
    with _told(store, console), _runner(store, settings, crawls_at(addresses, settings), progress) as run:
        run.evidence(settings)
        run.assets(["summary", "report"])
    folder = store.current("evidence").table("evidence")
    console.print(f"evidence: {folder}\nreport: {report_page(store)}", highlight=False, soft_wrap=True)


def crawls_at(addresses: Sequence[str], settings: Settings) -> list[Crawl]:
    """The crawls that lie at some addresses, each under the name its address gives it."""
    whole = [at if "://" in at else str(Path(at).resolve()) for at in addresses]
    return [Crawl(name=crawl_name(at), address=at, settings=settings.crawl) for at in whole]


@contextmanager
def _told(store: Store, console: Console) -> Iterator[None]:
    started, before = time.time(), len(store.work())
    yield
    made, seconds = len(store.work()) - before, time.time() - started
    console.print(f"{made} stages computed in {seconds:.0f} s; everything else stood from before", highlight=False)


def run_graph(store: Store, settings: Settings, crawls: Sequence[Crawl], progress: ProgressReporter) -> Path:
    """Materialise everything the settings ask for and return the report; what is made under the same identity is kept.

    Raises:
        BusyError: another process writes the same store.
        ValueError, RuntimeError: a stage failed; its own message says what to do.
    """
    with _runner(store, settings, crawls, progress) as run:
        run.everything(settings, settings.recipes)
    return report_page(store)


def make_manifests(store: Store, settings: Settings, read: Sequence[str], progress: ProgressReporter) -> None:
    """Evidence and manifests of all crawls of the store, of which only those in `read` are looked at again."""
    with _runner(store, settings, [], progress) as run:
        run.evidence(settings, read)
        for recipe in settings.recipes:
            run.assets(["manifest"], recipe)


def make_again(store: Store, wanted: Set[tuple[str, str | None]], progress: ProgressReporter) -> None:
    """Materialise some assets, each with its partition, in the order of the graph and with the last run's settings."""
    settings = recorded_settings(store)
    known = settings.known_recipes()
    with dagster_instance(store) as instance:
        tell_recipes(instance, known)
        run = _Runner(instance, StoreResource(root=str(store.root)), progress, wanted)
        run.everything(settings, [partition for _, partition in sorted(wanted, key=str) if partition in known])


@contextmanager
def _runner(
    store: Store, settings: Settings, crawls: Sequence[Crawl], progress: ProgressReporter
) -> Iterator["_Runner"]:
    known = sorted({*recorded_crawls(store), *(crawl.name for crawl in crawls)})
    refuse_unknown(known, settings.evidence.fitted_on)  # before hours of decoding
    record(store, settings, crawls)
    resource = StoreResource(root=str(store.root))
    with dagster_instance(store) as instance:
        instance.add_dynamic_partitions(str(CRAWLS.name), resource.crawls())
        tell_recipes(instance, settings.known_recipes())
        yield _Runner(instance, resource, progress)


def make_results(store: Store, progress: ProgressReporter) -> Path:
    """Bring summary and report up to date with what the store holds, and return the report."""
    with dagster_instance(store) as instance:
        _Runner(instance, StoreResource(root=str(store.root)), progress).assets(["summary", "report"])
    return report_page(store)


def make_manifest_of(store: Store, recipe: str, progress: ProgressReporter) -> None:
    """Bring one recipe's manifest up to date with the evidence; nothing is trained.

    Raises:
        ValueError: there is no such recipe.
        LookupError: the store knows no crawl, or lacks evidence that the recipe reads.
    """
    resource = StoreResource(root=str(store.root))
    resource.crawls()  # before anything is written to what may be no store
    known = resource.settings().known_recipes()
    recipe_named(recipe, known)
    with dagster_instance(store) as instance:
        tell_recipes(instance, known)
        run = _Runner(instance, resource, progress)
        run.assets(["settled"])
        run.assets(["manifest"], recipe)


class _Runner:
    """Materialises some assets of the graph in this process."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        store: StoreResource,
        progress: ProgressReporter,
        only: Set[tuple[str, str | None]] | None = None,
    ) -> None:
        """Of what is asked for later, `only` these assets and partitions are materialised; all, if None."""
        self.only = only
        self.instance = instance
        self.store = store
        self.resources = {"store": store, "progress": progress, "io_manager": NoValues()}

    def everything(self, settings: Settings, recipes: Iterable[str]) -> None:
        """The whole graph, with these recipes and their teachers."""
        self.evidence(settings)
        for recipe in teachers_first(recipes, settings.known_recipes()):
            self.assets(["manifest", "model", "predictions"], recipe)
        several = len(member_names(settings, settings.seeds[0])) > 1
        self.assets([*(["ensembles"] if several else []), "summary", "report"])

    def evidence(self, settings: Settings, read: Sequence[str] | None = None) -> None:
        """Everything up to the wide view of the evidence; only the crawls in `read`, or all, are looked at again."""
        crawls = self.store.crawls()
        looked_at = crawls if read is None else read
        for crawl in looked_at:
            self.listing(crawl)
        require_room(self.store.open(), settings)
        for crawl in looked_at:
            self.assets(["images"], crawl)
        self.assets(["evidence_duplicates", "baseline_manifest", "baseline_model", "evidence_aum"])
        for crawl in crawls:
            self.assets(["features"], crawl)
        alone = ("neighbours", "opinion", "confusion", "keyword", "semantic", "fused")
        every = ["evidence_rank", *(f"evidence_{name}" for name in (*IN_CLASS, *alone)), "settled", "evidence"]
        self.assets(every)  # one run: each costs Dagster some half a second

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
        if self.only is not None:
            names = [name for name in names if (name, partition) in self.only]
        if not names:
            return
        try:
            dg.materialize(
                [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)],
                selection=dg.AssetSelection.assets(*names),
                instance=self.instance,
                resources=self.resources,
                partition_key=partition,
                tags=command_tags(names),
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # the error itself is told
            )
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
