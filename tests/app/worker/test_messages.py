"""Messages: what one side writes the other reads, and anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.worker.messages import (
    ClipRequest,
    MessageError,
    ModelFacts,
    ScoreRequest,
    TextRequest,
)
from index.protocol import TensorReference
from xclip.video.sample import Segmentation

texts = st.lists(st.text(), min_size=1, max_size=4)
counts = st.integers(0, 2**40)
seconds = st.floats(0.1, 100)
references = st.builds(TensorReference, st.text(), counts, counts, counts)


@given(texts)
def test_a_text_request_survives_the_wire(asked: list[str]) -> None:
    """Any text a JSON string can hold arrives as it was sent."""
    assert TextRequest.from_json(TextRequest(asked).to_json()) == TextRequest(asked)


@given(texts, st.lists(references, max_size=3))
def test_a_score_request_survives_the_wire(asked: list[str], refs: list[TensorReference]) -> None:
    """References arrive exactly, in their order."""
    request = ScoreRequest(asked, refs, "fingerprint")
    assert ScoreRequest.from_json(request.to_json()) == request


@given(texts, seconds, st.floats(0.01, 1))
def test_a_clip_request_survives_the_wire(asked: list[str], window: float, share: float) -> None:
    """Durations keep every bit."""
    request = ClipRequest("/data/tmp/incoming-1", asked, Segmentation(window, window * share))
    assert ClipRequest.from_json(request.to_json()) == request


def test_model_facts_survive_the_wire() -> None:
    """The pair of sizes comes back as a pair."""
    facts = ModelFacts("tiny", "0f", 8, 32, 16, (4, 16), 14.3, "cpu", "float32")
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
        b'{"texts": ["a"], "segments": [{"file": "x"}], "fingerprint": "f"}',
        b'{"texts": ["a"], "segments": [3], "fingerprint": "f"}',
        b'{"texts": ["a"], "segments": [{"file": 1, "offset": 0, "length": 0, "crc32": 0}], '
        b'"fingerprint": "f"}',
        b'{"texts": ["a"], "path": "x", "window_s": "long", "stride_s": 1}',
        b'{"texts": ["a"], "path": "x", "window_s": 1, "stride_s": 2}',
        b'{"texts": ["a"], "path": "x", "window_s": NaN, "stride_s": NaN}',
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("kind", [ScoreRequest, ClipRequest, ModelFacts])
def test_a_malformed_message_is_refused(
    kind: type[ScoreRequest | ClipRequest | ModelFacts], body: bytes
) -> None:
    """The worker answers 400; no other exception ever leaves the parser."""
    with pytest.raises(MessageError):
        kind.from_json(body)
