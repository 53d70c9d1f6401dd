"""Synthetic test clips: the words of motion-tiny drawn a second time, by Pillow, in other scenes.

A model that learned one renderer's habits instead of the words fails here. So this module shares no
code with `xclip.motion`, and no lesson may use it: other outlines, shades, paths and speeds,
soft edges, grain, and backgrounds from dark to bright, from smooth to blotchy, under a camera that
may pan. `Conditions` says which of these a clip has; the same seed draws the same event in each.

Places and sizes are fractions of the frame's short edge, from the centre of the frame; x runs
right, y runs down. Time runs from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Random = np.random.Generator
Vector = NDArray[np.float64]
Range = tuple[float, float]

SHADES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "red": ((200, 16, 46), (255, 62, 50), (165, 25, 25)),
    "green": ((0, 140, 70), (90, 205, 80), (34, 120, 40)),
    "blue": ((20, 60, 170), (70, 120, 255), (35, 45, 135)),
    "yellow": ((255, 214, 10), (245, 238, 90), (225, 200, 30)),
    "purple": ((120, 40, 160), (180, 90, 220), (100, 30, 130)),
    "orange": ((255, 130, 0), (240, 150, 60), (228, 108, 20)),
    "white": ((255, 255, 255), (232, 232, 228), (240, 244, 250)),
    "cyan": ((0, 200, 215), (110, 235, 240), (30, 175, 190)),
}
SHAPES = ("circle", "square", "triangle", "star", "ring")
STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
TURNS = {"clockwise": 1, "anticlockwise": -1}
SIZES = ((144, 144), (192, 144), (256, 144), (144, 192), (180, 180))  # width, height in pixels
FRAME_RATES = (12, 15, 24)
SECONDS = (3.0, 4.0, 4.0, 4.0, 5.0, 6.0)
FARTHEST_PAN = 0.12
LEAST_CONTRAST = 90.0  # between a shape and its background, as a distance of RGB values

_OVERSAMPLING = 3
_ENCODING = {"crf": "20", "preset": "veryfast"}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a clip's scene is drawn from; each is the lowest and the highest value.

    level : the background's brightness, grey levels; texture : the deviation of its blotches, grey
    levels; size : of the shape, as a share of the usual one; pan : how far the camera moves
    """

    name: str
    level: Range = (15, 70)
    texture: Range = (0, 0)
    size: Range = (1, 1)
    pan: Range = (0, 0)


PLAIN = Conditions("plain, dark")
BRIGHT = replace(PLAIN, name="bright", level=(110, 225))
TEXTURED = replace(PLAIN, name="textured", texture=(15, 35))
SMALL = replace(PLAIN, name="half the size", size=(0.5, 0.5))
PANNED = replace(PLAIN, name="camera pans", pan=(0.05, FARTHEST_PAN))
ONE_AT_A_TIME = (PLAIN, BRIGHT, TEXTURED, SMALL, PANNED)
EVERYTHING = Conditions("everything", (15, 225), (0, 35), (0.5, 1), (0, FARTHEST_PAN))


@dataclass(frozen=True)
class OtherClip:
    """A clip that can be written; the same plan makes the same frames."""

    name: str
    colour: str
    shape: str
    motion: str
    conditions: Conditions
    seed: int

    def write(self, folder: Path) -> Path:
        """Write the clip as `name` into the folder, H.264 in mp4; returns the file."""
        path = folder / self.name
        size, rate, seconds = self._format
        drawing = Drawing(self, size, seconds)
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", rate=rate, options=_ENCODING)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.codec_context.thread_count = 1  # the same bytes anywhere
            for number, time in enumerate(np.linspace(0, 1, round(seconds * rate))):
                frame = av.VideoFrame.from_ndarray(drawing.frame(float(time)), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    @property
    def _format(self) -> tuple[tuple[int, int], int, float]:
        """Width and height in pixels, frames per second, seconds."""
        random = self.random(0)
        size = SIZES[random.integers(len(SIZES))]
        return size, int(random.choice(FRAME_RATES)), float(random.choice(SECONDS))

    def random(self, part: int) -> Random:
        """Random numbers for one part of the drawing, whatever the other parts draw."""
        return np.random.default_rng([self.seed, part])


class Drawing:
    """One clip's shape, path, background and camera, as drawn from its seed."""

    def __init__(self, clip: OtherClip, size: tuple[int, int], seconds: float) -> None:
        self._clip = clip
        self._size = size
        self._short = min(size)
        self._grain = clip.random(3)
        random = clip.random(1)
        self._colour = _shade(clip.colour, random)
        self._outline = _outline(clip.shape, random)
        self._softness = random.uniform(0, 1.2)  # pixels
        self._noise = random.uniform(0, 6)  # grey levels
        self._path = Course.draw(clip.motion, clip.conditions, random)

    def frame(self, time: float) -> NDArray[np.uint8]:
        """The picture at a moment: uint8, shape = (height, width, 3), RGB."""
        shape = Image.new("RGB", self._size, self._colour)
        picture = Image.composite(shape, self._view(time), self._mask(time))
        width, height = self._size
        grain = self._grain.standard_normal((height, width, 1), dtype=np.float32)
        grey = np.asarray(picture, np.float32) + np.float32(self._noise) * grain
        return np.clip(grey, 0, 255).astype(np.uint8)

    def _mask(self, time: float) -> Image.Image:
        """How much of each pixel the shape covers."""
        scale = self._short * _OVERSAMPLING
        large = Image.new("L", (self._size[0] * _OVERSAMPLING, self._size[1] * _OVERSAMPLING))
        place, radius = self._path.at(time)
        centre = place * scale + np.array(large.size) / 2
        pen = ImageDraw.Draw(large)
        for corners, value in self._outline:
            points = corners * radius * scale + centre
            pen.polygon([(float(x), float(y)) for x, y in points], fill=value)
        return large.reduce(_OVERSAMPLING).filter(ImageFilter.GaussianBlur(self._softness))

    def _view(self, time: float) -> Image.Image:
        """The part of the background that the camera sees."""
        width, height = self._size
        margin = np.array(self._ground.size) / 2 - np.array(self._size) / 2
        left, top = margin - self._path.camera(time) * self._short
        box = (float(left), float(top), float(left + width), float(top + height))
        return self._ground.resize(self._size, Image.Resampling.BILINEAR, box=box)

    @cached_property
    def _ground(self) -> Image.Image:
        """The background, larger than the frame by what the camera may move."""
        margin = round(FARTHEST_PAN * self._short)
        size = (self._size[0] + margin, self._size[1] + margin)
        return _ground(self._clip, size, self._colour)


@dataclass(frozen=True, slots=True)
class Course:
    """Where the shape is and how large, and where the camera has moved what it sees.

    reach : how far it moves, or the circle's diameter; radius : at its largest; ratio : smallest
    over largest; ease : from 0, an even speed, to 1, a slow beginning and end; start, sweep :
    radians of the circle; drift : what the camera moves over the whole time
    """

    motion: str
    centre: Vector
    reach: float
    radius: float
    ratio: float
    ease: float
    start: float
    sweep: float
    drift: Vector

    @classmethod
    def draw(cls, motion: str, conditions: Conditions, random: Random) -> Course:
        """Draw a path that stays in the centred square."""
        radius = random.uniform(0.11, 0.19) * random.uniform(*conditions.size)
        if motion in ("grow", "shrink"):
            radius *= 1.2
        towards = random.uniform(0, 2 * np.pi)
        drift = random.uniform(*conditions.pan) * np.array([np.cos(towards), np.sin(towards)])
        room = 0.49 - 1.15 * radius - FARTHEST_PAN / 2
        reach = 2 * room * random.uniform(0.75, 1)
        slack = np.full(2, room)
        if motion in STEPS:
            slack -= np.abs(STEPS[motion]) * reach / 2
        elif motion in TURNS:
            slack -= reach / 2
        return cls(
            motion=motion,
            centre=random.uniform(-1, 1, 2) * slack,
            reach=reach,
            radius=radius,
            ratio=random.uniform(0.35, 0.55),
            ease=random.uniform(0, 0.8),
            start=random.uniform(0, 2 * np.pi),
            sweep=random.uniform(0.7, 1.2) * 2 * np.pi,
            drift=drift,
        )

    def at(self, time: float) -> tuple[Vector, float]:
        """The shape's centre, as the camera shows it, and its radius."""
        smooth = time * time * (3 - 2 * time)
        time += self.ease * (smooth - time)
        place = self.centre + self.camera(time)
        radius = self.radius
        if self.motion in STEPS:
            place = place + np.array(STEPS[self.motion]) * self.reach * (time - 0.5)
        elif self.motion in TURNS:  # y runs down, so angles grow clockwise
            angle = self.start + TURNS[self.motion] * self.sweep * time
            place = place + np.array([np.cos(angle), np.sin(angle)]) * self.reach / 2
        else:
            grown = time if self.motion == "grow" else 1 - time
            radius *= self.ratio + (1 - self.ratio) * grown
        return place, radius

    def camera(self, time: float) -> Vector:
        """How far the camera has moved what it sees."""
        return np.asarray(self.drift * (time - 0.5))


def _shade(colour: str, random: Random) -> tuple[int, int, int]:
    shades = SHADES[colour]
    shade = shades[random.integers(len(shades))] + random.uniform(-10, 10, 3)
    red, green, blue = np.clip(shade, 0, 255).round().astype(int).tolist()
    return red, green, blue


def _outline(shape: str, random: Random) -> list[tuple[Vector, int]]:
    """Polygons to fill one over the other, around the origin, for a radius of 1."""
    tilt = random.uniform(-0.3, 0.3)
    inner = random.uniform(0.4, 0.5)  # of a star; a ring's hole is a little wider
    if shape == "circle":
        return [(_corners(72, 1.0, 0), 255)]
    if shape == "ring":
        return [(_corners(72, 1.0, 0), 255), (_corners(72, 0.1 + inner, 0), 0)]
    if shape == "square":
        return [(_corners(4, 1.15, tilt + np.pi / 4), 255)]
    if shape == "triangle":
        return [(_corners(3, 1.15, tilt), 255)]
    points = np.empty((10, 2))
    points[::2] = _corners(5, 1.15, tilt)
    points[1::2] = _corners(5, 1.15 * inner, tilt + np.pi / 5)
    return [(points, 255)]


def _corners(count: int, radius: float, turn: float) -> Vector:
    """A regular polygon, its first corner at the top: shape = (count, 2)."""
    angles = turn - np.pi / 2 + 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _ground(clip: OtherClip, size: tuple[int, int], colour: tuple[int, int, int]) -> Image.Image:
    """A background that the shape's colour can be told from: a gradient, and blotches on it."""
    random = clip.random(2)
    blotches = random.uniform(*clip.conditions.texture) * _fractal(size, random)
    uneven = 1 + random.uniform(-0.4, 0.4, 3)  # blotches are not grey
    slope = random.uniform(0, 40) * _ramp(size, random.uniform(0, 2 * np.pi))
    spread = random.uniform(0.6, 1, 3)
    pattern = blotches[..., None] * uneven + slope[..., None] * spread
    base = _base(clip.conditions.level, np.array(colour, np.float64), random)
    return Image.fromarray(np.clip(base + pattern, 0, 255).astype(np.uint8))


def _base(level: Range, colour: Vector, random: Random) -> Vector:
    """The first background colour far enough from the shape's, or the farthest of many."""
    drawn = random.uniform(*level, (50, 1)) + random.uniform(-25, 25, (50, 3))
    far = np.linalg.norm(drawn - colour, axis=1)
    is_far = far >= LEAST_CONTRAST
    return np.asarray(drawn[is_far.argmax() if is_far.any() else far.argmax()])


def _ramp(size: tuple[int, int], angle: float) -> Vector:
    """From -0.5 to 0.5 across the picture in a direction: shape = (height, width)."""
    x, y = np.linspace(-0.5, 0.5, size[0]), np.linspace(-0.5, 0.5, size[1])
    return np.asarray((np.cos(angle) * x[None, :] + np.sin(angle) * y[:, None]) / np.sqrt(2))


def _fractal(size: tuple[int, int], random: Random) -> Vector:
    """Fractal noise: octaves of smooth random fields; mean 0, deviation 1, shape = (height, width).

    The width of the coarsest blotches and how much finer ones count are drawn too.
    """
    cells, persistence = int(random.integers(2, 7)), random.uniform(0.35, 0.7)
    total = np.zeros((size[1], size[0]))
    for octave in range(4):
        count = cells * 2**octave + 2
        field = Image.fromarray(random.standard_normal((count, count)).astype(np.float32))
        smooth = field.resize(size, Image.Resampling.BICUBIC)
        total += persistence**octave * np.asarray(smooth, np.float64)
    return np.asarray((total - total.mean()) / total.std())
