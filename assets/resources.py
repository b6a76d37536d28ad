"""What assets are given: the store with its crawls and settings, and a way to show progress."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pydantic

from assets.settings import Settings, recorded_settings
from pipeline.stages.listing import Crawl
from pipeline.storage.artifacts import Store


class StoreResource(dg.ConfigurableResource[Store]):
    """The store all assets read and write, with the crawls and settings that `winnow run` recorded there."""

    root: str

    def open(self) -> Store:
        """The store itself."""
        return Store(Path(self.root))

    def settings(self) -> Settings:
        """The settings of the last `winnow run` over this store, or the defaults."""
        return recorded_settings(self.open())

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


def recorded_crawls(store: Store) -> dict[str, Crawl]:
    """Every crawl that was ever added, by name."""
    return pydantic.TypeAdapter(dict[str, Crawl]).validate_python(store.read_document("crawls", {}))


def record(store: Store, settings: Settings, crawls: Iterable[Crawl]) -> None:
    """Keep settings and crawls with the store, so that the UI drives the same graph as the command line."""
    store.write_document("settings", dataclasses.asdict(settings))
    known = recorded_crawls(store) | {crawl.name: crawl for crawl in crawls}
    store.write_document("crawls", {name: dataclasses.asdict(crawl) for name, crawl in known.items()})


def forget(store: Store, crawl: str) -> None:
    """Take a crawl out of those the store knows."""
    known = {name: dataclasses.asdict(one) for name, one in recorded_crawls(store).items() if name != crawl}
    store.write_document("crawls", known)
