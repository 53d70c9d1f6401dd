"""Clip generator: which clips of the generated world to make, encoded as H.264 in mp4.

A clip shows one event or several in a row; its plan says what it shows when, so that an answer
about the file can be checked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from xclip.motion.composition import Composition, render_composition
from xclip.motion.kinds import Kind
from xclip.motion.world import Scene, Subject, render, sample_scene

SIZES = ((128, 96), (160, 120), (120, 160), (192, 144), (144, 144))  # width, height in pixels
FRAME_RATES = (12, 15, 20, 24, 25, 30)
SHORTEST_S, LONGEST_S = 3, 5  # of a clip with one event
EVENT_S = 5.0  # of each event in a long clip: a service's windows of 5 s begin where events do
FEWEST_EVENTS, MOST_EVENTS = 4, 6

_ENCODING = {"crf": "23", "preset": "ultrafast"}


@dataclass(frozen=True, slots=True)
class Event:
    """What a clip shows between two moments, in seconds from its start."""

    subject: Subject
    start: float
    end: float

    @property
    def caption(self) -> str:
        """The event in words."""
        return self.subject.caption


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """A clip that can be written: scenes in a row with the seconds each lasts, and its format.

    `seed` draws the grain of the frame; the same plan makes the same frames.
    """

    name: str
    width: int
    height: int
    frame_rate: int
    scenes: tuple[tuple[Scene, float], ...]
    seed: int

    @property
    def events(self) -> tuple[Event, ...]:
        """What the clip shows, in order of time."""
        ends = itertools.accumulate(seconds for _, seconds in self.scenes)
        return tuple(
            Event(scene.subject, end - seconds, end)
            for (scene, seconds), end in zip(self.scenes, ends, strict=True)
        )

    def write(self, folder: Path) -> Path:
        """Write the clip as `name` into the folder; returns the file."""
        path = folder / self.name
        random = np.random.default_rng(self.seed)
        write_clip(path, self.scenes, self.width, self.height, self.frame_rate, random)
        return path


@dataclass(frozen=True, slots=True)
class KindPlan:
    """A clip of the wider world that can be written; `seed` as in `ClipPlan`."""

    name: str
    width: int
    height: int
    frame_rate: int
    kind: Kind
    composition: Composition
    seconds: float
    seed: int

    def write(self, folder: Path) -> Path:
        """Write the clip as `name` into the folder; returns the file."""
        path = folder / self.name
        random = np.random.default_rng(self.seed)
        frames = (
            render_composition(self.composition, np.array([time]), self.width, self.height, random)[
                0
            ]
            for time in np.linspace(0, 1, round(self.seconds * self.frame_rate))
        )
        _encode(path, frames, self.width, self.height, self.frame_rate)
        return path


def kind_clips(random: np.random.Generator, kinds: Sequence[Kind]) -> list[KindPlan]:
    """Plan a clip of each."""
    plans = []
    for number, kind in enumerate(kinds, start=1):
        width, height = SIZES[random.integers(len(SIZES))]
        frame_rate = int(random.choice(FRAME_RATES))
        frames = random.integers(SHORTEST_S * frame_rate, LONGEST_S * frame_rate + 1)
        plans.append(
            KindPlan(
                f"kind-{number:03d}.mp4",
                width,
                height,
                frame_rate,
                kind,
                kind.compose(random),
                float(frames / frame_rate),
                int(random.integers(2**31)),
            )
        )
    return plans


def sample_clips(
    random: np.random.Generator, count: int, subjects: Sequence[Subject]
) -> list[ClipPlan]:
    """Plan `count` clips of one event each, in a random order of subjects.

    No subject comes again before all others have come equally often.
    """
    chosen = itertools.islice(_endless(random, subjects), count)
    return [
        _plan(f"clip-{number:03d}.mp4", random, [subject], seconds=None)
        for number, subject in enumerate(chosen, start=1)
    ]


def long_clips(
    random: np.random.Generator, count: int, subjects: Sequence[Subject]
) -> list[ClipPlan]:
    """Plan `count` clips of 4 to 6 events of 5 s each; the events of a clip differ in subject.

    No subject is in two clips unless there are too few subjects; there have to be at least 6.
    """
    if len(set(subjects)) < MOST_EVENTS:
        raise ValueError(f"long clips need {MOST_EVENTS} subjects, not {len(set(subjects))}")
    source = _endless(random, subjects)
    plans = []
    for number in range(1, count + 1):
        events: list[Subject] = []
        wanted = int(random.integers(FEWEST_EVENTS, MOST_EVENTS + 1))
        while len(events) < wanted:
            subject = next(source)
            if subject not in events:
                events.append(subject)
        plans.append(_plan(f"long-{number}.mp4", random, events, seconds=EVENT_S))
    return plans


def _endless(random: np.random.Generator, subjects: Sequence[Subject]) -> Iterator[Subject]:
    """The subjects in a random order, again and again."""
    while True:
        for index in random.permutation(len(subjects)):
            yield subjects[index]


def _plan(
    name: str, random: np.random.Generator, subjects: Sequence[Subject], seconds: float | None
) -> ClipPlan:
    """Draw size, frame rate and scenes; without `seconds` also the length of each event."""
    width, height = SIZES[random.integers(len(SIZES))]
    frame_rate = int(random.choice(FRAME_RATES))
    scenes = []
    for subject in subjects:
        frames = random.integers(SHORTEST_S * frame_rate, LONGEST_S * frame_rate + 1)
        lasts = float(frames / frame_rate) if seconds is None else seconds
        scenes.append((sample_scene(subject, random), lasts))
    return ClipPlan(name, width, height, frame_rate, tuple(scenes), int(random.integers(2**31)))


def write_clip(
    path: Path,
    scenes: Sequence[tuple[Scene, float]],
    width: int,
    height: int,
    frame_rate: int,
    random: np.random.Generator,
) -> None:
    """Encode the scenes in a row, each from its beginning to its end over its own seconds.

    width, height : pixels, even numbers; frame_rate : frames per second; random : draws the grain.
    The mp4 has its index in front, so it plays while it still loads.
    """
    frames = _frames(scenes, width, height, frame_rate, random)
    _encode(path, frames, width, height, frame_rate)


def _encode(
    path: Path, frames: Iterable[NDArray[np.uint8]], width: int, height: int, frame_rate: int
) -> None:
    with av.open(path, "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=frame_rate, options=_ENCODING)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = frame_rate  # a seek lands within a second
        stream.codec_context.thread_count = 1  # the frames are small, the bytes the same anywhere
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, frame_rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _frames(
    scenes: Sequence[tuple[Scene, float]],
    width: int,
    height: int,
    frame_rate: int,
    random: np.random.Generator,
) -> Iterator[NDArray[np.uint8]]:
    """Every frame in order: uint8, shape = (height, width, 3), RGB."""
    for scene, seconds in scenes:
        for time in np.linspace(0, 1, round(seconds * frame_rate)):
            yield render(scene, np.array([time]), width, height, random)[0]
