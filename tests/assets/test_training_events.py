"""What the UI is told while a network trains."""

import base64
import re
from typing import Any, cast

import dagster as dg

from assets.training import _listener


class Heard:
    """As much of a step's context as the listener speaks to."""

    asset_key = dg.AssetKey("model")
    has_partition_key = True
    partition_key = "kmeans-size"

    def __init__(self) -> None:
        self.told: list[dg.AssetObservation] = []

    def log_event(self, event: dg.AssetObservation) -> None:
        self.told.append(event)


def points_of(event: dg.AssetObservation) -> list[str]:
    """The points of the curve that is shown."""
    text = str(event.metadata["curve"].value)
    drawn = base64.b64decode(text.rpartition(",")[2].rstrip(")")).decode()
    return re.findall(r"[\d.]+,[\d.]+", re.findall(r'points="([^"]*)"', drawn)[0])


def test_every_epoch_brings_its_figures_and_the_curve_so_far() -> None:
    heard = Heard()
    hear = _listener(cast("dg.AssetExecutionContext", heard), "training kmeans-size", lambda _: None)
    rows: list[dict[str, Any]] = [{"epoch": number, "loss": loss} for number, loss in ((1, 2.5), (2, 1.25))]
    for row in rows:
        hear({"event": "epoch", "val_top1": None, **row})
    first, second = heard.told
    assert second.partition == "kmeans-size"
    assert {name: second.metadata[name].value for name in ("epoch", "loss")} == rows[1]
    assert "val_top1" not in second.metadata
    assert [len(points_of(event)) for event in (first, second)] == [1, 2]
