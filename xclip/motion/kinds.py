"""Clip kinds of the wider world: each with its captions, its contrast and its frames.

A contrast is the same clip's caption with the one word changed, or the two events swapped, that the
kind is about. As in `xclip.motion.world`, some combinations never occur in training: events of
held-out subjects, and an eighth of the pairs of looks; `held_out(kind)` lists kinds made of those
alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from xclip.motion.composition import TEXTURES, Actor, Composition, Wave, sample_waves
from xclip.motion.world import (
    COLOURS,
    HELD_OUT,
    MOTIONS,
    OPPOSITE,
    SHAPES,
    Scene,
    Subject,
    article,
    phrasing,
    sample_scene,
)

NUMBERS = {2: "two", 3: "three", 4: "four"}
PACES = {"quickly": ("quickly", "fast"), "slowly": ("slowly",)}
RELATIONS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
APPROACHES = ("towards", "away from")
DIRECTIONS = ("left", "right", "up", "down")
THEN = ("then", "and then", "followed by", "before")
PATTERNED = 0.3  # of clips have waves in the background

_OTHER = {
    "quickly": "slowly",
    "slowly": "quickly",
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "towards": "away from",
    "away from": "towards",
    "striped": "dotted",
    "dotted": "striped",
}
_STEP = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_SIDE = {"left of": "left", "right of": "right", "above": "up", "below": "down"}

Random = np.random.Generator


class Look(NamedTuple):
    """A shape's colour and form."""

    colour: str
    shape: str

    @property
    def words(self) -> str:
        """As in "a red circle"."""
        return f"{article(self.colour)} {self.colour} {self.shape}"


class Kind(Protocol):
    """What a clip of the wider world shows."""

    @property
    def caption(self) -> str:
        """The plain caption, as used in evaluation."""

    @property
    def contrast(self) -> Kind:
        """What differs from this in the one thing that the kind is about."""

    def phrase(self, random: Random) -> str:
        """One of the ways to say it."""

    def compose(self, random: Random) -> Composition:
        """Draw its places, sizes, times and background."""


@dataclass(frozen=True, slots=True)
class Alone:
    """One shape, one event: as in `xclip.motion.world`, now also before a patterned background."""

    subject: Subject

    @property
    def caption(self) -> str:
        return self.subject.caption

    @property
    def contrast(self) -> Alone:
        return Alone(self.subject.opposite)

    def phrase(self, random: Random) -> str:
        return phrasing(self.subject, random)

    def compose(self, random: Random) -> Composition:
        return Composition((Actor(sample_scene(self.subject, random)),), _maybe_waves(random))


@dataclass(frozen=True, slots=True)
class Then:
    """Two events, one after the other: the first shape is gone when the second comes."""

    first: Subject
    second: Subject

    @property
    def caption(self) -> str:
        return f"{self.first.caption} then {self.second.caption}"

    @property
    def contrast(self) -> Then:
        return Then(self.second, self.first)

    def phrase(self, random: Random) -> str:
        between = random.choice(THEN)
        return f"{phrasing(self.first, random)} {between} {phrasing(self.second, random)}"

    def compose(self, random: Random) -> Composition:
        """Each event in about one half; in some, the first had begun and the second goes on."""
        cut = random.uniform(0.44, 0.56)
        is_window = random.random() < 0.3
        parts = ((0.4, 1.0), (0.0, 0.6)) if is_window else ((0.0, 1.0), (0.0, 1.0))
        first, second = (sample_scene(subject, random) for subject in (self.first, self.second))
        actors = (Actor(first, (0.0, cut), parts[0]), Actor(second, (cut, 1.0), parts[1]))
        return Composition(actors, _maybe_waves(random))


@dataclass(frozen=True, slots=True)
class Count:
    """Two to four of the same shape, that move alike."""

    number: int
    subject: Subject

    @property
    def caption(self) -> str:
        return self._words(MOTIONS[self.subject.motion][0])

    @property
    def contrast(self) -> Count:
        return Count(self.number + 1 if self.number < max(NUMBERS) else 2, self.subject)

    def phrase(self, random: Random) -> str:
        verbs = [verb for verb in MOTIONS[self.subject.motion] if verb.split()[0].endswith("ing")]
        return self._words(str(random.choice(verbs)))

    def _words(self, verb: str) -> str:
        return f"{NUMBERS[self.number]} {self.subject.colour} {self.subject.shape}s {verb}"

    def compose(self, random: Random) -> Composition:
        """Each in its own quarter of the frame, so that none hides another."""
        scene = sample_scene(self.subject, random)
        scene = replace(scene, radius=random.uniform(0.08, 0.1), extent=random.uniform(0.2, 0.24))
        actors = []
        for quarter in random.permutation(4)[: self.number]:
            row, column = divmod(int(quarter), 2)
            x, y = (
                0.5 + (index - 0.5) * 0.48 + random.uniform(-0.02, 0.02) for index in (column, row)
            )
            actors.append(Actor(replace(scene, x=x, y=y)))
        return Composition(tuple(actors), _maybe_waves(random))


@dataclass(frozen=True, slots=True)
class Paced:
    """One shape that goes far, or hardly."""

    subject: Subject
    pace: str

    @property
    def caption(self) -> str:
        return f"{self.subject.caption} {self.pace}"

    @property
    def contrast(self) -> Paced:
        return Paced(self.subject, _OTHER[self.pace])

    def phrase(self, random: Random) -> str:
        return f"{phrasing(self.subject, random)} {random.choice(PACES[self.pace])}"

    def compose(self, random: Random) -> Composition:
        scene = replace(sample_scene(self.subject, random), radius=random.uniform(0.11, 0.15))
        extent = (
            random.uniform(0.55, 0.66) if self.pace == "quickly" else random.uniform(0.14, 0.24)
        )
        slack = 0.5 - extent / 2 - scene.radius
        along = float(0.5 + random.uniform(-slack, slack))
        is_across = self.subject.motion in ("left", "right")
        x, y = (along, scene.y) if is_across else (scene.x, along)
        scene = replace(scene, extent=extent, x=x, y=y)
        return Composition((Actor(scene),), _maybe_waves(random))


@dataclass(frozen=True, slots=True)
class Textured:
    """One larger shape with stripes or dots."""

    texture: str
    subject: Subject

    @property
    def caption(self) -> str:
        return self._worded(self.subject.caption)

    @property
    def contrast(self) -> Textured:
        return Textured(_OTHER[self.texture], self.subject)

    def phrase(self, random: Random) -> str:
        return self._worded(phrasing(self.subject, random))

    def _worded(self, words: str) -> str:
        plain = words.replace("an ", "a ", 1) if words.startswith("an ") else words
        return plain.replace(self.subject.colour, f"{self.texture} {self.subject.colour}", 1)

    def compose(self, random: Random) -> Composition:
        scene = sample_scene(self.subject, random)
        radius = random.uniform(0.2, 0.25)
        extent = random.uniform(0.3, 0.4)
        slack = 0.48 - extent / 2 - radius
        x, y = (float(0.5 + random.uniform(-slack, slack)) for _ in range(2))
        scene = replace(scene, radius=radius, extent=extent, ratio=0.6, x=x, y=y)
        return Composition((Actor(scene, texture=self.texture),), _maybe_waves(random))


@dataclass(frozen=True, slots=True)
class Relation:
    """Two shapes at rest, one beside, above or below the other."""

    first: Look
    word: str
    second: Look

    @property
    def caption(self) -> str:
        return self._words(self.word)

    @property
    def contrast(self) -> Relation:
        return Relation(self.first, _OTHER[self.word], self.second)

    def phrase(self, random: Random) -> str:
        return self._words(str(random.choice(RELATIONS[self.word])))

    def _words(self, word: str) -> str:
        return f"{self.first.words} {word} {self.second.words}"

    def compose(self, random: Random) -> Composition:
        across, down = _STEP[_SIDE[self.word]]
        apart = random.uniform(0.4, 0.56)
        x, y = 0.5 + random.uniform(-0.06, 0.06, 2)
        aside = random.uniform(-0.08, 0.08)
        centres = [
            (
                x + side * (across * apart + down * aside) / 2,
                y + side * (down * apart + across * aside) / 2,
            )
            for side in (1, -1)
        ]
        scenes = [
            _resting(look, *at, random)
            for look, at in zip((self.first, self.second), centres, strict=True)
        ]
        return Composition(tuple(Actor(scene) for scene in scenes), _maybe_waves(random))


@dataclass(frozen=True, slots=True)
class Approach:
    """One shape that moves towards another, or away from it; which way is not said."""

    first: Look
    word: str
    second: Look

    @property
    def caption(self) -> str:
        return f"{self.first.words} moving {self.word} {self.second.words}"

    @property
    def contrast(self) -> Approach:
        return Approach(self.first, _OTHER[self.word], self.second)

    def phrase(self, random: Random) -> str:
        verb = random.choice(("moving", "moves"))
        return f"{self.first.words} {verb} {self.word} {self.second.words}"

    def compose(self, random: Random) -> Composition:
        """The other shape rests at one edge; the path runs on the line to it."""
        motion = str(random.choice(DIRECTIONS))
        across, down = _STEP[motion]
        edge = 0.34 if self.word == "towards" else -0.34
        aside = random.uniform(-0.2, 0.2)
        rest = (0.5 + across * edge + down * aside, 0.5 + down * edge + across * aside)
        extent = random.uniform(0.34, 0.4)
        middle = -np.sign(edge) * random.uniform(0.13, 0.16)
        moving = sample_scene(Subject(*self.first, motion), random)
        moving = replace(
            moving,
            extent=extent,
            radius=random.uniform(0.11, 0.13),
            x=float(0.5 + across * middle + down * aside),
            y=float(0.5 + down * middle + across * aside),
        )
        resting = _resting(self.second, *rest, random)
        return Composition((Actor(moving), Actor(resting)), _maybe_waves(random))


@dataclass(frozen=True, slots=True)
class Pan:
    """A shape at rest that the camera goes past; all of the frame moves the other way."""

    direction: str
    look: Look

    @property
    def caption(self) -> str:
        return f"the camera pans {self.direction} past {self.look.words}"

    @property
    def contrast(self) -> Pan:
        return Pan(OPPOSITE[self.direction], self.look)

    def phrase(self, random: Random) -> str:
        verb = random.choice(("the camera pans", "camera panning", "the camera panning"))
        return f"{verb} {self.direction} past {self.look.words}"

    def compose(self, random: Random) -> Composition:
        across, down = _STEP[self.direction]
        far = random.uniform(0.4, 0.6)
        aside = 0.5 + random.uniform(-0.3, 0.3)
        x, y = (0.5, aside) if across else (aside, 0.5)
        scene = _resting(self.look, x, y, random)
        return Composition((Actor(scene),), sample_waves(random), (-across * far, -down * far))


def _resting(look: Look, x: float, y: float, random: Random) -> Scene:
    scene = sample_scene(Subject(*look, "left"), random)
    return replace(scene, radius=random.uniform(0.12, 0.16), extent=0.0, x=float(x), y=float(y))


def _maybe_waves(random: Random) -> tuple[Wave, ...]:
    return sample_waves(random) if random.random() < PATTERNED else ()


LOOKS = tuple(Look(colour, shape) for colour in COLOURS for shape in SHAPES)


def _is_held_out_pair(first: Look, second: Look) -> bool:
    colours, shapes = list(COLOURS), list(SHAPES)
    number = colours.index(first.colour) + 3 * shapes.index(first.shape)
    number += 2 * colours.index(second.colour) + shapes.index(second.shape)
    return number % len(COLOURS) == 0


def _is_held_out_pan(direction: str, look: Look) -> bool:
    number = list(COLOURS).index(look.colour) + 3 * SHAPES.index(look.shape)
    return (number + 2 * (DIRECTIONS.index(direction) // 2)) % len(COLOURS) == 0


PAIRS = tuple(
    (first, second)
    for first, second in itertools.permutations(LOOKS, 2)
    if first.colour != second.colour and first.shape != second.shape
)
TRAINING_PAIRS = tuple(pair for pair in PAIRS if not _is_held_out_pair(*pair))
HELD_OUT_PAIRS = tuple(pair for pair in PAIRS if _is_held_out_pair(*pair))
PANS = tuple(Pan(direction, look) for look in LOOKS for direction in DIRECTIONS)
TRAINING_PANS = tuple(pan for pan in PANS if not _is_held_out_pan(pan.direction, pan.look))
HELD_OUT_PANS = tuple(pan for pan in PANS if _is_held_out_pan(pan.direction, pan.look))


def _some(options: Sequence[Subject], random: Random) -> Subject:
    return options[int(random.integers(len(options)))]


def _held_out_then(random: Random) -> Then:
    first, second = _some(HELD_OUT, random), _some(HELD_OUT, random)
    while (first.colour, first.shape) == (second.colour, second.shape):
        second = _some(HELD_OUT, random)
    return Then(first, second)


_STRAIGHT = tuple(subject for subject in HELD_OUT if subject.motion in DIRECTIONS)

HELD_OUT_KINDS: dict[str, Callable[[Random], Kind]] = {
    "order of two events": _held_out_then,
    "counts": lambda random: Count(int(random.integers(2, 5)), _some(HELD_OUT, random)),
    "speed": lambda random: Paced(_some(_STRAIGHT, random), str(random.choice(list(PACES)))),
    "texture": lambda random: Textured(str(random.choice(TEXTURES)), _some(HELD_OUT, random)),
    "place of two": lambda random: _related(Relation, tuple(RELATIONS), random),
    "towards, away": lambda random: _related(Approach, APPROACHES, random),
    "camera": lambda random: HELD_OUT_PANS[random.integers(len(HELD_OUT_PANS))],
}


def _related(
    kind: Callable[[Look, str, Look], Kind], words: tuple[str, ...], random: Random
) -> Kind:
    first, second = HELD_OUT_PAIRS[random.integers(len(HELD_OUT_PAIRS))]
    return kind(first, str(random.choice(words)), second)


def wider_vocabulary() -> list[str]:
    """Every word of the wider world's captions that `xclip.motion.world.vocabulary` lacks."""
    phrases = [word for words in (*PACES.values(), *RELATIONS.values()) for word in words]
    phrases += [*NUMBERS.values(), *APPROACHES, *TEXTURES, *THEN, "the camera pans panning past"]
    plurals = [f"{shape}s" for shape in SHAPES]
    return sorted({*" ".join(phrases).split(), *plurals})
