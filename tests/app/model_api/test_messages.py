"""Messages: what one side writes the other reads, and anything else is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model_api.messages import (
    MAX_SCORES,
    ClipScoreRequest,
    ConfidenceRequest,
    EmbedRequest,
    MessageError,
    ModelFacts,
    ScoreRequest,
    Scores,
    TextRequest,
)
from index.protocol import TensorReference

texts = st.lists(st.text(), min_size=1, max_size=4)
counts = st.integers(0, 2**40)
seconds = st.floats(0.1, 100)
references = st.builds(TensorReference, st.text(), counts, counts, counts)
confidences = st.none() | st.builds(ConfidenceRequest, st.none() | st.text(), counts)


@given(texts)
def test_a_text_request_survives_the_wire(asked: list[str]) -> None:
    """Any text a JSON string can hold arrives as it was sent."""
    assert TextRequest.from_json(TextRequest(asked).to_json()) == TextRequest(asked)


@given(texts, st.lists(references, max_size=3), confidences, st.booleans())
def test_a_score_request_survives_the_wire(
    asked: list[str],
    refs: list[TensorReference],
    confidence: ConfidenceRequest | None,
    rest: bool,
) -> None:
    """References arrive exactly, in their order, and so does what is asked beside the logits."""
    templates = ("{}", "a video of {}")
    request = ScoreRequest(asked, refs, "fingerprint", templates, confidence, rest)
    assert ScoreRequest.from_json(request.to_json()) == request


@given(texts, seconds, st.floats(0.01, 1), confidences)
def test_a_clip_request_survives_the_wire(
    asked: list[str], window: float, share: float, confidence: ConfidenceRequest | None
) -> None:
    """Durations keep every bit."""
    cut = ("incoming-1", window, window * share)
    request = ClipScoreRequest(*cut, asked, ("a video of {}",), confidence)
    assert ClipScoreRequest.from_json(request.to_json()) == request
    embed = EmbedRequest(*cut)
    assert EmbedRequest.from_json(embed.to_json()) == embed


def test_model_facts_survive_the_wire() -> None:
    """The pair of sizes comes back as a pair."""
    facts = ModelFacts("tiny", "0f", 8, 32, 16, {"prompt": (4, 16)}, 14.3, "cpu", "float32", 3, 1)
    assert ModelFacts.from_json(facts.to_json()) == facts


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"{}",
        b'{"texts": []}',
        b'{"texts": "a cat"}',
        b'{"texts": [1]}',
        b'{"texts": ["a"], "segments": [{"file": "x"}], "fingerprint": "f", "templates": []}',
        b'{"texts": ["a"], "segments": [3], "fingerprint": "f", "templates": []}',
        b'{"texts": ["a"], "segments": [{"file": 1, "offset": 0, "length": 0, "crc32": 0}], '
        b'"fingerprint": "f", "templates": []}',
        b'{"texts": ["a"], "segments": [], "fingerprint": "f", "templates": ["no place"]}',
        b'{"texts": ["a"], "segments": [], "fingerprint": "f", "templates": "{}"}',
        b'{"texts": ["a"], "name": "x", "window_s": "long", "stride_s": 1, "templates": []}',
        b'{"texts": ["a"], "name": "x", "window_s": 1, "stride_s": 2, "templates": []}',
        b'{"texts": ["a"], "name": "x", "window_s": NaN, "stride_s": NaN, "templates": []}',
        b'{"texts": ["a"], "name": "x", "window_s": 1, "stride_s": 1, "templates": [1]}',
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("kind", [ScoreRequest, ClipScoreRequest, ModelFacts])
def test_a_malformed_message_is_refused(
    kind: type[ScoreRequest | ClipScoreRequest | ModelFacts], body: bytes
) -> None:
    """The worker answers 400; no other exception ever leaves the parser."""
    with pytest.raises(MessageError):
        kind.from_json(body)


@pytest.mark.parametrize(
    "change",
    [{"another": 1}, {"rest": 1}, {"rest": "yes"}, {"fingerprint": 3}, {"texts": []}],
)
def test_a_field_of_another_name_or_type_is_refused(change: dict[str, object]) -> None:
    """The schema is strict: nothing is converted, and no field is passed over."""
    sound = json.loads(ScoreRequest(["a"], [], "f").to_json())
    with pytest.raises(MessageError, match=next(iter(change))):
        ScoreRequest.from_json(json.dumps({**sound, **change}).encode())


def test_the_fields_on_the_wire_keep_their_names() -> None:
    """Both ends of two versions meet during an upgrade, so the names are fixed here."""
    confidence = ConfidenceRequest("c", 2)
    score = ScoreRequest(["a"], [TensorReference("x", 1, 2, 3)], "f", ("{}",), confidence, True)
    assert json.loads(score.to_json()) == {
        "texts": ["a"],
        "segments": [{"file": "x", "offset": 1, "length": 2, "crc32": 3}],
        "fingerprint": "f",
        "templates": ["{}"],
        "confidence": {"calibration": "c", "eligible": 2},
        "rest": True,
    }
    clip = ClipScoreRequest("p", 2.0, 1.0, ["a"], (), None)
    assert json.loads(clip.to_json()) == {
        "name": "p",
        "window_s": 2.0,
        "stride_s": 1.0,
        "texts": ["a"],
        "templates": [],
        "confidence": None,
        "rest": False,
    }


def test_an_answer_of_scores_is_bounded() -> None:
    """Whoever wants more asks again, so that no answer fills the memory."""
    some = [TensorReference("f", 0, 0, 0)] * 1_000
    most = ScoreRequest(["a"] * (MAX_SCORES // 1_000), some, "fingerprint")
    assert len(ScoreRequest.from_json(most.to_json()).segments) == 1_000
    with pytest.raises(MessageError, match=str(MAX_SCORES)):
        ScoreRequest.from_json(ScoreRequest([*most.texts, "b"], some, "fingerprint").to_json())


@pytest.mark.parametrize("body", [b"{}", b'{"name": "x", "window_s": 1, "stride_s": 2}', b"[]"])
def test_a_malformed_embed_request_is_refused(body: bytes) -> None:
    """A stride beyond the window is refused like a missing field."""
    with pytest.raises(MessageError):
        EmbedRequest.from_json(body)


@pytest.mark.parametrize(
    "confidence", ["sure", {}, {"calibration": 1, "eligible": 1}, {"calibration": None}]
)
def test_a_malformed_wish_for_confidence_is_refused(confidence: object) -> None:
    """A calibration is a name or null, and the eligible segments are counted."""
    sound = json.loads(ScoreRequest(["a"], [], "f").to_json())
    with pytest.raises(MessageError):
        ScoreRequest.from_json(json.dumps({**sound, "confidence": confidence}).encode())


def test_scores_of_batches_are_joined_in_their_order() -> None:
    """Every table grows by its rows; what was not asked for stays away."""
    one = Scores(np.zeros((2, 3), np.float32), np.zeros((2, 3)), "estimated", np.zeros(2))
    two = Scores(np.ones((1, 3), np.float32), np.ones((1, 3)), "estimated", np.ones(1))
    joined = Scores.joined([one, two], 3)
    assert joined.logits[:, 0].tolist() == [0, 0, 1]
    assert joined.confidence is not None
    assert joined.confidence[:, 0].tolist() == [0, 0, 1]
    assert joined.confidence_kind == "estimated"
    assert joined.rest is not None
    assert joined.rest.tolist() == [0, 0, 1]
    plain = Scores.joined([Scores(one.logits), Scores(two.logits)], 3)
    assert (plain.confidence, plain.confidence_kind, plain.rest) == (None, None, None)
    assert Scores.joined([], 3).logits.shape == (0, 3)
