"""Rules that weigh by per-class clusters. Slides "How to use the cluster result?"."""

import numpy as np

from pipeline.policy.decision import Decision, class_means, decided
from pipeline.policy.rule import Columns, NoSettings, within_class
from pipeline.policy.words import note_of, percents

NO_CLUSTER = "no cluster: its features are not finite"


def by_cluster_size(columns: Columns, _: NoSettings) -> Decision:
    """Large weight for large clusters: `kmeans-size` (74.6 top-5).

    Weight = `cluster_share`, the images of its cluster / the images of its class, relative to the class's mean of it.
    An image without a cluster weighs 1. A larger share never lowers the weight.
    """
    share = np.where(columns["cluster"] >= 0, columns["cluster_share"], np.nan)
    note = note_of(percents(share), lambda p: f"its cluster holds {p}% of its class" if p >= 0 else NO_CLUSTER)
    return decided(within_class(share, columns["class_index"]), note)


def by_closeness_to_top(columns: Columns, _: NoSettings) -> Decision:
    """Large weight for clusters close to the top-ranked images: `kmeans-top-ranked` (74.8 top-5).

    With d the squared distance of its cluster's centre to the centre of its class's top-ranked images
    (`cluster_top_distance`) and m the class's mean of d, weight = 1 / (1 + d / m), relative to the class's mean of it:
    a cluster at an average distance gets half of what one at the centre itself would. An image without a cluster, or
    of a class without ranks, weighs 1. A larger distance never raises the weight.
    """
    class_index, distance = columns["class_index"], columns["cluster_top_distance"].astype(np.float64)
    known = np.isfinite(distance)
    share_known = class_means(known.astype(np.float64), class_index)
    mean = np.divide(
        class_means(np.where(known, distance, 0), class_index), share_known, out=np.zeros(len(known)), where=known
    )
    # All clusters of a class on the centre: all of them are equally close.
    relative = np.divide(distance, mean, out=np.where(known, 0.0, np.nan), where=known & (mean > 0))
    closeness = 1 / (1 + relative)
    return decided(within_class(closeness, class_index), note_of(percents(closeness), _closeness))


def _closeness(percent: int) -> str:
    if percent < 0:
        return "how far its cluster is from the top-ranked images is not known"
    return f"its cluster is {percent}% close to its class's top-ranked images"
