"""Figures of moment retrieval: precision, recall, bounds, calibration, abstention and order.

A result matches an event if more than half of the one lies in the other, as docs/confidence.md says
it; one that overlaps an event by less is neither right nor wrong. An event is found once: a second
result for it is wrong.

mAP                     mean average precision over the first 100 results, by matches
R@1                     the first result matches
mAP, R@k at an overlap  right is an intersection over union of at least so much; the rest is wrong
bounds                  of the first result that matches: its intersection over union, and how often
                        that is above 0.7
calibration error       of the confidence of first results, of texts with a match and without
abstained               texts without a match whose first result has a confidence below 0.5
kept                    first results that match and have a confidence of at least 0.5
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.estimates import Estimate, bootstrap
from benchmarks.moments.archive import Event
from benchmarks.moments.methods import Found
from xclip.confidence.calibration import expected_calibration_error

Floats = NDArray[np.float64]
SURE = 0.5
OVERLAPS = (0.5, 0.7)
DEPTHS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured number with its interval over so many texts, and what each seed alone gives."""

    estimate: Estimate
    count: int
    by_seed: tuple[float, ...]


def common_s(found: Found, event: Event) -> float:
    """Seconds that both share; 0 in different videos."""
    if found.video != event.video:
        return 0.0
    return max(0.0, min(found.end, event.end) - max(found.start, event.start))


def matches(found: Found, event: Event) -> bool:
    """Whether more than half of one lies in the other."""
    shorter = min(found.end - found.start, event.end - event.start)
    return common_s(found, event) > shorter / 2


def overlap(found: Found, event: Event) -> float:
    """Intersection over union, from 0 to 1."""
    common = common_s(found, event)
    return common / (found.end - found.start + event.end - event.start - common)


def judged(answer: Sequence[Found], events: Sequence[Event], least: float | None) -> list[bool]:
    """Of each result that is right or wrong, which it is.

    least : of the overlap of a right one; None stands for a match
    """
    left = list(events)
    right = []
    for found in answer:
        if least is None:
            fits = [event for event in events if matches(found, event)]
        else:
            fits = [event for event in events if overlap(found, event) >= least]
        new = [event for event in fits if event in left]
        if new:
            left.remove(max(new, key=lambda event: overlap(found, event)))
        elif not fits and least is None and any(common_s(found, event) > 0 for event in events):
            continue
        right.append(bool(new))
    return right


def average_precision(right: Sequence[bool], events: int) -> float:
    """The mean, over all events, of the precision at the result that finds it; 0 if none does."""
    flags = np.array(right, np.bool_)
    places = np.flatnonzero(flags)
    return float(((np.arange(len(places)) + 1) / (places + 1)).sum() / events)


def of_text(answer: Sequence[Found], events: Sequence[Event]) -> dict[str, float]:
    """Every figure of one text, NaN where it has none."""
    confidence = answer[0].confidence if answer else 0.0
    if not events:
        return {"confidence": confidence, "right": 0.0, "abstained": float(confidence < SURE)}
    fits = [[event for event in events if matches(found, event)] for found in answer]
    is_first = bool(answer) and bool(fits[0])
    partly = not is_first and any(common_s(found, one) for found in answer[:1] for one in events)
    first = next((place for place, some in enumerate(fits) if some), None)
    bounds = np.nan
    if first is not None:
        bounds = max(overlap(answer[first], event) for event in fits[first])
    figures = {
        "confidence": np.nan if partly else confidence,
        "right": float(is_first),
        "kept": float(confidence >= SURE) if is_first else np.nan,
        "mAP": average_precision(judged(answer, events, None), len(events)),
        "R@1": float(is_first),
        "mIoU": bounds,
        "IoU > 0.7": np.nan if first is None else float(bounds > 0.7),
    }
    for least in OVERLAPS:
        right = judged(answer, events, least)
        figures[f"mAP at {least}"] = average_precision(right, len(events))
        for depth in DEPTHS:
            figures[f"R@{depth} at {least}"] = float(any(right[:depth]))
    return figures


def summarised(texts: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    """The means over texts, and the calibration error, each with its interval over texts.

    texts : figures of each, and its "seed"
    """
    names = dict.fromkeys(name for text in texts for name in text)
    table = {name: np.array([text.get(name, np.nan) for text in texts]) for name in names}
    seeds, confidence, right = (table.pop(name) for name in ("seed", "confidence", "right"))
    figures = {name: figure(_mean, seeds, values) for name, values in table.items()}
    figures["calibration error"] = figure(_calibration_error, seeds, confidence, right)
    return figures


def gained(
    before: Sequence[Mapping[str, float]], after: Sequence[Mapping[str, float]]
) -> dict[str, Figure]:
    """The mean difference, text by text, of every figure that is a mean."""
    seeds = np.array([text["seed"] for text in before])
    names = dict.fromkeys(name for text in before for name in text)
    changes = {
        name: np.array(
            [a.get(name, np.nan) - b.get(name, np.nan) for b, a in zip(before, after, strict=True)]
        )
        for name in names
        if name not in ("seed", "confidence", "right")
    }
    return {name: figure(_mean, seeds, change) for name, change in changes.items()}


def figure(measure: Callable[..., float], seeds: Floats, *columns: Floats) -> Figure:
    """A measure of the texts that have a value; raises ValueError if none has."""
    has_value = ~np.isnan(columns[0])
    if not has_value.any():
        raise ValueError("no text has a value")
    seeds, rows = seeds[has_value], np.stack(columns)[:, has_value]
    return Figure(
        bootstrap(len(seeds), lambda chosen: measure(*rows[:, chosen])),
        len(seeds),
        tuple(measure(*rows[:, seeds == seed]) for seed in dict.fromkeys(seeds.tolist())),
    )


def _mean(values: Floats) -> float:
    return float(values.mean())


def _calibration_error(confidence: Floats, right: Floats) -> float:
    return expected_calibration_error(confidence, right > 0)


def in_order(steps: Sequence[Found], events: Sequence[Sequence[Event]]) -> bool:
    """Whether each step of a chain matches an event of its text.

    events : of each text
    """
    return bool(steps) and all(
        any(matches(found, event) for event in some)
        for found, some in zip(steps, events, strict=True)
    )
