"""Contrast sets: what the model says about a clip, beside the clips and captions one word away.

A gallery with one clip of each combination holds a near miss of every factor for every query: the
same shape and motion in each other colour, and so on. Asked are the caption among all clips, the
caption once its own clip is left out, and each caption that changes one factor, about the clip.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench_service import Bench
from benchmarks.estimates import Guess, Tally
from xclip.motion.world import COLOURS, MOTIONS, SHAPES, Subject

VALUES: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "motion": tuple(MOTIONS),
}
COMBINATIONS = tuple(Subject(*words) for words in itertools.product(*VALUES.values()))
FIRSTS = 5  # distinct videos that are looked at
SURE = 0.5

R1, R5 = "R@1", "R@5"
OPPOSITE = "two-way: the opposite motion"
ERROR = "calibration error, half without a match"
ERROR_MATCHED = "calibration error, all with a match"
ABSTAINS = "no match: abstains at 0.5"
KEPT = "right first: kept at 0.5"


def first_has(factor: str) -> str:
    """The measure: how often the first result agrees with the query in a factor."""
    return f"first has the right {factor}"


def two_way(factor: str) -> str:
    """The measure: how often the true caption beats the same with another value of a factor."""
    return f"two-way: every other {factor}"


def changed(subject: Subject, factor: str) -> list[Subject]:
    """The subject with each other value of a factor."""
    return [
        replace(subject, **{factor: value})
        for value in VALUES[factor]
        if value != getattr(subject, factor)
    ]


@dataclass(frozen=True)
class Answer:
    """What the service said about one clip.

    firsts : what the first distinct videos show, best first; confidence : of the first result;
    absent : of the first result with the clip itself left out; both None without a calibration;
    scores : how well the clip fits its caption and each that changes one factor
    """

    shown: Subject
    firsts: tuple[Subject, ...]
    confidence: float | None
    absent: float | None
    scores: Mapping[Subject, float]

    def beats(self, others: Iterable[Subject]) -> float:
        """The share of other captions that the true one is more probable than."""
        return float(np.mean([self.scores[self.shown] > self.scores[other] for other in others]))

    @property
    def right(self) -> bool:
        """Whether the first result shows what was asked for."""
        return self.firsts[0] == self.shown

    def measures(self) -> dict[str, float]:
        """By measure: 1 for right and 0 for wrong, or the share of captions that the clip beats."""
        first = self.firsts[0]
        found: dict[str, float] = {R1: self.right, R5: self.shown in self.firsts}
        for factor in VALUES:
            found[first_has(factor)] = getattr(first, factor) == getattr(self.shown, factor)
        for factor in VALUES:
            found[two_way(factor)] = self.beats(changed(self.shown, factor))
        found[OPPOSITE] = self.beats([self.shown.opposite])
        return found

    def tally_confidence(self, tally: Tally) -> None:
        """Add the clip to the measures of confidence, if the model has a calibration."""
        if self.confidence is None or self.absent is None:
            return
        first = Guess(self.confidence, self.right)
        tally.add_guesses(ERROR, [first, Guess(self.absent, right=False)])
        tally.add_guesses(ERROR_MATCHED, [first])
        tally.add(ABSTAINS, self.absent < SURE)
        if self.right:
            tally.add(KEPT, self.confidence >= SURE)


def ask_each(bench: Bench, collection: str, shown: Mapping[str, Subject]) -> list[Answer]:
    """Ask about each clip of a collection, given what each video id shows; no two show the same."""
    return [_ask(bench, collection, shown, video) for video in shown]


def _ask(bench: Bench, collection: str, shown: Mapping[str, Subject], video: str) -> Answer:
    subject = shown[video]
    # A clip longer than a window has two, so twice as many results hold enough distinct videos.
    results = bench.search(collection, subject, 2 * FIRSTS)
    ranked = dict.fromkeys(result["video_id"] for result in results)
    others = bench.ask(
        collection, text=subject.caption, top_k=1, filter={"video_id": {"ne": video}}
    )
    texts = [subject, *itertools.chain.from_iterable(changed(subject, name) for name in VALUES)]
    scores = bench.label(collection, [text.caption for text in texts], video)
    return Answer(
        shown=subject,
        firsts=tuple(shown[found] for found in itertools.islice(ranked, FIRSTS)),
        confidence=results[0]["confidence"],
        absent=others["results"][0]["confidence"],
        scores={text: scores[text.caption] for text in texts},
    )


def answers_by_scores(shown: Sequence[Subject], scores: NDArray[np.floating]) -> list[Answer]:
    """The answers of a model that gives each clip and combination one score, shape = (clips, 320).

    shown : what each clip shows; no two show the same
    """
    column = {subject: place for place, subject in enumerate(COMBINATIONS)}
    order = np.argsort(-scores, axis=0, kind="stable")
    return [
        Answer(
            shown=subject,
            firsts=tuple(shown[clip] for clip in order[:FIRSTS, column[subject]]),
            confidence=None,
            absent=None,
            scores=dict(zip(COMBINATIONS, scores[place].tolist(), strict=True)),
        )
        for place, subject in enumerate(shown)
    ]


def tally_measures(tally: Tally, service: Answer, peers: Sequence[Answer] = ()) -> None:
    """Add a clip to a table: the service's answer, and both peers' where they were asked."""
    of_peers = [peer.measures() for peer in peers]
    for measure, value in service.measures().items():
        tally.add(measure, value, *(of_peer[measure] for of_peer in of_peers))


class Contrasts:
    """For each factor, how often clips of one value beat the caption with another."""

    def __init__(self) -> None:
        self._wins: dict[tuple[str, str, str], list[bool]] = defaultdict(list)

    def add(self, answer: Answer) -> None:
        """One clip."""
        for factor in VALUES:
            for other in changed(answer.shown, factor):
                pair = getattr(answer.shown, factor), getattr(other, factor)
                self._wins[factor, *pair].append(answer.beats([other]) == 1)

    def of(self, factor: str) -> dict[str, dict[str, float]]:
        """By true value, then by other value: the share that the true caption wins."""
        return {
            true: {
                other: float(np.mean(self._wins[factor, true, other]))
                for other in VALUES[factor]
                if (factor, true, other) in self._wins
            }
            for true in VALUES[factor]
        }
