"""Whether two pictures are one picture, re-encoded, rescaled or cropped by a little: by what is left after aligning.

Pictures of one catalogue share background, outline and pose, so that their correlation says little: two wallets of
different colour reach 0.99, and so does a picture and its own copy cropped by a pixel. The second is put right by
moving and scaling the picture, the first is not, and what then remains is local: a print, a label, a stitch. So the
pictures are aligned (least squares on the gradients of brightness: Lucas and Kanade, "An Iterative Image Registration
Technique", 1981), and judged by the part of the picture that differs most.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Thumbs = npt.NDArray[np.float32]
Planes = npt.NDArray[np.float32]

SIDE: Final = 32  # of a thumbnail
_CELLS = 8  # along each axis: the parts that are looked at one by one
_MOVED = 2.0  # thumbnail pixels: a picture that lies further off at an edge, by 6% of its side, is another
_FLAT = 4.0  # grey levels: the contrast below which a picture holds little but noise
_PRELIMINARY = 0.35  # of the contrast: pairs that differ by more before they are aligned are not looked at further
_ALIGNED = 0.1  # of the contrast: what may be left over the whole picture
_COLOUR = 2 / 3  # of the tolerance: colours are softened more, as JPEG does, and so differ less
_BLOCK = 256  # pairs at a time: what is worked on stays in the processor's cache
#: Brightness and the two colour differences of JPEG (ITU-R BT.601) from red, green, blue.
_PLANES = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32)
_ALONG = np.linspace(-1, 1, SIDE, dtype=np.float32)


def thumbnails(pixels: npt.NDArray[np.uint8]) -> Thumbs:
    """Pictures shrunk to SIDE x SIDE: brightness, softened a little to have gradients, and colours, softened more.

    Args:
        pixels: (n, H, W, 3), RGB, H and W at least 1.

    Returns:
        (n, 3, SIDE, SIDE), grey levels.
    """
    rows, columns = (_shrinking(side) for side in pixels.shape[1:3])
    planes = np.empty((len(pixels), 3, SIDE, SIDE), np.float32)
    for at in range(0, len(pixels), _BLOCK):
        block = pixels[at : at + _BLOCK].astype(np.float32)
        low = (rows @ block.reshape(len(block), block.shape[1], -1)).reshape(len(block), SIDE, -1, 3)
        planes[at : at + _BLOCK] = np.ascontiguousarray((low @ _PLANES.T).transpose(0, 3, 1, 2)) @ columns.T
    twice = np.linalg.matrix_power(_softening(), 2)
    planes[:, 1:] = twice @ planes[:, 1:] @ twice.T
    return planes


def same_picture(first: Thumbs, second: Thumbs, tolerance: float) -> npt.NDArray[np.bool_]:
    """Which pairs are one picture.

    They are where, once aligned, brightness differs by at most `tolerance` (root mean square) even in the cell where
    it does most, colour by two thirds of that, and brightness over all by at most a tenth of the contrast: a faint
    picture has to agree better. Brightness and contrast are not evened out: pictures of one thing in two colours would
    come together.

    Args:
        first: (p, 3, SIDE, SIDE), of `thumbnails`.
        second: the same for the others of the pairs; exchanged with `first` they are judged the same.
        tolerance: grey levels.

    Returns:
        (p,).
    """
    same = np.zeros(len(first), np.bool_)
    for at in range(0, len(first), _BLOCK):
        one, other = first[at : at + _BLOCK], second[at : at + _BLOCK]
        contrast = np.maximum(one[:, 0].std(axis=(1, 2)), other[:, 0].std(axis=(1, 2))).clip(min=_FLAT)
        near = np.flatnonzero(_whole(one[:, 0] - other[:, 0]) <= _PRELIMINARY * contrast)
        same[at + near] = _agree(one[near], other[near], contrast[near], tolerance)
    return same


def _agree(first: Thumbs, second: Thumbs, contrast: npt.NDArray[np.float32], tolerance: float) -> npt.NDArray[np.bool_]:
    motion, reach = _alignment(first[:, 0], second[:, 0])
    left = [_unexplained(first[:, plane], second[:, plane], motion) for plane in range(3)]
    worst = [_worst_cell(plane) for plane in left]
    agree: npt.NDArray[np.bool_] = (reach <= _MOVED) & (_whole(left[0]) <= _ALIGNED * contrast)
    return agree & (worst[0] <= tolerance) & (np.maximum(worst[1], worst[2]) <= _COLOUR * tolerance)


def _shrinking(side: int) -> npt.NDArray[np.float32]:
    """(SIDE, side): means over equal stretches of an axis, softened."""
    edges = np.arange(SIDE + 1) * side / SIDE
    covered = np.clip(edges[:, None] - np.arange(side), 0, 1)
    means = (np.diff(covered, axis=0) * SIDE / side).astype(np.float32)
    return _softening() @ means


def _softening() -> npt.NDArray[np.float32]:
    """(SIDE, SIDE): the weights 1 2 1 over each three that follow one another, edges repeated."""
    padded = np.pad(np.eye(SIDE, dtype=np.float32), ((1, 1), (0, 0)), mode="edge")
    softening: npt.NDArray[np.float32] = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / np.float32(4)
    return softening


def _alignment(
    first: Planes, second: Planes
) -> tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """How far to move each row and column, (p, SIDE, 1) and (p, 1, SIDE), so that `second` lies on `first`.

    A shift and a scale along either axis. Also the largest of these movements, (p,). All in thumbnail pixels.
    """
    down, across = _slopes((first + second) / np.float32(2))
    basis = np.stack([down, down * _ALONG[:, None], across, across * _ALONG], axis=1).reshape(len(first), 4, SIDE**2)
    difference = (first - second).reshape(len(first), SIDE**2, 1)
    steadied = basis @ basis.transpose(0, 2, 1) + SIDE**2 * 1e-3 * np.eye(4, dtype=np.float32)
    fit = np.linalg.solve(steadied, basis @ difference)
    rows, columns = fit[:, 0] + fit[:, 1] * _ALONG, fit[:, 2] + fit[:, 3] * _ALONG
    reach = np.maximum(np.abs(rows).max(axis=1), np.abs(columns).max(axis=1))
    return (rows[:, :, None], columns[:, None, :]), reach


def _slopes(planes: Planes) -> tuple[Planes, Planes]:
    """How a plane changes from row to row and from column to column, per pixel."""
    down, across = np.empty_like(planes), np.empty_like(planes)
    down[:, 1:-1] = (planes[:, 2:] - planes[:, :-2]) / 2
    across[:, :, 1:-1] = (planes[:, :, 2:] - planes[:, :, :-2]) / 2
    down[:, 0], down[:, -1] = planes[:, 1] - planes[:, 0], planes[:, -1] - planes[:, -2]
    across[:, :, 0], across[:, :, -1] = planes[:, :, 1] - planes[:, :, 0], planes[:, :, -1] - planes[:, :, -2]
    return down, across


def _unexplained(first: Planes, second: Planes, motion: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> Planes:
    down, across = _slopes((first + second) / np.float32(2))
    left: Planes = first - second - down * motion[0] - across * motion[1]
    return left


def _whole(left: Planes) -> npt.NDArray[np.float32]:
    """Root mean square over the picture."""
    deviation: npt.NDArray[np.float32] = np.sqrt(np.einsum("pyx,pyx->p", left, left) / np.float32(SIDE**2))
    return deviation


def _worst_cell(left: Planes) -> npt.NDArray[np.float32]:
    """Root mean square over the cell where that is largest."""
    cells = left.reshape(len(left), _CELLS, SIDE // _CELLS, _CELLS, SIDE // _CELLS)
    mean = np.einsum("paybx,paybx->pab", cells, cells) / np.float32((SIDE // _CELLS) ** 2)
    worst: npt.NDArray[np.float32] = np.sqrt(mean.max(axis=(1, 2)))
    return worst
