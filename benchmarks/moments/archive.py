"""Free events: a generated archive of videos whose events last 2 to 8 s and begin at any instant.

A video is shots in a row; a shot is one background with the events before it. Some events overlap,
most follow each other with or without a pause, and cuts fall between events. One event in four is
a near miss of an earlier one of its video: it differs in colour, shape or motion alone. Some videos
show no event: nothing happens in them, or a shape rests.

A fifth of all combinations is in no video. Searches for those have no match, only near misses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xclip.motion.composition import Actor, Composition, render_composition, sample_waves
from xclip.motion.world import COLOURS, MOTIONS, SHAPES, Subject, sample_scene

EVERY_SUBJECT = tuple(Subject(*words) for words in itertools.product(COLOURS, SHAPES, MOTIONS))
ABSENT_SHARE = 0.2  # of the subjects, which no video shows
EMPTY_SHARE = 0.1  # of the videos, which show no event
NEAR_MISS_SHARE = 0.25  # of the events
OVERLAP_SHARE = 0.15
PAUSE_SHARE = 0.4
CUT_SHARE = 0.6  # of the places between events that do not overlap
PATTERNED_SHARE = 0.3  # of the shots
SHORTEST_S, LONGEST_S = 2.0, 8.0
VIDEO_S = (14.0, 42.0)

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Event:
    """What a video shows between two instants, in seconds from its start."""

    video: int
    subject: Subject
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Shot:
    """The composition that is seen between two instants, in seconds from the video's start."""

    composition: Composition
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Video:
    """A video that can be drawn at any instant; `seed` draws its grain."""

    shots: tuple[Shot, ...]
    events: tuple[Event, ...]
    duration_s: float
    seed: int

    def frames(self, instants: NDArray[np.float64], edge: int) -> NDArray[np.uint8]:
        """The square frames at ascending instants; uint8, shape = (N, edge, edge, 3)."""
        random = np.random.default_rng(self.seed)
        starts = [shot.start for shot in self.shots]
        shown = np.searchsorted(starts, instants, side="right") - 1
        parts = []
        for number in np.unique(shown):
            shot = self.shots[number]
            times = (instants[shown == number] - shot.start) / (shot.end - shot.start)
            parts.append(render_composition(shot.composition, times, edge, edge, random))
        return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Archive:
    """Videos, and the subjects that no video shows."""

    videos: tuple[Video, ...]
    absent: tuple[Subject, ...]

    @property
    def events(self) -> list[Event]:
        """Of all videos, in order."""
        return [event for video in self.videos for event in video.events]


def draw_archive(seed: int, videos: int) -> Archive:
    """The same archive for the same numbers."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(EVERY_SUBJECT))
    count = round(ABSENT_SHARE * len(EVERY_SUBJECT))
    absent = tuple(EVERY_SUBJECT[index] for index in order[:count])
    shown = tuple(EVERY_SUBJECT[index] for index in order[count:])
    source = _endless(random, shown)
    drawn = tuple(_draw_video(number, source, shown, random) for number in range(videos))
    return Archive(drawn, absent)


def near_misses(subject: Subject) -> list[Subject]:
    """Every subject that differs in one factor."""
    return [
        *(replace(subject, colour=colour) for colour in COLOURS if colour != subject.colour),
        *(replace(subject, shape=shape) for shape in SHAPES if shape != subject.shape),
        *(replace(subject, motion=motion) for motion in MOTIONS if motion != subject.motion),
    ]


def _endless(random: Random, subjects: Sequence[Subject]) -> Iterator[Subject]:
    """The subjects in a random order, again and again."""
    while True:
        for index in random.permutation(len(subjects)):
            yield subjects[index]


def _draw_video(
    number: int, source: Iterator[Subject], shown: Sequence[Subject], random: Random
) -> Video:
    duration_s = float(random.uniform(*VIDEO_S))
    seed = int(random.integers(2**31))
    if random.random() < EMPTY_SHARE:
        return Video((_empty_shot(duration_s, shown, random),), (), duration_s, seed)
    events = _draw_events(number, duration_s, source, frozenset(shown), random)
    cuts = [0.0, *_cuts(events, random), duration_s]
    shots = tuple(_shot(events, *ends, random) for ends in itertools.pairwise(cuts))
    return Video(shots, tuple(events), duration_s, seed)


def _draw_events(
    number: int,
    duration_s: float,
    source: Iterator[Subject],
    shown: frozenset[Subject],
    random: Random,
) -> list[Event]:
    """Events until the video is full; at most two are seen at once."""
    events: list[Event] = []
    free_from = float(random.uniform(0, 3))
    while True:
        length = float(random.uniform(SHORTEST_S, LONGEST_S))
        start = free_from + _gap(events, random)
        if start + length > duration_s:
            return events
        subject = _next_subject(events, source, shown, random)
        events.append(Event(number, subject, start, start + length))
        free_from = max(event.end for event in events)


def _gap(events: Sequence[Event], random: Random) -> float:
    """Seconds from the end of what was drawn to the next start; negative where they overlap."""
    if not events:
        return 0.0
    drawn = random.random()
    if drawn < OVERLAP_SHARE:
        last_s = events[-1].end - events[-1].start
        taken_s = max(0.0, events[-2].end - events[-1].start) if len(events) > 1 else 0.0
        return -float(random.uniform(0.25, 0.75)) * (last_s - taken_s)
    return float(random.uniform(0.5, 4)) if drawn < OVERLAP_SHARE + PAUSE_SHARE else 0.0


def _next_subject(
    events: Sequence[Event], source: Iterator[Subject], shown: frozenset[Subject], random: Random
) -> Subject:
    """A near miss of an earlier event, or the next one; none that the video already shows."""
    earlier = {event.subject for event in events}
    if events and random.random() < NEAR_MISS_SHARE:
        model = events[random.integers(len(events))].subject
        near = [one for one in near_misses(model) if one in shown and one not in earlier]
        return near[random.integers(len(near))]
    return next(subject for subject in source if subject not in earlier)


def _cuts(events: Sequence[Event], random: Random) -> list[float]:
    """Instants between events at which the background changes."""
    return [
        float(random.uniform(before.end, after.start))
        for before, after in itertools.pairwise(events)
        if before.end <= after.start and random.random() < CUT_SHARE
    ]


def _shot(events: Sequence[Event], start: float, end: float, random: Random) -> Shot:
    length = end - start
    actors = tuple(
        Actor(
            sample_scene(event.subject, random),
            ((event.start - start) / length, (event.end - start) / length),
        )
        for event in events
        if start <= event.start < end
    )
    waves = sample_waves(random) if random.random() < PATTERNED_SHARE else ()
    return Shot(Composition(actors, waves), start, end)


def _empty_shot(duration_s: float, shown: Sequence[Subject], random: Random) -> Shot:
    """A background alone, or with a shape that rests before it."""
    scene = sample_scene(shown[random.integers(len(shown))], random)
    rests = replace(scene, subject=replace(scene.subject, motion="left"), extent=0.0)
    # an actor that is seen after the end lends the shot its background and nothing else
    seen = (0.0, 1.0) if random.random() < 0.5 else (2.0, 3.0)
    waves = sample_waves(random) if random.random() < PATTERNED_SHARE else ()
    return Shot(Composition((Actor(rests, seen),), waves), 0.0, duration_s)
