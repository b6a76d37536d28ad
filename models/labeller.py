"""A trained model, or several and how they are combined, as one thing that names pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.encode import Encoder, load_encoder
from models.gang import Gang
from models.trained import Trained
from pipeline.crawl.decode import DecodeSettings
from pipeline.crawl.pictures import Pictures, read_pictures
from pipeline.crawl.worker import FIRST_DEFECT
from pipeline.crawl.workers import Results
from pipeline.records import DEFECTS
from pipeline.result_tables import GUESSES, LABELLED


@dataclass(frozen=True)
class Labeller:
    """Networks on a device, and what their logits mean."""

    encoders: tuple[Encoder, ...]
    trained: Trained

    @property
    def image_size(self) -> int:
        """Pixels of a side of the pictures it is given."""
        return self.encoders[0].specification.image_size

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
        """(n, C) of pictures [n, S, S, 3], as they are stored for a crawl's."""
        rows = np.arange(len(pixels))
        said = np.stack([each.apply(pixels, rows, ("logits",), lambda _: None)["logits"] for each in self.encoders])
        combine = self.trained.combine
        return said[0] if combine is None else combine(said)


def load_labeller(trained: Trained, gang: Gang) -> Labeller:
    """The networks on this process's device.

    Raises:
        ValueError: they are of other classes or another size of pictures than each other, or weights do not fit.
    """
    encoders = tuple(load_encoder(folder, gang) for folder in trained.networks)
    told = {(each.specification.image_size, len(trained.classes)) for each in encoders}
    known = {(each.specification.image_size, getattr(each.specification, "classes", 0)) for each in encoders}
    if len(known) != 1 or known != told:
        raise ValueError(
            f"{trained.name}: networks of {known} (pixels a side, classes), of {len(trained.classes)} classes"
        )
    return Labeller(encoders, trained)


def label_pictures(
    labeller: Labeller, places: Sequence[Pictures], settings: DecodeSettings, workers: int
) -> Iterator[pa.Table]:
    """LABELLED of everything that lies at some places, a few hundred files at a time, in their order.

    Args:
        labeller: what names them.
        places: where they lie.
        settings: as the crawl's pictures were decoded; their size is the labeller's.
        workers: decoding processes, at least 1.
    """
    fitting = replace(settings, image_size=labeller.image_size)
    for paths, results in read_pictures(places, fitting, workers):
        yield _table(labeller, paths, results)


def _table(labeller: Labeller, paths: Sequence[str], results: Results) -> pa.Table:
    usable = np.flatnonzero(results.usable)
    state = results.rows["state"]
    reasons = np.array([*[None] * FIRST_DEFECT, *DEFECTS], object)[state]
    details = [text.decode(errors="ignore") or None for text in results.rows["detail"].tolist()]
    columns: dict[str, Any] = {"path": [_readable(path) for path in paths], "reason": reasons, "detail": details}
    classes, probability = best_guesses(labeller.logits(results.pixels[usable]))
    for place in range(GUESSES):
        told = np.full(len(paths), None, object), np.full(len(paths), None, object), np.full(len(paths), np.nan)
        if place < classes.shape[1]:
            labels = [labeller.trained.classes[index] for index in classes[:, place].tolist()]
            told[0][usable] = [label.wnid for label in labels]
            told[1][usable] = [label.name for label in labels]
            told[2][usable] = probability[:, place]
        columns[f"wnid_{place + 1}"], columns[f"name_{place + 1}"] = told[0], told[1]
        columns[f"probability_{place + 1}"] = pa.array(told[2], pa.float32(), from_pandas=True)
    return pa.table(columns, schema=LABELLED)


def best_guesses(
    logits: npt.NDArray[np.floating[Any]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The likeliest classes (n, k) of logits (n, C), equal ones in class order, and their probabilities (n, k)."""
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    chance = np.exp(values)
    chance /= chance.sum(axis=1, keepdims=True)
    order = np.argsort(-values, axis=1, kind="stable")[:, :GUESSES]
    return order, np.take_along_axis(chance, order, axis=1)


def _readable(path: str) -> str:
    """A path as text: what is no Unicode in a file's name becomes a question mark."""
    return path.encode("utf-8", "replace").decode()
