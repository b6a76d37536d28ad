"""What assets are given: the store with its crawls and settings, and a way to show progress."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pydantic

from assets.settings import Settings, recorded_settings
from pipeline.engine import Workers
from pipeline.stages.listing import Crawl
from pipeline.storage.artifacts import Store
from pipeline.storage.documents import change_document, read_document


class StoreResource(dg.ConfigurableResource[Store]):
    """The store all assets read and write, with the crawls and settings that `winnow run` recorded there."""

    root: str

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - the signature is Dagster's
        """Before each step: learn what other machines have published since."""
        self.open().pull()

    def open(self) -> Store:
        """The store itself."""
        return Store(Path(self.root))

    def settings(self) -> Settings:
        """The settings of the last `winnow run` over this store, or the defaults."""
        return recorded_settings(self.open())

    def workers(self) -> Workers:
        """Who works at the shards of the data stages, as the settings say."""
        return workers_of(self.open(), self.settings())

    def crawls(self) -> list[str]:
        """The names of the crawls the store knows.

        Raises:
            LookupError: it knows none.
        """
        names = sorted(recorded_crawls(self.open()))
        if not names:
            raise LookupError(
                f"the store {self.root} knows no crawl: add one with `winnow run CRAWL --store {self.root}`"
            )
        return names

    def crawl(self, name: str) -> Crawl:
        """Where a crawl lies and how it is read.

        Raises:
            LookupError: the store does not know it.
        """
        known = recorded_crawls(self.open())
        if name not in known:
            raise LookupError(f"the store {self.root} knows no crawl {name!r}; it knows {', '.join(known) or 'none'}")
        return known[name]


def workers_of(store: Store, settings: Settings) -> Workers:
    """Who works at the shards of the data stages of a store: threads, or a cluster that sees the store as we do."""
    run = settings.run
    if run.engine == "local":
        return run.workers
    from pipeline.ray_cluster import RayCluster  # noqa: PLC0415 - Ray is optional

    return RayCluster(run.ray_address, run.workers, store.root / "scratch")


def recorded_crawls(store: Store) -> dict[str, Crawl]:
    """Every crawl that was ever added, by name."""
    return pydantic.TypeAdapter(dict[str, Crawl]).validate_python(read_document(store.root, "crawls", {}))


def record(store: Store, settings: Settings, crawls: Iterable[Crawl]) -> None:
    """Keep settings and crawls with the store, so that the UI drives the same graph as the command line."""
    told = {crawl.name: dataclasses.asdict(crawl) for crawl in crawls}
    change_document(store.root, "settings", {}, lambda _: dataclasses.asdict(settings))
    change_document(store.root, "crawls", {}, lambda known: known | told)


def forget(store: Store, crawl: str) -> None:
    """Take a crawl out of those the store knows."""
    change_document(store.root, "crawls", {}, lambda known: {name: one for name, one in known.items() if name != crawl})
