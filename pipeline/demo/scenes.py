"""What the demo's pictures show, one small function per thing, by name; each is drawn anew from its random numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.demo import plants, strangers, vehicles
from pipeline.demo.backgrounds import Background, meadow, paint_background, road, sky, street, studio, table
from pipeline.demo.brush import Brush, Picture, Pose, blank, paint, photograph, posed, whole

_UPRIGHT = Pose()
_ANYHOW = Pose(turn=0.5, size=(0.7, 1.05))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A thing, the places it is met at, and how it stands there."""

    #: Draws the thing in the brush's frame.
    draw: Callable[[np.random.Generator, Brush], None]
    #: One of these is painted behind it.
    places: tuple[Background, ...]
    pose: Pose = _UPRIGHT
    #: Most things of the kind in one picture.
    most: int = 1


_ROADS = (street, road, meadow, studio)
_TABLES = (table, studio, meadow)

SCENES: Final[dict[str, Scene]] = {
    "bicycle": Scene(draw=vehicles.bicycle, places=_ROADS),
    "motorcycle": Scene(draw=vehicles.motorcycle, places=_ROADS),
    "car": Scene(draw=vehicles.car, places=_ROADS),
    "bus": Scene(draw=vehicles.bus, places=_ROADS),
    "corolla": Scene(draw=plants.corolla, places=(meadow, studio, table, sky), pose=_ANYHOW, most=2),
    "daisy": Scene(draw=plants.daisy, places=(meadow, studio, table, sky), pose=_ANYHOW, most=2),
    "apple": Scene(draw=plants.apple, places=_TABLES, pose=_ANYHOW, most=2),
    "orange": Scene(draw=plants.orange, places=_TABLES, pose=_ANYHOW, most=2),
    "balloon": Scene(draw=vehicles.balloon, places=(sky, road, studio)),
    "parachute": Scene(draw=vehicles.parachute, places=(sky, road, studio)),
    "laptop": Scene(draw=strangers.laptop, places=(table, studio)),
    "logo": Scene(draw=strangers.logo, places=(studio, table), pose=Pose(size=(0.4, 0.8), squeeze=0.05)),
    "face": Scene(draw=strangers.face, places=(studio, street, meadow, table)),
    "tree": Scene(draw=strangers.tree, places=(meadow, road)),
    "house": Scene(draw=strangers.house, places=(road, meadow)),
    "page": Scene(draw=strangers.page, places=(table, studio)),
    "pattern": Scene(draw=strangers.pattern, places=(studio,), pose=Pose(size=(1.6, 2.2), turn=1.5)),
    "view": Scene(
        draw=strangers.clutter, places=(street, road, meadow, sky, studio), pose=Pose(size=(1.0, 1.6), turn=0.15)
    ),
}

#: Things that belong to no class and no word of any query.
STRANGERS: Final = ("face", "tree", "house", "page", "pattern", "view")


def draw_scene(name: str, rng: np.random.Generator) -> Picture:
    """A new picture of the thing: uint8 [height, width, 3], 60 to 96 pixels a side.

    Raises:
        KeyError: there is no such scene.
    """
    scene = SCENES[name]
    canvas = blank(rng)
    paint_background(rng, canvas, scene.places)
    for _ in range(rng.integers(1, scene.most + 1)):
        scene.draw(rng, posed(rng, canvas, scene.pose))
    if rng.random() < 0.25:
        _obstruct(rng, whole(canvas))
    return photograph(rng, canvas)


def _obstruct(rng: np.random.Generator, brush: Brush) -> None:
    """Something out of focus in front: a bar, or a blot at the edge."""
    colour = paint(rng, saturation=(0, 0.7), value=(0.1, 0.9))
    if rng.random() < 0.5:
        x, width = rng.uniform(-0.9, 0.9), rng.uniform(0.03, 0.12)
        brush.line([(x, -1.1), (x + rng.normal(0, 0.4), 1.1)], colour, width)
    else:
        turn = rng.uniform(0, 2 * np.pi)
        brush.oval((1.1 * np.cos(turn), 1.1 * np.sin(turn)), tuple(rng.uniform(0.2, 0.55, 2)), colour)
