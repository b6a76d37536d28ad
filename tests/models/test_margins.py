"""The margin of a label, and its mean over a training, by hand."""

import numpy as np
import torch

from models.margins import Margins, margins_of
from pipeline.result_tables import MARGINS


def test_the_label_against_the_best_of_the_others() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.5], [0.0, -1.0, 4.0], [1.0, 1.0, 1.0]], requires_grad=True)
    found = margins_of(logits, torch.tensor([0, 1, 2]))
    assert found.tolist() == [0.5, -5.0, 0.0]
    assert not found.requires_grad


def test_the_only_class_leads_over_none() -> None:
    assert torch.isnan(margins_of(torch.zeros(2, 1), torch.tensor([0, 0]))).all()
    margins = Margins.unseen(2)
    margins.record(np.array([0, 1]), np.array([np.nan, np.nan]))
    assert margins.table(np.array([1, 2]))["aum"].to_pylist() == [None, None]


def test_sums_become_means_by_image_in_order_of_ids() -> None:
    """Row 0 is seen three times, twice in one batch; row 1 never."""
    margins = Margins.unseen(3)
    margins.record(np.array([0, 2, 0]), np.array([1.0, -4.0, 2.0]))
    margins.record(np.array([0]), np.array([6.0]))
    table = margins.table(np.array([30, 10, 20]))
    assert table.schema.equals(MARGINS)
    assert table.to_pylist() == [
        {"image_id": 10, "aum": None, "sightings": 0},
        {"image_id": 20, "aum": -4.0, "sightings": 1},
        {"image_id": 30, "aum": 3.0, "sightings": 3},
    ]


def test_what_a_checkpoint_keeps_is_all() -> None:
    kept, other = Margins.unseen(2), Margins.unseen(2)
    kept.record(np.array([1]), np.array([1 / 3]))
    other.restore(kept.state())
    np.testing.assert_array_equal(other.total, kept.total)
    np.testing.assert_array_equal(other.sightings, kept.sightings)
