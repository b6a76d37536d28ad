"""Where the demo's objects stand: places that several classes share, so that a place gives no class away."""

from collections.abc import Callable

import numpy as np

from pipeline.demo.brush import Picture, fill_gradient, paint, shade, texture, whole


def sky(rng: np.random.Generator, canvas: Picture) -> None:
    """Blue, grey or evening sky, some clouds, sometimes hills below."""
    hue = (195, 225) if rng.random() < 0.7 else (10, 45)
    fill_gradient(canvas, paint(rng, hue, (0.3, 0.7), (0.6, 1)), paint(rng, hue, (0.05, 0.35), (0.7, 1)))
    brush = whole(canvas)
    for _ in range(rng.integers(0, 4)):
        x, y = rng.uniform(-1, 1), rng.uniform(-1, 0.4)
        for _ in range(3):
            grey = int(rng.integers(215, 250))
            place = (x + rng.normal(0, 0.15), y + rng.normal(0, 0.04))
            brush.oval(place, (rng.uniform(0.1, 0.3), rng.uniform(0.04, 0.1)), (grey, grey, grey))
    if rng.random() < 0.5:
        tops = [(x, rng.uniform(0.6, 0.95)) for x in np.linspace(-1, 1, 6)]
        brush.polygon([(-1, 1), *tops, (1, 1)], paint(rng, (80, 220), (0.2, 0.6), (0.2, 0.6)))


def street(rng: np.random.Generator, canvas: Picture) -> None:
    """House fronts with windows over a road."""
    fill_gradient(canvas, paint(rng, (190, 230), (0.1, 0.5), (0.6, 1)), paint(rng, (20, 50), (0, 0.15), (0.7, 0.9)))
    brush, left = whole(canvas), -1.0
    while left < 1:
        right, top = left + rng.uniform(0.3, 0.8), rng.uniform(-0.9, 0)
        wall = paint(rng, (0, 60), (0.05, 0.5), (0.35, 0.9))
        brush.polygon([(left, top), (right, top), (right, 0.5), (left, 0.5)], wall)
        for x in np.arange(left + 0.08, right - 0.1, 0.2):
            for y in np.arange(top + 0.1, 0.3, 0.28):
                brush.polygon([(x, y), (x + 0.1, y), (x + 0.1, y + 0.15), (x, y + 0.15)], shade(wall, 0.55))
        left = right
    road = int(rng.integers(70, 140))
    brush.polygon([(-1, 0.45), (1, 0.45), (1, 1), (-1, 1)], (road, road, road + 5))


def meadow(rng: np.random.Generator, canvas: Picture) -> None:
    """Grass or leaves: green blotches and blades."""
    fill_gradient(canvas, paint(rng, (75, 130), (0.3, 0.7), (0.3, 0.8)), paint(rng, (75, 130), (0.4, 0.8), (0.2, 0.6)))
    texture(rng, canvas, 10, 14)
    brush = whole(canvas)
    for _ in range(rng.integers(6, 20)):
        x, y = rng.uniform(-1, 1, 2)
        blade = [(x, y), (x + rng.normal(0, 0.1), y - rng.uniform(0.1, 0.4))]
        brush.line(blade, paint(rng, (70, 140), (0.4, 0.9), (0.2, 0.8)), 0.02)


def road(rng: np.random.Generator, canvas: Picture) -> None:
    """Open country: sky, fields, a road."""
    sky(rng, canvas)
    horizon = rng.uniform(-0.2, 0.3)
    brush = whole(canvas)
    brush.polygon([(-1, horizon), (1, horizon), (1, 1), (-1, 1)], paint(rng, (40, 130), (0.2, 0.7), (0.3, 0.8)))
    if rng.random() < 0.7:
        grey, vanishing = int(rng.integers(80, 160)), rng.uniform(-0.5, 0.5)
        brush.polygon([(vanishing, horizon), (vanishing + 0.05, horizon), (1.3, 1), (-1.3, 1)], (grey, grey, grey))


def table(rng: np.random.Generator, canvas: Picture) -> None:
    """A wall over a table top, with crockery and boxes standing about."""
    wall = paint(rng, (0, 360), (0.05, 0.5), (0.3, 0.95))
    fill_gradient(canvas, wall, shade(wall, 0.8))
    brush, edge, wood = whole(canvas), rng.uniform(-0.2, 0.5), paint(rng, (15, 45), (0.2, 0.7), (0.3, 0.9))
    brush.polygon([(-1, edge), (1, edge), (1, 1), (-1, 1)], wood)
    for y in np.arange(edge, 1, rng.uniform(0.1, 0.3)):
        brush.line([(-1, y), (1, y + 0.02)], shade(wood, 0.85), 0.015)
    for _ in range(rng.integers(0, 4)):
        x, y, w, h = rng.uniform(-1, 1), edge + rng.uniform(-0.1, 0.5), rng.uniform(0.08, 0.25), rng.uniform(0.1, 0.35)
        thing = paint(rng, saturation=(0.1, 0.9), value=(0.3, 0.95))
        if rng.random() < 0.5:
            brush.oval((x, y), (w, h), thing)
        else:
            brush.polygon([(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)], thing)


def studio(rng: np.random.Generator, canvas: Picture) -> None:
    """A plain or blotchy backdrop of any colour."""
    colour = paint(rng, saturation=(0, 0.6), value=(0.3, 1))
    fill_gradient(canvas, colour, shade(colour, rng.uniform(0.6, 1.2)))
    texture(rng, canvas, int(rng.integers(3, 14)), rng.uniform(0, 15))


Background = Callable[[np.random.Generator, Picture], None]


def paint_background(rng: np.random.Generator, canvas: Picture, choices: tuple[Background, ...]) -> None:
    """Paint one of the places, evenly chosen."""
    choices[rng.integers(len(choices))](rng, canvas)
