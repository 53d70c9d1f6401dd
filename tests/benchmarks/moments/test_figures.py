"""Figures of moment retrieval, on answers small enough to judge by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.moments.archive import Event
from benchmarks.moments.figures import (
    average_precision,
    figure,
    gained,
    in_order,
    judged,
    of_text,
    summarised,
)
from benchmarks.moments.methods import Found, chain_of_moments
from xclip.motion.world import Subject

SUBJECT = Subject("red", "circle", "left")
FIRST, SECOND = Event(0, SUBJECT, 2.0, 6.0), Event(1, SUBJECT, 10.0, 14.0)

SEEDS = np.array([1, 2, 2])


def found(video: int, start: float, end: float, score: float = 0.0, sure: float = 0.9) -> Found:
    return Found(video, start, end, score, sure)


def test_an_event_is_found_once_and_a_small_overlap_is_left_out():
    """A duplicate is wrong, another video is wrong, and a quarter of an event is neither."""
    answer = [found(0, 2, 6), found(0, 3, 7), found(2, 2, 6), found(1, 7, 11), found(1, 10, 15)]
    assert judged(answer, [FIRST, SECOND], None) == [True, False, False, True]


def test_by_overlap_a_small_one_is_wrong():
    """With a least overlap nothing is left out."""
    answer = [found(1, 7, 11), found(0, 2, 5), found(1, 10, 14)]
    assert judged(answer, [FIRST, SECOND], 0.7) == [False, True, True]


def test_average_precision_counts_what_is_never_found():
    """Of two events one is found at place 2, the other not at all: a half, halved."""
    assert average_precision([False, True, False], 2) == pytest.approx(0.25)
    assert average_precision([True, True], 2) == 1.0
    assert average_precision([], 3) == 0.0


def test_figures_of_a_text_with_a_match():
    """The first result is wrong, the second finds the event with three quarters of overlap."""
    figures = of_text([found(2, 0, 5), found(0, 2, 5)], [FIRST])
    assert figures["R@1"] == 0.0
    assert figures["mAP"] == 0.5
    assert figures["mIoU"] == pytest.approx(0.75)
    assert figures["R@5 at 0.7"] == 1.0
    assert np.isnan(figures["kept"])


def test_a_text_without_a_match_has_only_its_confidence():
    """It abstains where the first result is less probable than not, and where there is none."""
    assert of_text([found(0, 0, 5, sure=0.4)], [])["abstained"] == 1.0
    assert of_text([found(0, 0, 5, sure=0.6)], [])["abstained"] == 0.0
    assert of_text([], [])["abstained"] == 1.0


def test_the_calibration_error_is_of_first_results():
    """One right with 0.9 and one wrong with 0.9: a gap of 0.4."""
    texts = [of_text([found(0, 2, 6)], [FIRST]), of_text([found(0, 2, 6)], [])]
    figures = summarised([{"seed": 1, **text} for text in texts])
    assert figures["calibration error"].estimate.value == pytest.approx(0.4)


def test_texts_without_a_value_are_passed_over():
    """NaN is no zero; each seed has its own mean."""
    mean = figure(lambda column: float(column.mean()), SEEDS, np.array([1.0, 0.5, np.nan]))
    assert mean.estimate.value == 0.75
    assert (mean.count, mean.by_seed) == (2, (1.0, 0.5))


def test_what_is_gained_is_compared_text_by_text():
    """A text on which both are equal and one that is won by a half gain a quarter."""
    before = [{"seed": 1, "mAP": 0.5}, {"seed": 1, "mAP": 0.25}, {"seed": 2, "abstained": 1.0}]
    after = [{"seed": 1, "mAP": 1.0}, {"seed": 1, "mAP": 0.25}, {"seed": 2, "abstained": 1.0}]
    changes = gained(before, after)
    assert changes["mAP"].estimate.value == 0.25
    assert changes["abstained"].estimate.value == 0.0


def test_a_sequence_is_right_if_every_step_is():
    """A step that shows another event spoils the chain, and no chain is no answer."""
    assert in_order([found(0, 2, 6), found(1, 10, 14)], [[FIRST], [SECOND]])
    assert not in_order([found(0, 2, 6), found(1, 2, 6)], [[FIRST], [SECOND]])
    assert not in_order([], [[FIRST], [SECOND]])


def test_the_best_chain_of_moments_is_in_one_video_and_in_order():
    """The higher scores lie in another video, or before the step they should follow."""
    firsts = [found(0, 2, 6, 5.0), found(1, 9, 12, 4.0)]
    seconds = [found(0, 0, 2, 9.0), found(1, 12, 14, 3.0), found(2, 0, 4, 9.0)]
    assert chain_of_moments([firsts, seconds]) == [firsts[1], seconds[1]]
    assert chain_of_moments([firsts, seconds[:1]]) == []
