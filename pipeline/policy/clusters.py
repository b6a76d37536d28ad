"""Policies that look at per-class clusters. Slides "How to use the cluster result?"."""

import numpy as np

from pipeline.policy.decision import Decision, Floats, Integers, class_means


def by_cluster_size(class_index: Integers, cluster: Integers, cluster_share: Floats) -> Decision:
    """Large weight for large clusters: `kmeans-size` (74.6 top-5).

    Weight = share of the image's cluster in its class / mean of that share over the class's images. The mean within a
    class is 1, so that class balance is left to the policies whose matter it is. An image without a cluster gets 0.

    Args:
        class_index: (n,) each image's class.
        cluster: (n,) number of its cluster in the class, -1 for none.
        cluster_share: (n,) images of its cluster / images of its class, in [0, 1].
    """
    n = len(class_index)
    mean = class_means(cluster_share, class_index)
    weight = np.divide(cluster_share, mean, out=np.zeros(n), where=mean > 0)
    pairs, which = np.unique(
        np.stack([cluster, np.rint(cluster_share * 1000).astype(np.int64)]), axis=1, return_inverse=True
    )
    reasons = [
        f"cluster {number} holds {permille / 10:.1f}% of its class"
        if number >= 0
        else "no cluster: its features are not finite"
        for number, permille in pairs.T.tolist()
    ]
    return Decision(weight, np.ones(n, np.int32), np.zeros(n, np.int32), which.ravel(), reasons)
