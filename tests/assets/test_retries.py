"""Two who write one partition: one wins, the other says so, waits and finds it made. What lasts is not tried again."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.command_runs import command_tags
from assets.crawls import listing
from assets.partitions import CRAWLS
from assets.progress import LogProgress
from assets.resources import StoreResource, record
from assets.retries import TRIES, patient
from assets.settings import Settings
from pipeline.stages.listing import Crawl
from pipeline.storage.artifacts import Store
from pipeline.storage.locks import exclusive
from pipeline.storage.room import NoRoomError
from tests.crawl.pictures import encoded, photo
from tests.crawl.tiny import write

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that Dagster would have waited between two tries; now it waits none."""
    asked: list[float] = []
    real = dg.RetryRequested

    def requested(*, max_retries: int, seconds_to_wait: float) -> dg.RetryRequested:
        asked.append(seconds_to_wait)
        return real(max_retries=max_retries, seconds_to_wait=0)

    monkeypatch.setattr("assets.retries.dg.RetryRequested", requested)
    return asked


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that knows a crawl of one picture."""
    folder = write(tmp_path / "shop", {"shoe/a.jpg": encoded(photo(1, 40, 40), "JPEG")})
    store = Store(tmp_path / "store")
    record(store, Settings(), [Crawl("shop", str(folder), Settings().crawl)])
    return store


def run(store: Store, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(CRAWLS.name), ["shop"])
        return dg.materialize(
            [listing],
            instance=instance,
            partition_key="shop",
            resources={"store": StoreResource(root=str(store.root)), "progress": LogProgress()},
            raise_on_error=False,
            run_config=QUIET,
            tags=tags,
        )


def failure(done: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in done.all_events if event.is_step_failure]
    return str(event.step_failure_data.error_display_string)


def test_the_loser_of_a_partition_says_who_writes_it(store: Store, waits: list[float]) -> None:
    with exclusive(store.root / "locks" / "listing.shop.lock"):
        done = run(store)
    assert not done.success
    assert "listing.shop is being written by process" in failure(done)
    assert waits == [30, 60, 120, 240, 480, 960]  # the last is asked for in vain
    assert len([event for event in done.all_events if event.is_step_up_for_retry]) == TRIES
    assert store.partitions("listing") == []


def test_once_the_winner_is_done_the_loser_finds_it_made(
    store: Store, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = Store.make, []

    def make(self: Store, *what: str, **how: object) -> object:
        """The first time somebody else has the lock, and makes it before the second."""
        asked.append(what)
        if len(asked) > 1:
            return real(self, *what, **how)  # type: ignore[arg-type]
        with exclusive(self.root / "locks" / "listing.shop.lock"):
            return real(self, *what, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "make", make)
    assert run(store).success
    assert waits == [30]


def test_in_a_terminal_it_is_told_at_once(store: Store, waits: list[float]) -> None:
    with exclusive(store.root / "locks" / "listing.shop.lock"):
        done = run(store, tags=command_tags([]))
    assert "is being written by process" in failure(done)
    assert waits == []


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (OSError("the bucket answered 503"), TRIES),
        (FileNotFoundError("gone"), 0),
        (PermissionError("not yours"), 0),
        (NoRoomError("the disk is full"), 0),
        (ValueError("bad data"), 0),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("several", [False, True])
def test_only_what_passes_is_tried_again(error: Exception, tries: int, several: bool) -> None:
    def one() -> Iterator[dg.MaterializeResult[None]]:
        yield _raised(error)

    def whole() -> dg.MaterializeResult[None]:
        return _raised(error)

    compute = dg.asset(patient(one if several else whole))
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([compute], instance=instance, raise_on_error=False, run_config=QUIET)
    assert str(error) in failure(done)
    assert len([event for event in done.all_events if event.is_step_up_for_retry]) == tries


def _raised(error: Exception) -> dg.MaterializeResult[None]:
    raise error
