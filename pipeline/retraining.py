"""Whether a recipe is to be trained again: how much is new since its last training, and how far classes have moved."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class RetrainingSettings:
    """From where on a recipe is trained again; one that is reached is enough."""

    #: share of the usable training images that were not there at its last training, (0, 1]
    new_share: float = 0.1
    #: how far a class's mean feature may move, in root mean square distances of its images from it, > 0
    feature_drift: float = 0.25
    #: how much the share of a class's labels that are right, as estimated, may change, (0, 1]
    precision_drift: float = 0.1
    #: images that a class must have had and have now for its two figures to count, at least 2
    class_images: int = 50

    def __post_init__(self) -> None:
        """Refuse what cannot be reached or says nothing."""
        for name in ("new_share", "precision_drift"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"retraining.{name} must be in (0, 1], not {getattr(self, name)}")
        if not 0 < self.feature_drift < np.inf:
            raise ValueError(f"retraining.feature_drift must be above 0, not {self.feature_drift}")
        if self.class_images < 2:
            raise ValueError(f"retraining.class_images must be at least 2, not {self.class_images}")


@dataclass(frozen=True)
class Moved:
    """The class that moved most by one measure, and by how much."""

    class_index: int
    by: float


@dataclass(frozen=True)
class Change:
    """What is another since a recipe's last training."""

    images: int  # usable training images now
    new_images: int  # of them, those that were not there
    features: Moved | None  # None where nothing can be said
    precision: Moved | None

    @property
    def new_share(self) -> float:
        """Of the images now; 0 where there are none."""
        return self.new_images / self.images if self.images else 0.0


def mean_moved(features: npt.NDArray[np.floating], known: npt.NDArray[np.bool_]) -> float:
    """How far a class's mean feature moved, whatever the scale of the features.

    The distance of the mean of all images from the mean of those that were known, over the root mean square distance
    of those that were known from their mean: 0 is not at all, 1 as far as an image usually lies from the mean.

    Args:
        features: (n, D) of the class's images now; rows that are not finite do not count.
        known: (n,) the images that were there at the last training.

    Returns:
        nan where fewer than two were, or all of them lie in one point.
    """
    finite = np.isfinite(features).all(1)
    now = features[finite].astype(np.float64)
    then = now[known[finite]]
    if len(then) < 2:
        return np.nan
    before = then.mean(0)
    spread = np.sqrt(((then - before) ** 2).sum(1).mean())
    return float(np.linalg.norm(now.mean(0) - before) / spread) if spread > 0 else np.nan


def most_moved(moves: npt.NDArray[np.floating]) -> Moved | None:
    """The class that moved most either way; (C,) nan where nothing is known of a class."""
    if not np.isfinite(moves).any():
        return None
    most = int(np.nanargmax(np.abs(moves)))
    return Moved(most, float(moves[most]))


def reasons(change: Change, settings: RetrainingSettings) -> list[str]:
    """Why to train again, in words; nothing where no condition holds."""
    told = []
    if change.new_share >= settings.new_share:
        told.append(
            f"{change.new_images:,} of {change.images:,} usable images are new, {change.new_share:.1%} "
            f"(from {settings.new_share:.1%} on)"
        )
    moved = change.features
    if moved is not None and moved.by >= settings.feature_drift:
        told.append(
            f"the features of class {moved.class_index} moved by {moved.by:.2f} (from {settings.feature_drift:.2f} on)"
        )
    moved = change.precision
    if moved is not None and abs(moved.by) >= settings.precision_drift:
        told.append(
            f"of the labels of class {moved.class_index}, {moved.by:+.1%} are right, as estimated "
            f"(from {settings.precision_drift:.1%} on, either way)"
        )
    return told
