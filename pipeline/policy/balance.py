"""Policies that look at class sizes alone. Slides "Training strategy" and "Handle imbalance - reweight class"."""

import numpy as np

from pipeline.policy.decision import Decision, Integers


def uniform(class_index: Integers) -> Decision:
    """Every image counts the same: the baseline (73.60 top-5).

    Args:
        class_index: (n,) each image's class.
    """
    n = len(class_index)
    return Decision(np.ones(n), np.ones(n, np.int32), np.zeros(n, np.int32), np.zeros(n, np.int64), ["counts as it is"])


def inverse_count(class_index: Integers) -> Decision:
    """Weight 1 / (images of its class), so that every class weighs the same: `class-reweight` (74.4 top-5).

    Args:
        class_index: (n,) each image's class.
    """
    n = len(class_index)
    present, which, count = np.unique(class_index, return_inverse=True, return_counts=True)
    reasons = [f"its class has {size} images" for size in count]
    weight = (1.0 / count)[which] if len(present) else np.ones(n)
    return Decision(weight, np.ones(n, np.int32), np.zeros(n, np.int32), which, reasons)
