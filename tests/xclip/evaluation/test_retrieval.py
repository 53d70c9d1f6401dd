"""Retrieval end to end, and querybank normalisation against the publication's arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xclip.encoder import Encoder
from xclip.evaluation.clip_loader import Footage
from xclip.evaluation.errors import EvaluationError
from xclip.evaluation.retrieval import querybank_normalised, retrieval_lines, score_retrieval
from xclip.evaluation.views import Viewing
from xclip.training.readers.clips import AnnotatedClip
from xclip.video.decode import DecodedSegment, DecodeRequest
from xclip.video.sampling import Segmentation
from xclip.video.sandbox.child import decode_in_child

COSINES = st.floats(-1, 1, width=32)


def footage(encoder: Encoder, clips: list[AnnotatedClip]) -> Footage:
    return Footage(clips, Viewing(encoder.num_frames, encoder.geometry))


@given(arrays(np.float32, (6, 5), elements=COSINES), arrays(np.float32, (4, 5), elements=COSINES))
def test_querybank_normalisation_orders_as_published(scores, bank):
    """exp(β s) over its sum on the bank, where the best clip is also the best of a bank text."""
    beta = 20.0
    drawn = np.isin(scores.argmax(axis=1), bank.argmax(axis=1))
    shares = np.exp(beta * scores.astype(float)) / np.exp(beta * bank.astype(float)).sum(axis=0)
    expected = np.where(drawn[:, None], np.log(shares), beta * scores.astype(float))
    assert querybank_normalised(scores, bank, beta) == pytest.approx(expected, abs=1e-4)


def test_a_folder_of_clips_is_found_as_the_service_finds_it(
    tiny: Encoder, motion_clips: list[AnnotatedClip]
):
    """Ranks by the exact score equal those of the service's own path: decode, encode, score."""
    seen: list[AnnotatedClip] = []
    scores = score_retrieval(tiny, footage(tiny, motion_clips), tiny.bank[:20], seen.append)
    request = DecodeRequest(Segmentation(), tiny.num_frames, tiny.geometry)
    texts = tiny.encode_text([clip.text for clip in motion_clips])
    served = []
    for clip in motion_clips:
        with decode_in_child(clip.path, request, wall_clock_s=60) as process:
            (segment,) = [part for part in process if isinstance(part, DecodedSegment)]
        served.append(tiny.score(texts, tiny.encode_video(segment.frames[None]))[0])
    served_scores = np.stack(served, axis=1)  # (N, B)
    assert seen == motion_clips
    assert scores.exact * tiny.logit_scale == pytest.approx(served_scores, abs=1e-3)
    lines = {(line.method, line.direction): line for line in retrieval_lines(scores)}
    own = served_scores[np.arange(len(texts)), np.arange(len(texts))]
    ranks = (served_scores > own[:, None]).sum(axis=1)
    assert lines["exact", "text→video"].ranks.tolist() == ranks.tolist()
    assert lines["exact", "text→video"].figures.r1 == np.mean(ranks == 0)
    assert set(lines) == {
        ("plain", "text→video"),
        ("plain", "video→text"),
        ("exact", "text→video"),
        ("exact", "video→text"),
        ("querybank", "text→video"),
    }


def test_broken_clips_are_told_and_their_texts_left_out(
    tiny: Encoder, motion_clips: list[AnnotatedClip], tmp_path: Path
):
    """Two captions of one clip stay two queries for one clip."""
    first, second = motion_clips[:2]
    absent = AnnotatedClip(tmp_path / "absent.mp4", "something else")
    again = AnnotatedClip(first.path, "another caption", first.start, first.end)
    clips = footage(tiny, [first, absent, again, second])
    scores = score_retrieval(tiny, clips, (), lambda clip: None)
    assert [one.clip for one in clips.broken] == [absent]
    assert scores.annotated == (first, again, second)
    assert scores.relevant.tolist() == [[True, False], [True, False], [False, True]]
    assert {line.method for line in retrieval_lines(scores)} == {"plain", "exact"}


def test_a_list_of_nothing_but_broken_clips_is_an_error(tiny: Encoder, tmp_path: Path):
    """It names the first and why."""
    clips = [AnnotatedClip(tmp_path / "absent.mp4", "anything")]
    with pytest.raises(EvaluationError, match=r"absent.mp4, failed: No such file"):
        score_retrieval(tiny, footage(tiny, clips), (), lambda clip: None)
