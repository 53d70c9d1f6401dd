"""Demo data: generated clips, queries about them, and the right answers.

Half of the clips with one event show combinations of colour, shape and motion that never occurred
in training. Beside each clip with one event there is one of the same shape in the opposite motion,
which shows such pictures in the opposite order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xclip.motion.clips import MOST_EVENTS, ClipPlan, long_clips, sample_clips
from xclip.motion.world import HELD_OUT, MOTIONS, OPPOSITE, TRAINING, Subject

_UNSEEN_CLIPS, _SEEN_CLIPS = 30, 30
_LONG_CLIPS = 4


@dataclass(frozen=True, slots=True)
class DemoQuery:
    """A query, the subject it looks for, and a remark on why the demo runs it."""

    text: str
    subject: Subject
    remark: str


@dataclass(frozen=True, slots=True)
class Showcase:
    """The clips to generate and the queries to run."""

    short: tuple[ClipPlan, ...]
    long: tuple[ClipPlan, ...]
    questions: tuple[DemoQuery, ...]

    @property
    def clips(self) -> tuple[ClipPlan, ...]:
        """All clips."""
        return self.short + self.long

    def shown(self, filename: str, start: float, end: float) -> list[tuple[Subject, float]]:
        """The subjects visible in a moment of a clip, each with its share of the moment."""
        plan = next(plan for plan in self.clips if plan.name == filename)
        shares = []
        for event in plan.events:
            seconds = min(end, event.end) - max(start, event.start)
            if seconds > 0:
                shares.append((event.subject, seconds / (end - start)))
        return shares

    def labels(self, plan: ClipPlan) -> list[str]:
        """A caption for each event of a clip, and for the opposite of each."""
        subjects = {event.subject for event in plan.events}
        return sorted({s.caption for s in subjects} | {_opposite(s).caption for s in subjects})


def draw_showcase(seed: int) -> Showcase:
    """Draw 60 clips of one event and 4 of several in a row; no subject is in both kinds."""
    random = np.random.default_rng(seed)
    unseen = [*_with_opposites(_shuffled(random, HELD_OUT))]
    seen = [*_with_opposites(_shuffled(random, TRAINING))]
    singles = unseen[:_UNSEEN_CLIPS] + seen[:_SEEN_CLIPS]
    short = sample_clips(random, len(singles), singles)
    in_a_row = unseen[_UNSEEN_CLIPS:] + seen[_SEEN_CLIPS:]
    long = long_clips(random, _LONG_CLIPS, in_a_row[: _LONG_CLIPS * MOST_EVENTS])
    return Showcase(tuple(short), tuple(long), _questions(unseen, seen, long))


def _with_opposites(subjects: Iterable[Subject]) -> dict[Subject, None]:
    """The subjects in their order, but each next to its opposite."""
    pairs = ((subject, _opposite(subject)) for subject in subjects)
    return dict.fromkeys(itertools.chain.from_iterable(pairs))


def _shuffled(random: np.random.Generator, subjects: Sequence[Subject]) -> list[Subject]:
    return [subjects[index] for index in random.permutation(len(subjects))]


def _opposite(subject: Subject) -> Subject:
    return replace(subject, motion=OPPOSITE[subject.motion])


def _questions(
    unseen: Sequence[Subject], seen: Sequence[Subject], long: Sequence[ClipPlan]
) -> tuple[DemoQuery, ...]:
    """Half of the questions are about what was never seen; unseen and seen go in opposite pairs."""
    first, opposite, second = unseen[:3]
    events = [event.subject for plan in long for event in plan.events[1:]]
    inside = next(subject for subject in events if subject in HELD_OUT)
    inside_seen = next(subject for subject in reversed(events) if subject not in HELD_OUT)
    return (
        DemoQuery(first.caption, first, "a combination never seen in training"),
        DemoQuery(opposite.caption, opposite, "its opposite, never seen either"),
        DemoQuery(_in_other_words(second), second, "never seen, in other words"),
        DemoQuery(inside.caption, inside, "inside a long clip, never seen"),
        DemoQuery(inside_seen.caption, inside_seen, "inside a long clip"),
        DemoQuery(_in_other_words(seen[0]), seen[0], "in other words"),
    )


def _in_other_words(subject: Subject) -> str:
    return f"the {subject.colour} {subject.shape} {MOTIONS[subject.motion][1]}"
