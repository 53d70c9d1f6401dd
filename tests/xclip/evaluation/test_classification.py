"""Classification over views, end to end on generated clips."""

from __future__ import annotations

import numpy as np
import pytest

from xclip.encoder import Encoder
from xclip.evaluation.classification import (
    Classification,
    classify_footage,
    labels_of,
    mean_softmax,
)
from xclip.evaluation.clip_loader import Footage
from xclip.evaluation.errors import EvaluationError
from xclip.evaluation.protocols import ViewProtocol
from xclip.evaluation.views import Viewing
from xclip.training.readers.clips import AnnotatedClip


def footage(encoder: Encoder, clips: list[AnnotatedClip], protocol: ViewProtocol) -> Footage:
    return Footage(clips, Viewing(encoder.num_frames, encoder.geometry, protocol))


def test_views_are_fused_by_their_softmax_not_by_their_logits():
    """One view is sure of the first label, two lean to the second: the mean logit would differ."""
    logits = np.array([[9.0, 0.0], [0.0, 1.0], [0.0, 1.0]], np.float32)
    sure, leaning = 1 / (1 + np.exp(-9.0)), 1 / (1 + np.exp(1.0))
    assert mean_softmax(logits) == pytest.approx(
        [(sure + 2 * leaning) / 3, 1 - (sure + 2 * leaning) / 3]
    )


def test_top_k_counts_the_clips_whose_label_is_among_the_first_k():
    """As counted by hand for three clips of six labels."""
    order = np.array([[0, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]])
    shares = np.empty((3, 6))
    np.put_along_axis(shares, order, np.array([[0.4, 0.3, 0.1, 0.09, 0.06, 0.05]]), axis=1)
    classified = Classification(tuple("abcdef"), np.array([0, 0, 0]), shares)
    assert classified.top(1) == pytest.approx(1 / 3)
    assert classified.top(5) == pytest.approx(2 / 3)
    assert classified.counts[0].tolist() == [1, 1, 0, 0, 0, 1]
    assert classified.class_mean == pytest.approx(1 / 3)
    assert classified.calibration_error == pytest.approx(0.4 - 1 / 3)


def test_the_shares_of_one_view_are_the_softmax_of_the_models_scores(
    tiny: Encoder, motion_clips: list[AnnotatedClip]
):
    """Zero-shot over the captions of the clips; several views are their mean."""
    labels = labels_of(motion_clips)
    single = Viewing(tiny.num_frames, tiny.geometry)
    one = classify_footage(tiny, Footage(motion_clips, single), labels, "{}", lambda clip: None)
    stored = tiny.encode_video(single.views_of(motion_clips[0]))
    powers = np.exp(tiny.score(tiny.encode_text(labels), stored)[0].astype(float))
    assert one.shares[0] == pytest.approx(powers / powers.sum(), abs=1e-5)
    assert [one.labels[number] for number in one.truth] == [clip.text for clip in motion_clips]
    assert one.top(1) >= 0.8  # by chance a fifth
    views = footage(tiny, motion_clips[:1], ViewProtocol("original", clips=4, crops=3))
    many = classify_footage(tiny, views, labels, "{}", lambda clip: None)
    assert many.shares.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "template", "message"),
    [
        (["running", "running"], "{}", "twice"),
        (["walking"], "{}", "'running'"),
        (["running", "Running "], "{}", "'running' and 'Running ' are the same to the model"),
        (["running", "x " * 90 + "a", "x " * 90 + "b"], "{}", "are the same to the model"),
        (["running"], "a person", "no {}"),
    ],
)
def test_labels_that_make_no_sense_are_refused(
    tiny: Encoder, motion_clips: list[AnnotatedClip], labels: list[str], template: str, message: str
):
    """Before anything is decoded."""
    clips = [AnnotatedClip(motion_clips[0].path, "running")]
    with pytest.raises(EvaluationError, match=message):
        classify_footage(
            tiny, footage(tiny, clips, ViewProtocol()), labels, template, lambda clip: None
        )


def test_a_clip_with_two_labels_is_refused(tiny: Encoder, motion_clips: list[AnnotatedClip]):
    """No single answer would be right."""
    clips = [AnnotatedClip(motion_clips[0].path, text) for text in ("running", "walking")]
    with pytest.raises(EvaluationError, match="two labels"):
        classify_footage(
            tiny,
            footage(tiny, clips, ViewProtocol()),
            ["running", "walking"],
            "{}",
            lambda clip: None,
        )
