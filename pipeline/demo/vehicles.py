"""The demo's vehicles and aircraft, each drawn in a frame from (-1, -1) to (1, 1), y downwards."""

import itertools

import numpy as np

from pipeline.demo.brush import Brush, Colour, ellipse, paint, shade

_BLACK = (25, 25, 28)
_GLASS = (0.0, 0.35)  # saturation of window panes


def bicycle(rng: np.random.Generator, brush: Brush) -> None:
    """Two thin spoked wheels, a diamond of tubes, saddle and handlebar; sometimes a basket or a rider."""
    radius, axle = rng.uniform(0.36, 0.46), rng.uniform(0.5, 0.56)
    y = 0.9 - radius
    tyre = (*(int(rng.integers(20, 70)),) * 3,)
    for x in (-axle, axle):
        brush.ring((x, y), radius, tyre, rng.uniform(0.03, 0.07))
        for angle in np.arange(0, np.pi, np.pi / 5) + rng.uniform(0, 1):
            dx, dy = radius * np.cos(angle), radius * np.sin(angle)
            brush.line([(x - dx, y - dy), (x + dx, y + dy)], (150, 150, 150), 0.01)
    frame, tube = paint(rng, value=(0.3, 1)), rng.uniform(0.05, 0.09)
    pedals, seat, head = (-0.05, y + 0.02), (-0.25, y - 0.55), (0.38, y - rng.uniform(0.5, 0.62))
    brush.line([(-axle, y), seat, head, (axle, y)], frame, tube)
    brush.line([(-axle, y), pedals, head], frame, tube)
    brush.line([pedals, seat, (-0.28, y - 0.66)], frame, tube)
    brush.oval((-0.3, y - 0.68), (0.17, 0.05), _BLACK)
    bar = (0.5, y - 0.72) if rng.random() < 0.5 else (0.22, y - 0.72)
    brush.line([head, (0.35, y - 0.72), bar], _BLACK, 0.05)
    brush.oval(pedals, (0.09, 0.09), shade(frame, 0.6))
    if rng.random() < 0.25:
        brush.polygon([(0.4, y - 0.65), (0.8, y - 0.65), (0.74, y - 0.35), (0.46, y - 0.35)], (150, 110, 70))
    if rng.random() < 0.3:
        _rider(rng, brush, (-0.28, y - 0.7), bar)


def motorcycle(rng: np.random.Generator, brush: Brush) -> None:
    """Two thick wheels, a tank, an engine block, a long seat and an exhaust; sometimes a screen or a rider."""
    radius, axle = rng.uniform(0.3, 0.4), rng.uniform(0.55, 0.62)
    y = 0.88 - radius
    for x in (-axle, axle):
        brush.ring((x, y), radius * 0.85, _BLACK, rng.uniform(0.12, 0.2))
        brush.ring((x, y), radius * 0.5, (140, 140, 145), 0.04)
    body, steel = paint(rng, value=(0.25, 1)), (*(int(rng.integers(90, 180)),) * 3,)
    brush.polygon([(-0.3, y - 0.2), (0.25, y - 0.25), (0.2, y + 0.2), (-0.22, y + 0.2)], steel)
    brush.line([(-0.05, y + 0.15), (-0.4, y + 0.2), (-0.9, y + rng.uniform(0, 0.15))], (170, 170, 175), 0.1)
    brush.line([(axle, y), (0.38, y - 0.55)], steel, 0.09)
    brush.line([(-axle, y), (-0.1, y - 0.05)], steel, 0.09)
    brush.oval((0.12, y - 0.4), (rng.uniform(0.26, 0.36), rng.uniform(0.14, 0.22)), body, -0.1)
    brush.polygon([(-0.8, y - 0.5), (-0.1, y - 0.42), (-0.1, y - 0.25), (-0.6, y - 0.3)], _BLACK)
    brush.polygon([(-0.9, y - 0.48), (-0.55, y - 0.35), (-0.5, y - 0.22), (-0.8, y - 0.3)], body)
    bar = (0.22, y - 0.72)
    brush.line([(0.38, y - 0.5), (0.34, y - 0.68), bar], _BLACK, 0.06)
    brush.oval((0.48, y - 0.52), (0.1, 0.11), (235, 230, 200))
    if rng.random() < 0.4:
        brush.polygon([(0.3, y - 0.6), (0.62, y - 0.35), (0.5, y - 0.15), (0.2, y - 0.3)], body)
    if rng.random() < 0.3:
        _rider(rng, brush, (-0.3, y - 0.45), bar)


def _rider(rng: np.random.Generator, brush: Brush, seat: tuple[float, float], hands: tuple[float, float]) -> None:
    coat = paint(rng, saturation=(0.1, 0.9), value=(0.2, 0.9))
    shoulder = (seat[0] + 0.25, seat[1] - 0.5)
    brush.line([seat, shoulder], coat, 0.22)
    brush.line([shoulder, hands], coat, 0.1)
    brush.line([seat, (seat[0] + 0.35, seat[1] + 0.3), (seat[0] + 0.2, seat[1] + 0.7)], shade(coat, 0.6), 0.12)
    brush.oval((shoulder[0] + 0.08, shoulder[1] - 0.18), (0.14, 0.15), paint(rng, (0, 60), (0.2, 0.9), (0.2, 0.9)))


def _wheels(rng: np.random.Generator, brush: Brush, places: tuple[float, ...], radius: float) -> None:
    hub = int(rng.integers(120, 220))
    for x in places:
        brush.oval((x, 0.55), (radius, radius), _BLACK)
        brush.oval((x, 0.55), (radius * 0.55, radius * 0.55), (hub, hub, hub))


def _pane(rng: np.random.Generator) -> Colour:
    return paint(rng, (180, 230), _GLASS, (0.2, 0.9))


def car(rng: np.random.Generator, brush: Brush) -> None:
    """A low body with a cabin: saloon, hatchback or pick-up, seen from the side; or seen from the front."""
    colour = paint(rng, saturation=(0, 1), value=(0.2, 1))
    if rng.random() < 0.2:
        _vehicle_front(rng, brush, colour, width=0.8, top=-0.35)
        return
    roof, nose, tail = rng.uniform(-0.4, -0.15), rng.uniform(0.05, 0.2), rng.uniform(-0.9, -0.4)
    brush.polygon([(-0.98, 0.5), (-0.98, 0.1), (0.6, 0.02), (0.97, nose + 0.12), (0.98, 0.5)], colour)
    front = rng.uniform(0.15, 0.35)
    brush.polygon([(tail - 0.05, 0.1), (tail + 0.2, roof), (front, roof), (front + 0.3, 0.1)], colour)
    glass, pillar = _pane(rng), rng.uniform(-0.2, 0.05)
    brush.polygon([(tail + 0.08, 0.06), (tail + 0.24, roof + 0.06), (pillar, roof + 0.06), (pillar, 0.06)], glass)
    right = [(pillar + 0.06, 0.06), (pillar + 0.06, roof + 0.06), (front - 0.03, roof + 0.06), (front + 0.18, 0.06)]
    brush.polygon(right, glass)
    brush.line([(-0.98, 0.47), (0.98, 0.47)], shade(colour, 0.6), 0.06)
    brush.oval((0.93, 0.25), (0.06, 0.05), (250, 245, 200))
    brush.oval((-0.94, 0.22), (0.04, 0.06), (200, 30, 30))
    _wheels(rng, brush, (-rng.uniform(0.52, 0.62), rng.uniform(0.52, 0.62)), rng.uniform(0.17, 0.24))


def bus(rng: np.random.Generator, brush: Brush) -> None:
    """A long high box with a row of windows, sometimes two rows; or seen from the front."""
    colour = paint(rng, saturation=(0, 1), value=(0.3, 1))
    if rng.random() < 0.2:
        _vehicle_front(rng, brush, colour, width=0.62, top=-0.9)
        return
    double = rng.random() < 0.25
    top = -0.85 if double else rng.uniform(-0.5, -0.2)
    brush.polygon([(-1, 0.5), (-1, top + 0.05), (-0.95, top), (0.93, top), (1, top + 0.1), (1, 0.5)], colour)
    glass, panes = _pane(rng), int(rng.integers(4, 8))
    for y in (top + 0.1, -0.1) if double else (top + 0.1,):
        for x in np.linspace(-0.92, 0.62, panes):
            step = 1.25 / panes
            brush.polygon([(x, y), (x + step, y), (x + step, y + 0.28), (x, y + 0.28)], glass)
    brush.polygon([(0.72, top + 0.35), (0.86, top + 0.35), (0.86, 0.48), (0.72, 0.48)], shade(glass, 0.8))
    brush.line([(-1, 0.25), (0.7, 0.25)], paint(rng, saturation=(0, 1)), rng.uniform(0.03, 0.12))
    _wheels(rng, brush, (-rng.uniform(0.5, 0.65), rng.uniform(0.4, 0.55)), rng.uniform(0.14, 0.19))


def _vehicle_front(rng: np.random.Generator, brush: Brush, colour: Colour, width: float, top: float) -> None:
    for x in (-width * 0.75, width * 0.75):
        brush.polygon([(x - 0.13, 0.4), (x + 0.13, 0.4), (x + 0.13, 0.75), (x - 0.13, 0.75)], _BLACK)
    waist, shoulder = 0.1, width * 0.85
    brush.polygon(
        [(-width, waist), (-shoulder, top), (shoulder, top), (width, waist), (width, 0.6), (-width, 0.6)], colour
    )
    low, high, inset = waist - 0.05, top + 0.09, shoulder - 0.07
    brush.polygon([(-width + 0.1, low), (-inset, high), (inset, high), (width - 0.1, low)], _pane(rng))
    brush.polygon([(-0.3, 0.3), (0.3, 0.3), (0.3, 0.45), (-0.3, 0.45)], shade(colour, 0.45))
    for x in (-width * 0.75, width * 0.75):
        brush.oval((x, 0.3), (0.11, 0.08), (250, 245, 210))


def balloon(rng: np.random.Generator, brush: Brush) -> None:
    """A hot-air balloon: a striped bag narrowing downwards, ropes, a basket; or a toy balloon on a string."""
    first, second = paint(rng), paint(rng, saturation=(0, 1))
    waist = rng.uniform(0.62, 0.8)
    if rng.random() < 0.25:
        brush.line([(0, 0.5), (0.08, 0.75), (-0.04, 1.0)], (90, 90, 90), 0.02)
        brush.polygon([(0, 0.38), (0.09, 0.52), (-0.09, 0.52)], shade(first, 0.8))
        brush.oval((0, -0.25), (waist * 0.8, 0.68), first)
        brush.oval((-0.22, -0.5), (0.1, 0.16), shade(first, 1.5), 0.4)
        return
    down = np.linspace(-1, 0.5, 20)
    half = waist * np.sqrt(np.clip(1 - ((down + 0.3) / 0.72) ** 2, 0.03, 1))
    half[down > 0] = np.linspace(half[down <= 0][-1], 0.15, int((down > 0).sum()))
    stripes = int(rng.integers(4, 8))
    edges = np.linspace(-np.pi / 2, np.pi / 2, stripes + 1)
    for number, (left, right) in enumerate(itertools.pairwise(np.sin(edges))):
        outline = np.concatenate([np.stack([half * left, down], 1), np.stack([half * right, down], 1)[::-1]])
        brush.polygon(outline, first if number % 2 else second)
    for x in (-0.12, 0.12):
        brush.line([(x, 0.5), (x * 0.8, 0.78)], (80, 70, 60), 0.02)
    brush.polygon([(-0.13, 0.75), (0.13, 0.75), (0.1, 0.97), (-0.1, 0.97)], (120, 85, 50))


def parachute(rng: np.random.Generator, brush: Brush) -> None:
    """A canopy like half a shell or a long wing, many lines running together, a jumper below."""
    first, second = paint(rng), paint(rng, saturation=(0, 1))
    wing = rng.random() < 0.45
    width, height, rim = (0.98, rng.uniform(0.25, 0.4), -0.45) if wing else (rng.uniform(0.75, 0.95), 0.75, -0.2)
    depth = -0.15 if wing else 0.08
    cells = int(rng.integers(5, 9))
    for x in np.linspace(-width, width, cells + 1):
        brush.line([(x, rim + depth * (1 - (x / width) ** 2)), (0, 0.6)], (70, 70, 75), 0.015)
    edges = np.linspace(-width, width, cells + 1)
    for number, (left, right) in enumerate(itertools.pairwise(edges)):
        across = np.linspace(left, right, 6)
        top = rim - height * np.sqrt(1 - (across / width) ** 2)
        base = rim + depth * (1 - (across / width) ** 2)
        outline = np.concatenate([np.stack([across, top], 1), np.stack([across, base], 1)[::-1]])
        brush.polygon(outline, first if number % 2 else second)
    suit = paint(rng, value=(0.2, 0.8))
    brush.line([(0, 0.6), (0, 0.78)], suit, 0.13)
    brush.line([(-0.07, 0.97), (0, 0.78), (0.07, 0.97)], suit, 0.06)
    brush.oval((0, 0.54), (0.07, 0.08), (60, 45, 40))
    brush.line(ellipse((0, 0.62), (0.14, 0.12), 0, np.pi, 2 * np.pi), suit, 0.04)
