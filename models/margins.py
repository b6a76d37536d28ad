"""Margins over a whole training: how far each image's label led over the other classes whenever it was seen.

Pleiss et al., 2020, "Identifying Mislabeled Data using the Area Under the Margin Ranking" (AUM): a wrong label is
learned against what all other images teach, so its margin stays low, whatever the network knows at the end. The
logits are those of the training's own forward pass, augmentation included.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from pipeline.result_tables import MARGINS


def margins_of(logits: Tensor, class_index: Tensor) -> Tensor:
    """Logit of the label less the largest other logit; outside the graph of gradients.

    Args:
        logits: float [B, C].
        class_index: int64 [B].

    Returns:
        float [B]; nan where C is 1, since there is no other class to lead over.
    """
    logits, label = logits.detach(), class_index[:, None]
    own = logits.gather(1, label)
    if logits.shape[1] == 1:
        return torch.full_like(own[:, 0], torch.nan)
    return own[:, 0] - logits.scatter(1, label, -torch.inf).amax(1)


@dataclass(frozen=True)
class Margins:
    """Sums over all sightings so far of the n images of a training set; the same in every process."""

    total: npt.NDArray[np.float64]  # (n,)
    sightings: npt.NDArray[np.int32]  # (n,)

    @classmethod
    def unseen(cls, images: int) -> Self:
        """Of images that no step has seen yet."""
        return cls(np.zeros(images), np.zeros(images, np.int32))

    def record(self, rows: npt.NDArray[np.int64], margins: npt.NDArray[np.float64]) -> None:
        """Add the margins of one global batch: of these rows of the training set, a row once for each repeat."""
        np.add.at(self.total, rows, margins)
        np.add.at(self.sightings, rows, 1)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"total": torch.from_numpy(self.total), "sightings": torch.from_numpy(self.sightings)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what a checkpoint kept."""
        self.total[:] = state["total"].cpu().numpy()
        self.sightings[:] = state["sightings"].cpu().numpy()

    def table(self, image_id: npt.NDArray[np.int64]) -> pa.Table:
        """Mean margin of each image, schema `MARGINS`, sorted by id; null where it has none.

        Args:
            image_id: (n,) of the training set's rows.
        """
        order = np.argsort(image_id)
        total, sightings = self.total[order], self.sightings[order]
        mean = (total / np.maximum(sightings, 1)).astype(np.float32)
        columns: dict[str, Any] = {
            "image_id": image_id[order],
            "aum": pa.array(mean, mask=(sightings == 0) | np.isnan(mean)),
            "sightings": sightings,
        }
        return pa.table(columns, schema=MARGINS)
