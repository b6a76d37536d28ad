"""The report's maps of a class, one for each evidence that colours it."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.report import maps
from pipeline.report.choice import sample
from pipeline.report.class_view import LEVELS, ClassView, level_name
from pipeline.report.page import Chart
from pipeline.stages.report_charts import chart_of
from pipeline.stages.report_gallery import Gallery

FIFTHS: Final = ("below 20%", "20 to 40%", "40 to 60%", "60 to 80%", "80% and more")


def class_maps(view: ClassView, gallery: Gallery) -> tuple[Chart, ...]:
    """The class in two dimensions, coloured by what each source says; nothing where no features are left.

    Only the features of the images shown are read.
    """
    if gallery.features is None or not view.has_any(*_COLOURED):
        return ()
    rows = sample(np.arange(len(view.image_id)), view.image_id, gallery.settings.points)
    at = view.position[rows]
    place = maps.project(gallery.features.gather(gallery.population.shard[at], gallery.population.row[at]))
    shown = f"{len(rows):,} of " if len(rows) < len(view.image_id) else ""
    return tuple(
        chart_of(
            maps.draw_map(place, colour(view.columns[column][rows])),
            f"{words} ({shown}{len(view.image_id):,} images)",
        )
        for column, (words, colour) in _COLOURED.items()
        if view.has(column)
    )


def _by_level(level: npt.NDArray[Any]) -> list[maps.Marks]:
    return maps.levelled(level, [level_name(k) for k in range(max(len(LEVELS), int(level.max(initial=0)) + 1))])


def _by_fifths(share: npt.NDArray[Any]) -> list[maps.Marks]:
    return maps.graded(share, (0.2, 0.4, 0.6, 0.8), FIFTHS)


_COLOURED: Final[dict[str, tuple[str, Callable[[npt.NDArray[Any]], Sequence[maps.Marks]]]]] = {
    "agreement": ("Neighbours with the same label", _by_fifths),
    "confidence": ("A model's belief in the label", _by_fifths),
    "density_level": ("Density level", _by_level),
}
