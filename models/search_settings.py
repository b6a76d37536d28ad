"""Settings of `winnow search`. No torch here: they are read before anything heavy is."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How recipes are tried by linear probes."""

    #: samples of the crawl that every recipe is tried on, at least 1
    samples: int = 5
    #: times the images are gone through, at most
    epochs: int = 10
    #: images seen in all, beyond which there are fewer epochs, but two at least
    most_images: int = 4_000_000
    #: images of a step
    batch_size: int = 1024
    #: Nesterov momentum, [0, 1)
    momentum: float = 0.9
    #: L2 penalties that every recipe is trained with; which serves it best is for the judging images to say
    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1)

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        for name in ("samples", "epochs", "most_images", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"search.{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"search.momentum must be in [0, 1), not {self.momentum}")
        if not self.penalties or min(self.penalties) < 0 or not math.isfinite(sum(self.penalties)):
            raise ValueError(f"search.penalties must be finite and at least 0, not {self.penalties}")

    def epochs_of(self, images: int) -> int:
        """How often so many images are gone through."""
        return min(self.epochs, max(2, self.most_images // max(images, 1)))
