"""How each stage grows: what of a crawl its seconds are proportional to, once its constant part is paid."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.evidence.cells import CELL_IMAGES, GROUPS_ASKED, cell_count, group_count
from pipeline.planning.figures import Asked, CrawlFigures, Rates
from pipeline.stages.neighbour_layout import ASKING_ROWS, QUERY_ROWS
from pipeline.stages.neighbour_search import MOST_CANDIDATES

Rows = Callable[[CrawlFigures], float]
IN_CLASS: Final = ("kmeans", "density", "hdbscan")
HDBSCAN_PAIR_BYTES: Final = 8  # of memory for each pair of a class's images: 0.2 GB at 5,000 images
VECTOR_BYTES: Final = 14  # of memory for each number of a class's features: as stored, widened, and lifted
MB: Final = 1e6

#: stage -> what its seconds and bytes grow with; networks, and what is measured in a class, have laws of their own
ROWS: Final[Mapping[str, Rows]] = {
    "images": lambda crawl: crawl.images,
    "evidence-duplicates": lambda crawl: crawl.images,
    "manifest": lambda crawl: crawl.images,
    "evidence-aum": lambda crawl: crawl.train,
    "evidence-rank": lambda crawl: crawl.train,
    **{f"evidence-{kind}": lambda crawl: crawl.train for kind in IN_CLASS},
    "evidence-neighbours": lambda crawl: crawl.train,
    "evidence-opinion": lambda crawl: crawl.train,
    "evidence-confusion": lambda crawl: crawl.train,
    "texts": lambda crawl: crawl.train,
    "evidence-keyword": lambda crawl: crawl.train,
    "text-vectors": lambda crawl: crawl.train,
    "evidence-semantic": lambda crawl: crawl.train,
    "settled": lambda crawl: crawl.images,
    "evidence-fused": lambda crawl: crawl.train,
    "evidence": lambda crawl: crawl.train,
    "summary": lambda crawl: crawl.clean,
    "report": lambda crawl: sum(size > 0 for size in crawl.class_sizes),  # a page, and so many pictures, for each
}


def seconds_in_class(
    steps: Sequence[tuple[int, float]], sizes: npt.NDArray[np.integer[Any]], square: int
) -> npt.NDArray[np.float64]:
    """(C,) seconds of one worker for classes of some sizes: what was measured, joined by lines on logarithmic axes.

    Beyond the largest measured size a class costs as the square of its images, up to `square` images, and from there
    on as their number: only so many are compared with each other. Below the smallest it costs what the smallest does.

    Args:
        steps: (images, seconds), ascending.
        sizes: (C,) images of each class.
        square: images from which on the cost is linear.
    """
    images, seconds = (np.array(column, np.float64) for column in zip(*steps, strict=True))
    own = np.asarray(sizes, np.float64).clip(min=1)
    inside = np.exp(np.interp(np.log(own), np.log(images), np.log(seconds)))
    last, most = images[-1], max(images[-1], float(square))
    beyond = seconds[-1] * (np.clip(own, last, most) / last) ** 2 * np.maximum(own / most, 1)
    return np.where(np.asarray(sizes) > 0, np.where(own <= last, inside, beyond), 0.0)


def neighbour_products(train: int, asked: Asked) -> float:
    """Products of two feature vectors that the search for neighbours makes.

    All pairs up to `exact_images`; above, each image with the centres of all groups, with those of the cells in the
    groups that it asks for, and with what lies in the cells that it asks for, none of them out of reach.
    """
    if train <= asked.exact_images:
        return float(train) ** 2
    cells = cell_count(train)
    groups = group_count(cells)
    return float(train * (groups + GROUPS_ASKED * cells / groups + min(MOST_CANDIDATES, asked.probes * CELL_IMAGES)))


def memory_mb(stage: str, crawl: CrawlFigures, rates: Rates, asked: Asked, workers: int) -> float:
    """Peak memory of a stage: the sample's, and what is known to grow beyond it.

    In a class grow a worker's features and HDBSCAN's pairs of them; in the search for neighbours a block of queries,
    with what it is compared with. Columns of all images lie on the disk.
    """
    measured, d = rates.memory_mb.get(stage, 0.0), rates.features
    kind = stage.removeprefix("evidence-")
    if kind in IN_CLASS:
        pairs = min(crawl.largest_class, asked.square) ** 2 * HDBSCAN_PAIR_BYTES
        return measured + workers * (crawl.largest_class * d * VECTOR_BYTES + pairs) / MB
    if stage == "evidence-neighbours":
        if crawl.train <= asked.exact_images:
            return measured + workers * crawl.train * (6 * d + 4 * QUERY_ROWS) / MB
        return measured + workers * ASKING_ROWS * 4 * (2 * d + MOST_CANDIDATES) / MB
    return measured
