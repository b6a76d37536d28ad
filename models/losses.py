"""Losses: plain functions of logits and labels."""

import torch.nn.functional as F
from torch import Tensor


def weighted_cross_entropy(
    logits: Tensor, class_index: Tensor, weight: Tensor, *, label_smoothing: float, images: int
) -> Tensor:
    """The sum of weight x cross-entropy over these images, divided by the images of the whole global batch.

    Divided by a count and not by the sum of weights, a heavy batch pulls harder than a light one, as an image's weight
    asks; weights have mean 1 over the manifest. Parts of a batch add up: the ranks' values sum to the whole batch's.

    Args:
        logits: float [B, C], the part of the batch at hand.
        class_index: int64 [B].
        weight: float [B], >= 0.
        label_smoothing: probability spread over all C classes (Szegedy et al., 2016), [0, 1).
        images: of the global batch, over all processes.

    Returns:
        A scalar.
    """
    each = F.cross_entropy(logits, class_index, reduction="none", label_smoothing=label_smoothing)
    return (weight * each).sum() / images
