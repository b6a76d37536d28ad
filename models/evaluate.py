"""Top-1 of a network on a labelled set, over several processes."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from models.data import ImageSet, read_ahead
from models.gang import Gang, has_bfloat16
from models.networks import Classifier, normalise

BATCH_IMAGES = 256


def top1(network: Classifier, images: ImageSet, gang: Gang) -> float | None:
    """The share of images whose largest logit is their label's, or None for an empty set; every process calls it.

    Each process judges every n-th batch. The network is left in training mode.
    """
    if len(images) == 0:
        return None
    network.eval()
    autocast = has_bfloat16(gang.device)
    right = 0
    with torch.inference_mode(), torch.autocast(gang.device.type, torch.bfloat16, enabled=autocast):
        for pixels, class_index in _batches(images, gang):
            logits = network(normalise(pixels.to(gang.device)))
            right += int((logits.argmax(1).cpu() == class_index).sum())
    network.train()
    return float(gang.total(np.array([right], np.float64))[0]) / len(images)


def _batches(images: ImageSet, gang: Gang) -> Iterator[tuple[Tensor, Tensor]]:
    def load(start: int) -> tuple[Tensor, Tensor]:
        part = slice(start, start + BATCH_IMAGES)
        pixels = images.pixels.gather(images.shard[part], images.row[part])
        return torch.from_numpy(pixels), torch.from_numpy(images.class_index[part].copy())

    return read_ahead(load, range(gang.rank * BATCH_IMAGES, len(images), gang.processes * BATCH_IMAGES))
