"""Random crops and mirror images, a whole batch at once on the device, from numbers drawn by position."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.sampler import AUGMENTATION, generator

DRAWS = 8  # uniform numbers per image and epoch; a multiple of 4, Philox's block
_BLOCKS = DRAWS // 4


def draw(seed: int, epoch: int, start: int, images: int) -> npt.NDArray[np.float32]:
    """Uniform numbers in [0, 1) for the images at positions `start`, `start + 1`, ... of an epoch, (images, DRAWS).

    They depend on seed, epoch and position alone: cutting an epoch into other batches or ranks draws the same.
    """
    numbers = generator(seed, AUGMENTATION, epoch, skip=start * _BLOCKS).random((images, DRAWS))
    return numbers.astype(np.float32)


def mixing_share(draws: npt.NDArray[np.float32], alpha: float) -> npt.NDArray[np.float32]:
    """Each image's own share of its mixture with another, from Beta(alpha, alpha) (Zhang et al., 2018, mixup).

    Args:
        draws: (b, DRAWS) as from `draw`; column 5 is turned into the share by the inverse of the distribution.
        alpha: above 0; small ones leave most images nearly unmixed.
    """
    from scipy.special import betaincinv  # noqa: PLC0415 - only mixup needs it

    share: npt.NDArray[np.float32] = betaincinv(alpha, alpha, draws[:, 5].astype(np.float64)).astype(np.float32)
    return share


def crop_and_flip(images: Tensor, draws: Tensor, *, area: float, aspect: float, flip: float) -> Tensor:
    """Random resized crops (Szegedy et al., 2015, section 6) and mirror images, each image by its own draws.

    Args:
        images: float [B, 3, S, S].
        draws: float [B, DRAWS] in [0, 1); the first columns are area, aspect, x, y, mirror.
        area: smallest share of an image that its crop keeps, (0, 1].
        aspect: largest ratio of the crop's sides before it is held inside the image, >= 1.
        flip: probability of a mirror image.

    Returns:
        float [B, 3, S, S] in channels-last memory: each crop resized to the whole, bilinearly.
    """
    share, ratio, x, y, mirror = draws[:, :5].unbind(1)
    share = area + (1 - area) * share
    ratio = torch.exp((2 * ratio - 1) * torch.tensor(aspect).log())  # as likely wide as tall
    width = (share * ratio).sqrt().clamp(max=1)  # of the image's own
    height = (share / ratio).sqrt().clamp(max=1)
    centre_x = (2 * x - 1) * (1 - width)  # the image spans [-1, 1]
    centre_y = (2 * y - 1) * (1 - height)
    width = torch.where(mirror < flip, -width, width)
    zero = torch.zeros_like(width)
    rows: Sequence[Tensor] = (
        torch.stack([width, zero, centre_x], dim=1),
        torch.stack([zero, height, centre_y], dim=1),
    )
    grid = F.affine_grid(torch.stack(tuple(rows), dim=1), list(images.shape), align_corners=False)  # (B, S, S, 2)
    cropped = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return cropped.contiguous(memory_format=torch.channels_last)
