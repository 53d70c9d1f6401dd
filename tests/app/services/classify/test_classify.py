"""Classification of much at once: the memory it takes, and that it comes in pieces."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from tests.app.conftest import write_clip
from tests.app.stack import CLASSIFY, Stack, open_stack
from xclip.encoder import Encoder

SEGMENTS = 400
LABELS = [f"a red square moves {number}" for number in range(10_000)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Stack]:
    """A service with four videos, cut into 100 segments each."""
    folder = tmp_path_factory.mktemp("large")
    with open_stack(folder / "data", encoder, window_s=1.0, stride_s=0.1) as stack:
        for seed in range(4):
            stack.ingest(write_clip(folder / f"{seed}.mp4", seconds=10.9, seed=seed))
        yield stack


def peak_bytes(stack: Stack, **part: object) -> int:
    """The most memory that Python and NumPy took for one answer, service and worker together."""
    tracemalloc.start()
    answer = stack.api.post(CLASSIFY, json={"labels": LABELS, "top": 5, **part})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 200, answer.text
    return peak


def test_memory_does_not_grow_with_segments_times_labels(large: Stack):
    """Of 10,000 labels, 400 segments take hardly more than 100, and less than their table would."""
    newest = large.catalog.list_videos("default").items[0].id
    peak_bytes(large, video_ids=[newest])  # what is kept for later: embeddings of the labels
    one, all_four = peak_bytes(large, video_ids=[newest]), peak_bytes(large)
    table = SEGMENTS * len(LABELS) * np.float32().itemsize
    assert all_four < 0.75 * table
    assert all_four - one < 0.1 * table


def test_pieces_make_the_whole(large: Stack, monkeypatch: pytest.MonkeyPatch):
    """Blocks and calls of any size give the same answer, also across the ends of videos."""
    labels = LABELS[:7]
    body = {"labels": labels, "templates": ["{}", "a {}"]}
    whole = large.api.post(CLASSIFY, json=body).json()
    for name, value in (
        ("_BLOCK_SCORES", 7 * 30),
        ("_TEXTS_A_CALL", 6),
        ("_PAIRS_A_CALL", 20),
    ):
        monkeypatch.setattr(f"app.services.classify.classify.{name}", value)
    before = len(large.worker.requests)
    pieces = large.api.post(CLASSIFY, json=body).json()
    assert len(large.worker.requests) - before > SEGMENTS * len(labels) / 20
    for one, other in zip(whole["videos"], pieces["videos"], strict=True):
        assert other["scores"] == pytest.approx(one["scores"], abs=1e-5)
        for left, right in zip(one["segments"], other["segments"], strict=True):
            assert left["segment_id"] == right["segment_id"]
            assert right["scores"] == pytest.approx(left["scores"], abs=1e-5)
