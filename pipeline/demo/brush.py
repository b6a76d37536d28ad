"""What the demo's pictures are drawn with: shapes in an object's own frame, backgrounds, and a camera."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]  # [height, width, 3], RGB
Colour = tuple[int, int, int]  # RGB, each in [0, 255]
Points = npt.NDArray[np.float64] | Sequence[tuple[float, float]]  # [n, 2], (x, y), y downwards

#: Width and height of the pictures, pixels.
SIZES = ((64, 64), (80, 60), (96, 72), (60, 80), (72, 72))
OVERSAMPLING = 2  # drawn larger, then averaged down: smooth edges at any angle
_SUBPIXEL_BITS = 4
_STEPS = np.linspace(0, 1, 25)


@dataclass(frozen=True)
class Brush:
    """Draws on a canvas in a frame of its own, where an object fills the square from (-1, -1) to (1, 1)."""

    canvas: Picture
    pose: npt.NDArray[np.float64]  # [2, 3], affine: the frame's (x, y, 1) -> canvas pixels

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill a polygon."""
        cv2.fillPoly(self.canvas, [self._pixels(points)], colour, cv2.LINE_AA, _SUBPIXEL_BITS)

    def oval(self, centre: tuple[float, float], radii: tuple[float, float], colour: Colour, turn: float = 0.0) -> None:
        """Fill an ellipse; `turn` in radians."""
        self.polygon(ellipse(centre, radii, turn), colour)

    def line(self, points: Points, colour: Colour, width: float, *, closed: bool = False) -> None:
        """Stroke a path; `width` in units of the frame."""
        pixels = max(1, round(width * self._scale()))
        cv2.polylines(self.canvas, [self._pixels(points)], closed, colour, pixels, cv2.LINE_AA, _SUBPIXEL_BITS)

    def ring(self, centre: tuple[float, float], radius: float, colour: Colour, width: float) -> None:
        """Stroke a circle."""
        self.line(ellipse(centre, (radius, radius)), colour, width, closed=True)

    def inner(self, centre: tuple[float, float], size: float, turn: float = 0.0) -> "Brush":
        """A brush whose frame lies inside this one: `size` of this frame's units wide each way, `turn` in radians."""
        cos, sin = size * np.cos(turn), size * np.sin(turn)
        frame = np.array([[cos, -sin, centre[0]], [sin, cos, centre[1]], [0, 0, 1]])
        return Brush(self.canvas, self.pose @ frame)

    def _scale(self) -> float:
        """Canvas pixels per unit of the frame, the mean over directions."""
        (a, b, _), (c, d, _) = self.pose
        return math.sqrt(abs(a * d - b * c))

    def _pixels(self, points: Points) -> npt.NDArray[np.int32]:
        placed = np.asarray(points, np.float64) @ self.pose[:, :2].T + self.pose[:, 2]
        return np.round(placed * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def ellipse(
    centre: tuple[float, float],
    radii: tuple[float, float],
    turn: float = 0.0,
    start: float = 0.0,
    end: float = 2 * math.pi,
) -> npt.NDArray[np.float64]:
    """Points [25, 2] along an ellipse, or its arc from `start` to `end` (radians, clockwise on the picture)."""
    cos, sin = math.cos(turn), math.sin(turn)
    angle = start + (end - start) * _STEPS
    circle = np.array([np.cos(angle), np.sin(angle)])
    placed: npt.NDArray[np.float64] = circle.T @ [
        [radii[0] * cos, radii[0] * sin],
        [-radii[1] * sin, radii[1] * cos],
    ]
    return placed + centre


def paint(
    rng: np.random.Generator,
    hue: tuple[float, float] = (0, 360),
    saturation: tuple[float, float] = (0.45, 1),
    value: tuple[float, float] = (0.4, 1),
) -> Colour:
    """A random colour; hue in degrees (may pass 360), saturation and value in [0, 1]."""
    h, s, v = rng.uniform(*hue) % 360 / 60, rng.uniform(*saturation), rng.uniform(*value)
    red, green, blue = (v - v * s * max(0.0, min(k, 4 - k, 1.0)) for k in ((n + h) % 6 for n in (5, 3, 1)))
    return round(255 * red), round(255 * green), round(255 * blue)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, darker (below 1) or lighter (above 1)."""
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue


def blank(rng: np.random.Generator) -> Picture:
    """An unpainted canvas of one of the sizes, oversampled."""
    width, height = SIZES[rng.integers(len(SIZES))]
    return np.empty((height * OVERSAMPLING, width * OVERSAMPLING, 3), np.uint8)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How differently an object may stand from picture to picture."""

    #: Least and greatest width, as a share of the picture's shorter side.
    size: tuple[float, float] = (0.75, 1.05)
    #: Standard deviation of the rotation, radians.
    turn: float = 0.1
    #: Greatest share by which it is narrowed, as when seen obliquely, [0, 1).
    squeeze: float = 0.25


def posed(rng: np.random.Generator, canvas: Picture, pose: Pose) -> Brush:
    """A brush for one object at a random place, in a random stance."""
    height, width = canvas.shape[:2]
    radius = min(height, width) / 2 * rng.uniform(*pose.size)
    angle, mirror = rng.normal(0, pose.turn), rng.choice((-1.0, 1.0))
    cos, sin = np.cos(angle), np.sin(angle)
    narrow = mirror * (1 - rng.uniform(0, pose.squeeze))
    linear = radius * np.array([[cos, -sin], [sin, cos]]) @ np.array([[narrow, rng.normal(0, 0.06)], [0, 1]])
    room = np.array([width, height]) / 2 - 0.95 * radius
    centre = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * np.maximum(room, 0.08 * radius)
    return Brush(canvas, np.column_stack([linear, centre]))


def whole(canvas: Picture) -> Brush:
    """A brush whose frame is the whole canvas."""
    height, width = canvas.shape[:2]
    return Brush(canvas, np.array([[width / 2, 0, width / 2], [0, height / 2, height / 2]]))


def fill_gradient(canvas: Picture, top: Colour, bottom: Colour) -> None:
    """Paint the whole canvas from one colour above to another below."""
    mix = np.linspace(0, 1, len(canvas))[:, None, None]
    canvas[:] = np.round(np.array(top) * (1 - mix) + np.array(bottom) * mix)


def texture(rng: np.random.Generator, canvas: Picture, cells: int, strength: float) -> None:
    """Add smooth random blotches, about `cells` across, of a standard deviation of `strength` grey levels."""
    height, width = canvas.shape[:2]
    coarse = rng.standard_normal((cells, cells, 3), np.float32) * np.float32(strength)
    smooth: npt.NDArray[Any] = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    canvas[:] = np.clip(canvas + smooth, 0, 255).astype(np.uint8)


def photograph(rng: np.random.Generator, canvas: Picture) -> Picture:
    """What a camera makes of the canvas: uneven light, a colour cast, lost focus and noise, at the final size."""
    height, width = (side // OVERSAMPLING for side in canvas.shape[:2])
    focused: npt.NDArray[Any] = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(focused, (0, 0), float(rng.uniform(0.4, 1.1))) if rng.random() < 0.3 else focused
    direction, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.3)
    across = slope * np.cos(direction) * np.linspace(-1, 1, width)
    down = slope * np.sin(direction) * np.linspace(-1, 1, height)
    light = (1 + across[None, :, None] + down[:, None, None]) * rng.uniform(0.9, 1.1, 3)
    exposed = np.clip(blurred * (light / 255).astype(np.float32), 0, 1)
    developed = exposed ** np.float32(rng.uniform(0.75, 1.35)) * np.float32(255 * rng.uniform(0.75, 1.05))
    grain = rng.standard_normal(developed.shape, np.float32) * np.float32(rng.uniform(1, 9))
    picture: Picture = np.clip(np.round(developed + grain), 0, 255).astype(np.uint8)
    return picture
