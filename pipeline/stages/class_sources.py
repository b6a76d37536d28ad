"""The kinds of evidence measured inside one class, as the one pass over the classes wants them."""

from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.evidence.density import DensitySettings, class_density
from pipeline.evidence.hdbscan import HdbscanSettings, group_class
from pipeline.evidence.kmeans import KMeansSettings, cluster_class
from pipeline.stages.class_evidence import ClassImages, ClassSource, Columns


def class_sources(kmeans: KMeansSettings, density: DensitySettings, hdbscan: HdbscanSettings) -> list[ClassSource]:
    """K-means, density and HDBSCAN, for `make_class_evidence`."""
    return [
        ClassSource(name="kmeans", settings=kmeans, measure=partial(_kmeans, kmeans), ranked=True, code_version="3"),
        ClassSource(name="density", settings=density, measure=partial(_density, density), code_version="2"),
        ClassSource(name="hdbscan", settings=hdbscan, measure=partial(_hdbscan, hdbscan), code_version="2"),
    ]


def _kmeans(settings: KMeansSettings, images: ClassImages) -> Columns:
    found = cluster_class(images.features, images.position, settings)
    return {
        "cluster": found.cluster,
        "cluster_share": found.share,
        "distance": found.distance,
        "cluster_compactness": _known(found.compactness),
        "cluster_top_distance": _known(found.top_distance),
    }


def _density(settings: DensitySettings, images: ClassImages) -> Columns:
    found = class_density(images.features, settings)
    return {"density": _known(found.density), "density_level": found.level}


def _hdbscan(settings: HdbscanSettings, images: ClassImages) -> Columns:
    found = group_class(images.features, settings)
    return {"hdbscan_cluster": found.cluster, "membership": found.membership, "outlier": found.outlier}


def _known(values: npt.NDArray[np.float32]) -> pa.Array:
    """The values, null where they are nan: nothing is known of those images."""
    return pa.array(values, mask=np.isnan(values))
