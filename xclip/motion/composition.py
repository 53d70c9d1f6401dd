"""Scene composition: frames with several shapes, in sequence or together, and a moving camera.

Each shape is an `Actor` that plays a `Scene`; a `Composition` puts actors before one background.
Places, sizes and time are those of `xclip.motion.world`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xclip.motion.world import Array, Scene, backdrop, cover, grid, paint, place, with_grain

TEXTURES = ("striped", "dotted")
_DARK = np.float32(0.35)  # of the shape's colour, in its stripes and around its dots


@dataclass(frozen=True, slots=True)
class Actor:
    """A shape, when it is seen, and which part of its event it plays in that time."""

    scene: Scene
    seen: tuple[float, float] = (0.0, 1.0)
    part: tuple[float, float] = (0.0, 1.0)
    texture: str | None = None


@dataclass(frozen=True, slots=True)
class Wave:
    """A wave in the background: cycles across and down, radians, grey levels."""

    across: float
    down: float
    phase: float
    height: float


@dataclass(frozen=True, slots=True)
class Composition:
    """Actors, the first behind the others, before the background of the first one's scene.

    pan : how far the frame's content moves over the whole time, right and down
    """

    actors: tuple[Actor, ...]
    waves: tuple[Wave, ...] = ()
    pan: tuple[float, float] = (0.0, 0.0)


def sample_waves(random: np.random.Generator) -> tuple[Wave, ...]:
    """Draw the waves of a background with something on it."""
    return tuple(
        Wave(
            across=random.uniform(0.8, 2.2) * random.choice((-1, 1)),
            down=random.uniform(0.8, 2.2),
            phase=random.uniform(0, 2 * np.pi),
            height=random.uniform(7, 14),
        )
        for _ in range(3)
    )


def render_composition(
    composition: Composition,
    times: NDArray[np.floating],
    width: int,
    height: int,
    random: np.random.Generator,
) -> NDArray[np.uint8]:
    """Draw the composition: frames uint8, shape = (T, height, width, 3), RGB."""
    times = np.asarray(times, dtype=np.float32)
    columns, rows = grid(width, height)
    shift_x, shift_y = ((times - 0.5) * np.float32(along) for along in composition.pan)
    x = columns[None, None, :] - shift_x[:, None, None]  # (T, 1, W)
    y = rows[None, :, None] - shift_y[:, None, None]  # (T, H, 1)
    main = composition.actors[0].scene
    frames = np.repeat(backdrop(main, width, height), len(times), axis=0)
    frames = frames + sum((_height(wave, x, y) for wave in composition.waves), np.float32(0))
    frames = np.broadcast_to(frames, (len(times), height, width, 3)).copy()
    for actor in composition.actors:
        first, last = actor.seen
        seen = (times >= first) & ((times < last) | (last >= 1.0))
        if seen.any():
            along = np.clip((times[seen] - first) / (last - first), 0, 1)
            begin, end = actor.part
            event = (begin + (end - begin) * along).astype(np.float32)
            frames[seen] = _draw(actor, event, x[seen], y[seen], frames[seen], min(width, height))
    return with_grain(frames, main.noise, random)


def _draw(actor: Actor, event: Array, x: Array, y: Array, behind: Array, short: int) -> Array:
    """The frames with the actor in front, at each time of its event."""
    centre_x, centre_y, radius = place(actor.scene, event)
    dx, dy = x - centre_x[:, None, None], y - centre_y[:, None, None]
    shade, u, v = cover(actor.scene, dx, dy, radius, short)
    colour = paint(actor.scene)
    if actor.texture is not None:
        colour = colour * _texture(actor.texture, u, v, radius[:, None, None])[..., None]
    return np.asarray(behind + shade[..., None] * (colour - behind))


def _texture(texture: str, u: Array, v: Array, radius: Array) -> Array:
    """How bright each place of a shape is, between dark and 1; three stripes or dots across."""
    turns = np.float32(3 * np.pi)
    if texture == "striped":
        light = np.sin(turns * v / radius)
    else:
        light = 2 * np.cos(turns * u / radius / 1.5) * np.cos(turns * v / radius / 1.5) - 0.4
    return np.asarray(_DARK + (1 - _DARK) * np.clip(0.5 + 2 * light, 0, 1))


def _height(wave: Wave, x: Array, y: Array) -> Array:
    """The wave's grey levels, shape = (T, H, W, 1)."""
    angle = np.float32(2 * np.pi) * (np.float32(wave.across) * x + np.float32(wave.down) * y)
    grey = np.float32(wave.height) * np.sin(angle + np.float32(wave.phase))
    return np.asarray(grey, dtype=np.float32)[..., None]
