"""A run that cannot fit is refused before its pictures are read; one that is made already never is."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from assets.room import needed_bytes, require_room
from assets.settings import Settings
from pipeline.storage.artifacts import Store
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.room import NoRoomError


def told(**facts: int) -> Callable[[Draft], Facts]:
    return lambda _: dict(facts)


def test_what_is_needed_is_counted_by_hand() -> None:
    settings = Settings(recipes=("baseline", "kmeans-size"))
    side = settings.images.image_size
    assert needed_bytes(10, settings) == 10 * (3 * side * side + 4096 + 800 + 60)


def test_a_run_that_cannot_fit_is_refused_until_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, settings = Store(tmp_path), Settings()
    store.make("listing", "a", "l", told(listed=1000))
    free = needed_bytes(1000, settings) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(NoRoomError, match=rf"1,000 new images needs about {free + 1:,} bytes and {free:,} are free"):
        require_room(store, settings)
    store.make("images", "a", "i", told(listed=1000))
    require_room(store, settings)
    store.make("listing", "a", "l2", told(listed=1001))  # the crawl has grown: its pictures are read anew
    with pytest.raises(NoRoomError, match="1,001 new images"):
        require_room(store, settings)
