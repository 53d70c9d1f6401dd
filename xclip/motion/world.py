"""Generated world of captioned clips: one coloured shape that moves in one of eight ways.

Direction is the point: every motion has an opposite that shows the same frames in another order,
so a model that ignores time cannot tell them apart. A fixed eighth of all combinations of colour,
shape and motion never occurs in training (`HELD_OUT`), each together with its opposite. Of these,
one half (`CALIBRATION`) is for fitting confidence and the other (`EVALUATION`) for measuring it.

Places and sizes are fractions of the short edge of the frame, measured in the centred square that
a model's centre crop keeps; x runs right, y runs down. Time runs from 0 to 1 over the event.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 35, 35),
    "green": (40, 190, 60),
    "blue": (45, 80, 235),
    "yellow": (240, 225, 50),
    "purple": (165, 50, 205),
    "orange": (245, 140, 25),
    "white": (245, 245, 245),
    "cyan": (50, 220, 225),
}
SHAPES = ("circle", "square", "triangle", "star", "ring")
MOTIONS: dict[str, tuple[str, ...]] = {
    "left": ("moving left", "moves left", "moving to the left", "goes left"),
    "right": ("moving right", "moves right", "moving to the right", "goes right"),
    "up": ("moving up", "moves up", "moving upwards", "rises"),
    "down": ("moving down", "moves down", "moving downwards", "falls"),
    "grow": ("growing", "grows", "getting bigger", "becomes larger"),
    "shrink": ("shrinking", "shrinks", "getting smaller", "becomes smaller"),
    "clockwise": ("circling clockwise", "circles clockwise", "going around clockwise"),
    "anticlockwise": (
        "circling anticlockwise",
        "circles anticlockwise",
        "going around anticlockwise",
    ),
}
OPPOSITE = {
    "left": "right",
    "right": "left",
    "up": "down",
    "down": "up",
    "grow": "shrink",
    "shrink": "grow",
    "clockwise": "anticlockwise",
    "anticlockwise": "clockwise",
}


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What a clip shows: the three words that a caption names."""

    colour: str
    shape: str
    motion: str

    @property
    def opposite(self) -> Subject:
        """The same shape with the motion reversed."""
        return Subject(self.colour, self.shape, OPPOSITE[self.motion])

    @property
    def caption(self) -> str:
        """The plain caption, as used in evaluation."""
        return f"{article(self.colour)} {self.colour} {self.shape} {MOTIONS[self.motion][0]}"


def article(word: str) -> str:
    """Return "a" or "an"."""
    return "an" if word[0] in "aeiou" else "a"


def _is_held_out(colour: int, shape: int, motion: int) -> bool:
    """One colour for each shape and pair of opposite motions, so all words are held out evenly.

    Opposites are held out together: among the held-out clips, only the direction of motion tells
    one from the other, and colour and shape alone do not find the right one.
    """
    return (colour + 3 * shape + 2 * (motion // 2)) % len(COLOURS) == 0


def _subjects(held_out: bool) -> tuple[Subject, ...]:
    words = itertools.product(enumerate(COLOURS), enumerate(SHAPES), enumerate(MOTIONS))
    return tuple(
        Subject(colour, shape, motion)
        for (c, colour), (s, shape), (m, motion) in words
        if _is_held_out(c, s, m) == held_out
    )


HELD_OUT = _subjects(held_out=True)
TRAINING = _subjects(held_out=False)


def _halves() -> tuple[tuple[Subject, ...], tuple[Subject, ...]]:
    """Split the held-out subjects in two alike in motions, opposites kept together."""
    pairs = sorted(
        {min(subject, subject.opposite) for subject in HELD_OUT},
        key=lambda subject: (subject.motion, subject.shape),
    )
    first = {one for pair in pairs[::2] for one in (pair, pair.opposite)}
    return (
        tuple(subject for subject in HELD_OUT if subject in first),
        tuple(subject for subject in HELD_OUT if subject not in first),
    )


# What confidence is fitted on, and what it is measured on: neither was seen in training.
CALIBRATION, EVALUATION = _halves()


def phrasing(subject: Subject, random: np.random.Generator) -> str:
    """One of the ways to say what a clip shows."""
    start = str(random.choice([f"{article(subject.colour)} ", "the ", ""]))
    verb = str(random.choice(MOTIONS[subject.motion]))
    return f"{start}{subject.colour} {subject.shape} {verb}"


def vocabulary() -> list[str]:
    """Every word that a caption can hold, sorted."""
    phrases = [phrase for phrases in MOTIONS.values() for phrase in phrases]
    places = ["in the middle", "at the top", "at the bottom", "at the left", "at the right"]
    return sorted({"a", "an", *COLOURS, *SHAPES, *" ".join(phrases + places).split()})


@dataclass(frozen=True, slots=True)
class Scene:
    """One event, drawn: where, how large, how far, on what background.

    x, y : the centre of the shape's path; extent : how far it moves (or the circle's diameter);
    radius : the shape's size at its largest; ratio : smallest over largest when growing or
    shrinking; turn, tilt : radians; background : two RGB colours of a vertical or horizontal
    gradient; noise : standard deviation of grain, in grey levels.
    """

    subject: Subject
    x: float
    y: float
    extent: float
    radius: float
    ratio: float
    turn: float
    tilt: float
    tint: tuple[float, float, float]
    background: tuple[tuple[float, float, float], tuple[float, float, float]]
    horizontal: bool
    noise: float


def sample_scene(subject: Subject, random: np.random.Generator) -> Scene:
    """Draw the size, speed, place, background and noise of a clip that shows `subject`."""
    radius = random.uniform(0.11, 0.19)
    extent = random.uniform(0.35, 1.0 - 2 * radius - 0.04)
    slack = 0.5 - extent / 2 - radius
    free = 0.5 - radius - 0.02
    x, y = 0.5 + random.uniform(-free, free, 2)
    if subject.motion in ("left", "right"):
        x = 0.5 + random.uniform(-slack, slack)
    elif subject.motion in ("up", "down"):
        y = 0.5 + random.uniform(-slack, slack)
    elif subject.motion.endswith("clockwise"):
        x, y = 0.5 + random.uniform(-slack, slack, 2)
    dark = random.uniform(15, 95)
    colours = dark + random.uniform(-14, 14, (2, 3)) + random.uniform(-12, 12, (2, 1))
    colours = np.clip(colours, 0, 255)
    return Scene(
        subject=subject,
        x=float(x),
        y=float(y),
        extent=float(extent),
        radius=float(radius) * (1.25 if subject.motion in ("grow", "shrink") else 1.0),
        ratio=random.uniform(0.35, 0.55),
        turn=random.uniform(0, 2 * np.pi),
        tilt=random.uniform(-0.3, 0.3),
        tint=_triple(random.uniform(-12, 12, 3)),
        background=(_triple(colours[0]), _triple(colours[1])),
        horizontal=bool(random.integers(2)),
        noise=random.uniform(0, 6),
    )


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def place(scene: Scene, times: Array) -> tuple[Array, Array, Array]:
    """Return x, y and radius at each time, shape = (T,) each."""
    along = (times - 0.5) * scene.extent
    x, y = np.full_like(times, scene.x), np.full_like(times, scene.y)
    radius = np.full_like(times, scene.radius)
    match scene.subject.motion:
        case "left":
            x = x - along
        case "right":
            x = x + along
        case "up":
            y = y - along
        case "down":
            y = y + along
        case "grow":
            radius = radius * (scene.ratio + (1 - scene.ratio) * times)
        case "shrink":
            radius = radius * (1 - (1 - scene.ratio) * times)
        case direction:
            # Two thirds of a turn to a turn and a sixth; y runs down, so angles grow clockwise.
            sweep = 2 * np.pi * (0.4 + 0.85 * scene.extent)
            angle = scene.turn + (sweep if direction == "clockwise" else -sweep) * times
            x, y = x + np.cos(angle) * scene.extent / 2, y + np.sin(angle) * scene.extent / 2
    return x.astype(np.float32), y.astype(np.float32), radius.astype(np.float32)


def whereabouts(scene: Scene) -> str:
    """Say where in the frame the shape is on average, as in "at the top left"."""
    x, y, _ = place(scene, np.linspace(0, 1, 9, dtype=np.float32))
    vertical = "top" if y.mean() < 0.4 else "bottom" if y.mean() > 0.6 else ""
    horizontal = "left" if x.mean() < 0.4 else "right" if x.mean() > 0.6 else ""
    words = f"{vertical} {horizontal}".strip()
    return f"at the {words}" if words else "in the middle"


def render(
    scene: Scene, times: NDArray[np.floating], width: int, height: int, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw the scene: frames uint8, shape = (T, height, width, 3), RGB."""
    x, y, radius = place(scene, np.asarray(times, dtype=np.float32))
    columns, rows = grid(width, height)
    dx = columns[None, None, :] - x[:, None, None]  # (T, 1, W)
    dy = rows[None, :, None] - y[:, None, None]  # (T, H, 1)
    shade, _, _ = cover(scene, dx, dy, radius, min(width, height))
    background = backdrop(scene, width, height)
    frames = background + shade[..., None] * (paint(scene) - background)  # (T, H, W, 3)
    return with_grain(frames, scene.noise, random)


def grid(width: int, height: int) -> tuple[Array, Array]:
    """The places of the pixels' centres, shape = (width,) and (height,)."""
    short = min(width, height)
    columns = (np.arange(width, dtype=np.float32) + 0.5 - (width - short) / 2) / short
    rows = (np.arange(height, dtype=np.float32) + 0.5 - (height - short) / 2) / short
    return columns, rows


def cover(
    scene: Scene, dx: Array, dy: Array, radius: Array, short: int
) -> tuple[Array, Array, Array]:
    """How much of each pixel the shape covers, and each pixel's place in the shape's own axes.

    dx, dy : from the shape's centre, broadcast to (T, H, W); radius : shape = (T,); short : pixels
    """
    cos, sin = np.float32(np.cos(scene.tilt)), np.float32(np.sin(scene.tilt))
    u, v = cos * dx + sin * dy, cos * dy - sin * dx  # (T, H, W)
    distance = signed_distance(scene.subject.shape, u, v, radius[:, None, None])
    return np.clip(0.5 - distance * short, 0, 1), u, v  # antialiased over one pixel


def backdrop(scene: Scene, width: int, height: int) -> Array:
    """The background's gradient, shape = (1, 1, W, 3) or (1, H, 1, 3), grey levels."""
    ramp = np.linspace(0, 1, width if scene.horizontal else height, dtype=np.float32)
    ramp = ramp[None, None, :, None] if scene.horizontal else ramp[None, :, None, None]
    first, second = (np.asarray(colour, dtype=np.float32) for colour in scene.background)
    return np.asarray(first * (1 - ramp) + second * ramp)


def paint(scene: Scene) -> Array:
    """The shape's colour, shape = (3,), grey levels."""
    return np.add(COLOURS[scene.subject.colour], scene.tint, dtype=np.float32)


def with_grain(frames: Array, noise: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """The frames with grain of the given deviation, as pixels."""
    count, height, width, _ = frames.shape
    grain = random.standard_normal((count, height, width, 1), dtype=np.float32)
    grey: Array = np.clip(frames + noise * grain, 0, 255)
    return grey.astype(np.uint8)


def signed_distance(shape: str, u: Array, v: Array, radius: Array) -> Array:
    """Distance from the outline of a shape around the origin, negative inside; approximate."""
    if shape == "circle":
        return np.asarray(np.hypot(u, v) - radius)
    if shape == "ring":
        return np.asarray(np.abs(np.hypot(u, v) - 0.75 * radius) - 0.25 * radius)
    if shape == "square":
        return np.asarray(np.maximum(np.abs(u), np.abs(v)) - 0.85 * radius)
    if shape == "triangle":
        return np.asarray(np.maximum(0.866 * np.abs(u) - 0.5 * v, v) - 0.55 * radius)
    return _star_distance(u, v, radius)


def _star_distance(u: Array, v: Array, radius: Array) -> Array:
    """A five-pointed star: fold the angle into half a point, then one straight edge remains."""
    fifth = 2 * np.pi / 5
    angle = np.arctan2(u, -v)
    angle = np.abs((angle + fifth / 2) % fifth - fifth / 2)
    far = np.hypot(u, v)
    x, y = far * np.sin(angle), far * np.cos(angle)
    outer, inner = 1.1 * radius, 0.45 * radius
    inner_x, inner_y = inner * np.sin(fifth / 2), inner * np.cos(fifth / 2)
    edge_x, edge_y = inner_x, inner_y - outer
    length = np.hypot(edge_x, edge_y)
    return np.asarray((x * -edge_y + (y - outer) * edge_x) / length, dtype=np.float32)
