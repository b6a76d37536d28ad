"""The demo's flowers and fruit, each drawn in a frame from (-1, -1) to (1, 1), y downwards."""

import numpy as np

from pipeline.demo.brush import Brush, Colour, ellipse, paint, shade

_LEAF = ((85.0, 140.0), (0.4, 0.9), (0.25, 0.7))  # hue, saturation, value


def _stalk(rng: np.random.Generator, brush: Brush, top: float) -> None:
    green = paint(rng, *_LEAF)
    bend = rng.normal(0, 0.2)
    brush.line([(0, top), (bend / 2, (top + 1) / 2), (bend, 1.1)], green, 0.07)
    if rng.random() < 0.6:
        brush.oval((bend + 0.25, 0.75), (0.28, 0.1), green, -0.5)


def daisy(rng: np.random.Generator, brush: Brush) -> None:
    """Many narrow rays round a flat yellow disc, seen from above or obliquely."""
    head = brush.inner((0, -0.2), rng.uniform(0.65, 0.8))
    _stalk(rng, brush, -0.2)
    white = rng.random() < 0.75
    ray = paint(rng, (0, 360), (0, 0.12), (0.85, 1)) if white else paint(rng, (270, 420), (0.3, 0.9), (0.6, 1))
    rays, flat, first = int(rng.integers(9, 19)), rng.uniform(0.5, 1), rng.uniform(0, 1)
    for angle in first + np.linspace(0, 2 * np.pi, rays, endpoint=False):
        place = (0.6 * np.cos(angle), 0.6 * flat * np.sin(angle))
        turn = float(np.arctan2(place[1], place[0]))
        tone = shade(ray, rng.uniform(0.8, 1.05))
        head.oval(place, (0.4 * np.hypot(*place) / 0.6, rng.uniform(0.08, 0.15)), tone, turn)
    disc = rng.uniform(0.22, 0.36)
    centre = paint(rng, (35, 55), (0.7, 1), (0.6, 1))
    head.oval((0, 0), (disc, disc * flat), centre)
    head.oval((0, 0.04), (disc * 0.6, disc * flat * 0.6), shade(centre, 0.8))


def corolla(rng: np.random.Generator, brush: Brush) -> None:
    """Four to six broad joined petals round a narrow throat; or the same flower as a bell from the side."""
    _stalk(rng, brush, -0.1)
    white = rng.random() < 0.15
    petal = paint(rng, (0, 360), (0, 0.12), (0.85, 1)) if white else paint(rng, (230, 420), (0.3, 0.9), (0.55, 1))
    if rng.random() < 0.3:
        _bell(rng, brush, petal)
        return
    head, petals = brush.inner((0, -0.2), rng.uniform(0.65, 0.8)), int(rng.integers(4, 7))
    first, flat = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1)
    breadth = rng.uniform(0.8, 1.05) * np.pi / petals * 0.6
    for angle in first + np.linspace(0, 2 * np.pi, petals, endpoint=False):
        place = (0.55 * np.cos(angle), 0.55 * flat * np.sin(angle))
        turn = float(np.arctan2(place[1], place[0]))
        head.oval(place, (0.45 * np.hypot(*place) / 0.55, breadth), shade(petal, rng.uniform(0.85, 1.05)), turn)
        head.line([(0, 0), (1.4 * place[0], 1.4 * place[1])], shade(petal, 0.7), 0.03)
    throat = rng.uniform(0.1, 0.24)
    dark_or_yellow = shade(petal, 0.45) if rng.random() < 0.4 else paint(rng, (40, 75), (0.5, 1), (0.6, 1))
    head.oval((0, 0), (throat, throat * flat), dark_or_yellow)


def _bell(rng: np.random.Generator, brush: Brush, petal: Colour) -> None:
    flare, lobes = rng.uniform(0.6, 0.85), int(rng.integers(3, 6))
    bell = brush.inner((0, -0.2), 0.85, rng.uniform(-0.8, 0.8))
    rim = [
        (x, -0.55 - (0.22 if number % 2 else 0)) for number, x in enumerate(np.linspace(-flare, flare, 2 * lobes + 1))
    ]
    bell.polygon([(-0.12, 0.5), (-0.25, 0), *rim, (0.25, 0), (0.12, 0.5)], petal)
    for x in (-0.3, 0, 0.3):
        bell.line([(x * flare, -0.55), (x * 0.3, 0.3)], shade(petal, 0.75), 0.03)
    bell.oval((0, 0.5), (0.16, 0.14), paint(rng, *_LEAF))


def _body(
    rng: np.random.Generator, brush: Brush, outline: np.ndarray[tuple[int, int], np.dtype[np.float64]], colour: Colour
) -> None:
    """A round thing: its shadow, its outline, a darker side and a gleam."""
    brush.oval((0.15, 0.8), (0.75, 0.15), shade(colour, 0.3))
    brush.polygon(outline, shade(colour, 0.75))
    brush.polygon(outline * 0.88 + [-0.06, -0.05], colour)
    if rng.random() < 0.6:
        brush.oval((-0.3, -0.35), (rng.uniform(0.08, 0.18), 0.12), shade(colour, 1.5), 0.6)


def apple(rng: np.random.Generator, brush: Brush) -> None:
    """A heart-shaped fruit, red to green, with a dip, a stalk and often a leaf; or a half with its core."""
    hue = ((-15, 15), (55, 110), (25, 50))[rng.choice(3, p=(0.5, 0.3, 0.2))]
    skin = paint(rng, hue, (0.55, 0.95), (0.5, 0.95))
    angle = np.linspace(0, 2 * np.pi, 48)
    radius = (
        0.82 - 0.16 * np.exp(-(((angle - 1.5 * np.pi) / 0.4) ** 2)) - 0.06 * np.exp(-(((angle - np.pi / 2) / 0.3) ** 2))
    )
    outline = np.stack([radius * np.cos(angle) * rng.uniform(0.92, 1.08), radius * np.sin(angle)], 1)
    if rng.random() < 0.2:
        brush.polygon(outline, skin)
        brush.polygon(outline * 0.9, paint(rng, (45, 60), (0.1, 0.3), (0.85, 1)))
        brush.oval((0, 0.05), (0.2, 0.28), (225, 205, 150))
        for x in (-0.09, 0.09):
            brush.oval((x, 0.08), (0.05, 0.1), (80, 50, 30))
    else:
        _body(rng, brush, outline, skin)
        if rng.random() < 0.5:
            blush = paint(rng, (-10, 70), (0.5, 0.9), (0.5, 0.9))
            brush.oval((rng.uniform(0.1, 0.35), 0.1), (0.25, 0.4), blush, rng.uniform(-0.4, 0.4))
    brush.line([(0, -0.6), (0.08, -0.98)], (85, 60, 35), 0.08)
    if rng.random() < 0.5:
        brush.oval((0.3, -0.85), (0.25, 0.1), paint(rng, *_LEAF), -0.4)


def orange(rng: np.random.Generator, brush: Brush) -> None:
    """A round fruit, yellow to deep orange or half green, with a pitted skin; or a slice with its segments."""
    skin = paint(rng, (18, 48) if rng.random() < 0.8 else (48, 80), (0.7, 1), (0.65, 1))
    outline = ellipse((0, 0), (0.82, 0.82 * rng.uniform(0.9, 1.02)))
    if rng.random() < 0.3:
        brush.polygon(outline, skin)
        brush.oval((0, 0), (0.74, 0.72), (250, 235, 200))
        flesh = shade(skin, 1.05)
        for turn in np.arange(0, 2 * np.pi, 2 * np.pi / 9) + rng.uniform(0, 1):
            tips = [(0.68 * np.cos(turn + d), 0.66 * np.sin(turn + d)) for d in (-0.28, 0.0, 0.28)]
            brush.polygon([(0.08 * np.cos(turn), 0.08 * np.sin(turn)), *tips], flesh)
        return
    _body(rng, brush, outline, skin)
    for _ in range(rng.integers(10, 30)):
        x, y = rng.uniform(-0.55, 0.55, 2)
        brush.oval((x, y), (0.03, 0.03), shade(skin, 0.8))
    navel = rng.uniform(-0.4, 0.4, 2)
    if rng.random() < 0.6:
        brush.oval((navel[0], navel[1] - 0.3), (0.08, 0.06), paint(rng, *_LEAF))
    if rng.random() < 0.25:
        brush.oval((0.25, -0.85), (0.28, 0.1), paint(rng, *_LEAF), -0.4)
