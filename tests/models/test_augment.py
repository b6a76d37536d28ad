import numpy as np
import torch

from models.augment import DRAWS, crop_and_flip, draw, mixing_share


def test_draws_depend_on_the_position_alone() -> None:
    whole = draw(5, 2, 0, 10)
    assert whole.shape == (10, DRAWS)
    np.testing.assert_array_equal(np.concatenate([draw(5, 2, 0, 3), draw(5, 2, 3, 7)]), whole)
    assert (draw(5, 3, 0, 10) != whole).any()
    assert whole.min() >= 0
    assert whole.max() < 1


def numbered() -> torch.Tensor:
    return torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)


def test_whole_image_is_left_as_it_is_and_mirrored_by_its_own_draw() -> None:
    draws = torch.full((2, DRAWS), 0.5)
    draws[1, 4] = 0.1
    out = crop_and_flip(numbered(), draws, area=1, aspect=1, flip=0.3)
    torch.testing.assert_close(out[0], numbered()[0])
    torch.testing.assert_close(out[1], numbered()[1].flip(-1))
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_a_quarter_crop_at_each_corner() -> None:
    """A crop of a quarter of the area at the left top sees the left top 2x2 pixels only, stretched to 4x4."""
    draws = torch.zeros(2, DRAWS)
    draws[1, 2:4] = 1.0  # right, bottom
    draws[:, 1] = 0.5  # square
    draws[:, 4] = 0.9  # no mirror
    images = numbered()[:1].expand(2, 3, 4, 4)
    out = crop_and_flip(images, draws, area=0.25, aspect=1, flip=0.5)
    # output pixel centres lie at -.25, .25, .75, 1.25 ... of the crop: the middle ones are inside, blended 3:1
    row0, row1 = images[0, 0, 0], images[0, 0, 1]
    blended = 0.75 * (0.75 * row0[0] + 0.25 * row0[1]) + 0.25 * (0.75 * row1[0] + 0.25 * row1[1])
    torch.testing.assert_close(out[0, 0, 1, 1], blended)
    torch.testing.assert_close(out[1, 0], (15 - out[0, 0]).flip(0, 1))


def test_crops_keep_their_share_and_stay_inside_the_image() -> None:
    ramp = (torch.arange(16) + 0.5) / 16  # where each pixel's centre lies
    images = torch.stack([ramp.expand(16, 16), ramp[:, None].expand(16, 16), torch.zeros(16, 16)]).expand(
        200, 3, 16, 16
    )
    out = crop_and_flip(images, torch.from_numpy(draw(0, 0, 0, 200)), area=0.2, aspect=2, flip=0)
    left, right = out[:, 0, 8, 5], out[:, 0, 8, 10]  # inner pixels: those at the edge are held to the image's own
    top, bottom = out[:, 1, 5, 8], out[:, 1, 10, 8]
    width, height = (right - left) * 16 / 5, (bottom - top) * 16 / 5
    assert (width * height).min() > 0.19  # the sides are held inside the image, which only wide crops lose by
    assert width.max() < 1.001
    assert (left - 5.5 / 16 * width).min() > -1e-3
    assert (right + 5.5 / 16 * width).max() < 1.001
    assert (top - 5.5 / 16 * height).min() > -1e-3
    assert (width / height).min() < 0.6
    assert (width / height).max() > 1.7


def test_shares_of_a_mixture_follow_their_distribution() -> None:
    """Beta(1, 1) is uniform: the draw itself. Beta(1/2, 1/2) is the arcsine law: the square of sin(pi/2 times it)."""
    draws = draw(5, 0, 0, 100)
    np.testing.assert_allclose(mixing_share(draws, 1.0), draws[:, 5], rtol=1e-6)
    np.testing.assert_allclose(mixing_share(draws, 0.5), np.sin(np.pi / 2 * draws[:, 5]) ** 2, rtol=1e-5)
