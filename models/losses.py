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


def taught_divergence(logits: Tensor, taught: Tensor, weight: Tensor, *, temperature: float, images: int) -> Tensor:
    """The sum of weight x T^2 x KL(teacher || student) over these images, by the images of the whole global batch.

    Hinton, Vinyals & Dean, 2015: the student's logits are divided by the temperature T as the teacher's were, and T^2
    keeps the gradient's size comparable with that of the labels, whatever T is.

    Args:
        logits: float [B, C], the student's, of the part of the batch at hand.
        taught: float [B, C], the teacher's probabilities at that temperature.
        weight: float [B], >= 0.
        temperature: above 0.
        images: of the global batch, over all processes.

    Returns:
        A scalar.
    """
    student = F.log_softmax(logits / temperature, dim=1)
    each = F.kl_div(student, taught, reduction="none").sum(1)
    return temperature**2 * (weight * each).sum() / images
