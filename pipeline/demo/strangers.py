"""What the demo's searches find by mistake: things of no class, and the second meaning of a word."""

import numpy as np

from pipeline.demo.brush import Brush, ellipse, paint, shade


def laptop(rng: np.random.Generator, brush: Brush) -> None:
    """An open computer: a screen with windows on it, a keyboard below."""
    metal = (*(int(rng.integers(90, 230)),) * 3,)
    brush.polygon([(-0.75, -0.7), (0.75, -0.7), (0.75, 0.25), (-0.75, 0.25)], shade(metal, 0.5))
    brush.polygon(
        [(-0.68, -0.63), (0.68, -0.63), (0.68, 0.18), (-0.68, 0.18)], paint(rng, (170, 280), (0.1, 0.9), (0.1, 1))
    )
    for _ in range(rng.integers(0, 4)):
        x, y, w, h = rng.uniform(-0.6, 0.2), rng.uniform(-0.55, -0.1), rng.uniform(0.2, 0.4), rng.uniform(0.1, 0.25)
        pane = paint(rng, saturation=(0, 0.4), value=(0.6, 1))
        brush.polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], pane)
    brush.polygon([(-0.75, 0.25), (0.75, 0.25), (0.98, 0.7), (-0.98, 0.7)], metal)
    for y in np.linspace(0.32, 0.52, 4):
        half = 0.7 + (y - 0.3) * 0.45
        brush.line([(-half, y), (half, y)], shade(metal, 0.45), 0.035)


def logo(rng: np.random.Generator, brush: Brush) -> None:
    """A flat one-coloured sign: a fruit's outline with a bite out of it and a leaf, on a plate."""
    plate = paint(rng, saturation=(0, 0.3), value=(0.05, 1))
    sign = paint(rng, saturation=(0, 0.6), value=(0.7, 1)) if sum(plate) < 380 else paint(rng, value=(0.05, 0.5))
    if rng.random() < 0.6:
        brush.oval((0, 0), (1.3, 1.3), plate)
    else:
        brush.polygon([(-1.3, -1.3), (1.3, -1.3), (1.3, 1.3), (-1.3, 1.3)], plate)
    brush.oval((-0.25, 0.15), (0.48, 0.65), sign)
    brush.oval((0.25, 0.15), (0.48, 0.65), sign)
    brush.oval((0.78, 0.05), (0.3, 0.3), plate)
    brush.oval((0.12, -0.78), (0.24, 0.1), sign, -0.8)


def face(rng: np.random.Generator, brush: Brush) -> None:
    """A person's head and shoulders."""
    skin, hair = paint(rng, (12, 35), (0.25, 0.6), (0.35, 0.95)), paint(rng, (10, 45), (0.1, 0.8), (0.05, 0.7))
    brush.oval((0, 1.1), (0.85, 0.6), paint(rng, saturation=(0, 0.9), value=(0.2, 0.9)))
    brush.polygon([(-0.18, 0.2), (0.18, 0.2), (0.2, 0.65), (-0.2, 0.65)], shade(skin, 0.85))
    brush.oval((0, -0.25), (0.5, 0.6), hair)
    brush.oval((0, -0.1), (0.42, 0.52), skin)
    for x in (-0.17, 0.17):
        brush.oval((x, -0.18), (0.06, 0.04), (35, 30, 30))
    brush.line(ellipse((0, 0.12), (0.16, rng.uniform(0.02, 0.12)), 0, 0, np.pi), (150, 60, 60), 0.04)


def tree(rng: np.random.Generator, brush: Brush) -> None:
    """A trunk under a crown of blotches, in any season's colour; or a fir."""
    leaves = paint(rng, (30, 140), (0.4, 0.9), (0.25, 0.8))
    brush.line([(0, 1.0), (0, 0.1)], (95, 70, 45), rng.uniform(0.1, 0.22))
    if rng.random() < 0.4:
        for y in (0.45, 0.1, -0.25, -0.6):
            half = 0.35 + 0.4 * (y + 0.6)
            brush.polygon([(0, y - 0.5), (half, y), (-half, y)], shade(leaves, rng.uniform(0.8, 1.1)))
        return
    for _ in range(14):
        x, y = rng.normal(0, 0.3), rng.normal(-0.3, 0.22)
        brush.oval((x, y), (rng.uniform(0.2, 0.35), 0.25), shade(leaves, rng.uniform(0.7, 1.2)))


def house(rng: np.random.Generator, brush: Brush) -> None:
    """Walls, a gable roof, a door and windows."""
    wall, roof = paint(rng, saturation=(0, 0.4), value=(0.5, 1)), paint(rng, (0, 40), (0.2, 0.8), (0.2, 0.7))
    brush.polygon([(-0.8, -0.1), (0.8, -0.1), (0.8, 0.9), (-0.8, 0.9)], wall)
    brush.polygon([(-0.98, -0.1), (0, rng.uniform(-0.95, -0.6)), (0.98, -0.1)], roof)
    brush.polygon([(-0.12, 0.4), (0.15, 0.4), (0.15, 0.9), (-0.12, 0.9)], shade(roof, 0.7))
    for x in (-0.6, 0.35):
        brush.polygon(
            [(x, 0.1), (x + 0.28, 0.1), (x + 0.28, 0.4), (x, 0.4)], paint(rng, (190, 230), (0, 0.4), (0.3, 1))
        )


def page(rng: np.random.Generator, brush: Brush) -> None:
    """A printed page: lines of words, sometimes a diagram."""
    brush.polygon(
        [(-0.75, -0.98), (0.75, -0.98), (0.75, 0.98), (-0.75, 0.98)], paint(rng, (40, 60), (0, 0.15), (0.85, 1))
    )
    ink, top = (60, 60, 65), -0.8
    if rng.random() < 0.5:
        bars = rng.uniform(0.1, 0.6, 5)
        for x, tall in zip(np.linspace(-0.55, 0.4, 5), bars, strict=True):
            brush.polygon([(x, -0.15 - tall), (x + 0.15, -0.15 - tall), (x + 0.15, -0.15), (x, -0.15)], paint(rng))
        top = 0.0
    for y in np.arange(top, 0.85, 0.13):
        x = -0.6
        while x < rng.uniform(0.3, 0.55):
            word = rng.uniform(0.08, 0.25)
            brush.line([(x, y), (x + word, y)], ink, 0.04)
            x += word + 0.07


def pattern(rng: np.random.Generator, brush: Brush) -> None:
    """Wallpaper: stripes, checks or dots that fill the picture."""
    first, second = paint(rng, saturation=(0, 1)), paint(rng, saturation=(0, 1))
    brush.polygon([(-2, -2), (2, -2), (2, 2), (-2, 2)], first)
    step, kind = rng.uniform(0.15, 0.4), rng.integers(3)
    for x in np.arange(-1.6, 1.6, step):
        if kind == 2:
            for y in np.arange(-1.6, 1.6, step):
                brush.oval((x, y), (step * 0.3, step * 0.3), second)
            continue
        brush.line([(x, -2), (x, 2)], second, step * 0.4)
        if kind == 1:
            brush.line([(-2, x), (2, x)], shade(second, 0.8), step * 0.4)


def clutter(rng: np.random.Generator, brush: Brush) -> None:
    """A place with nothing of note in it: a few shapes lying about."""
    for _ in range(rng.integers(2, 9)):
        x, y = rng.uniform(-1, 1, 2)
        colour = paint(rng, saturation=(0, 0.9), value=(0.2, 0.95))
        thing = brush.inner((x, y), rng.uniform(0.1, 0.4), rng.uniform(0, np.pi))
        corners = int(rng.integers(3, 8))
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        if corners > 5:
            thing.oval((0, 0), (1, rng.uniform(0.3, 1)), colour)
        else:
            thing.polygon(np.stack([np.cos(angle), np.sin(angle)], 1), colour)
