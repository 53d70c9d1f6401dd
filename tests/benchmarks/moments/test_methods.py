"""Every method answers from the same scores; those that promise exact bounds give them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.moments.methods import METHODS, Method
from benchmarks.moments.scores import COARSE, FINE, ScaleScores, TextScores
from xclip.video.sampling import Segmentation, windows

VIDEOS, DURATION_S = 3, 30.0


def scores(video: int, first: float, last: float) -> TextScores:
    """What a perfect model would give for one event: logits by the share of it in each window."""
    coarse, fine = (scale_scores(scale, video, first, last) for scale in (COARSE, FINE))
    return TextScores(coarse, fine)


def scale_scores(scale: Segmentation, video: int, first: float, last: float) -> ScaleScores:
    places = windows(DURATION_S, scale)
    start = np.tile([one.start for one in places], VIDEOS)
    end = np.tile([one.end for one in places], VIDEOS)
    videos = np.repeat(np.arange(VIDEOS), len(places))
    share = (np.minimum(end, last) - np.maximum(start, first)).clip(0) / (end - start)
    logit = 20.0 * share * (videos == video)
    every = np.ones(len(videos), np.bool_)
    return ScaleScores(videos, start, end, logit, logit / 21, np.zeros(len(videos)), every)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_the_event_comes_first(method: Method) -> None:
    """In its video, overlapping it, with its window's confidence."""
    best, *others = method.moments(scores(1, 12.5, 18.75))
    assert best.video == 1
    assert best.start < 18.75
    assert best.end > 12.5
    assert 0.5 < best.confidence < 1
    assert all(other.score <= best.score for other in others)


@pytest.mark.parametrize("method", [METHODS[2], METHODS[4]], ids=lambda method: method.name)
def test_spans_are_the_events_own(method: Method) -> None:
    """Bounds by contrast are exact where the scores are."""
    best = method.moments(scores(1, 12.5, 18.75))[0]
    assert (best.start, best.end) == pytest.approx((12.5, 18.75))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_two_events_in_order_are_a_chain(method: Method) -> None:
    """Both steps in their video, in time; asked for the other way round, not these two."""
    texts = [scores(2, 5.0, 10.0), scores(2, 12.5, 17.5)]
    answers = [method.moments(text) for text in texts]
    first, second = method.sequence(texts, answers)
    assert (first.video, second.video) == (2, 2)
    assert (first.start, second.start) == pytest.approx((5.0, 12.5))
    back = method.sequence(texts[::-1], answers[::-1])
    assert [step.start for step in back] != pytest.approx([12.5, 5.0])
