"""Scores in turns: the encoder's own numbers, however small the pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from app.worker.model_scheduler import ModelScheduler
from app.worker.scoring import PAIRS_A_TURN, TEXTS_A_TURN, Scoring
from app.worker.text_cache import TextCache
from xclip.encoder import Encoder, StoredSegments


class CountingGate(ModelScheduler):
    """A gate that counts its turns."""

    turns = 0

    def query(self, call: Callable[[], Any]) -> Future[Any]:
        """Run `call`, and count it."""
        self.turns += 1
        return super().query(call)


@pytest.fixture
def gate() -> Iterator[CountingGate]:
    """A gate of the test's own."""
    gate = CountingGate()
    yield gate
    gate.close()


@pytest.fixture
def scoring(encoder: Encoder, gate: CountingGate) -> Scoring:
    """Scoring with a text cache of the test's own."""
    return Scoring(encoder, gate, TextCache(encoder, gate))


@pytest.fixture(scope="module")
def stored(encoder: Encoder) -> StoredSegments:
    """Five segments of noise."""
    shape = (5, encoder.num_frames, 32, 32, 3)
    return encoder.encode_video(np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8))


def test_a_label_in_templates_is_the_mean_of_its_texts(encoder: Encoder, scoring: Scoring) -> None:
    """Plain arithmetic of what the encoder gives for the texts with the label put in."""
    found = scoring.embed(["red", "blue circle"], ["a {} moves", "{}", "{} left"])
    for row, label in zip(found, ["red", "blue circle"], strict=True):
        texts = [f"a {label} moves", label, f"{label} left"]
        np.testing.assert_allclose(row, encoder.encode_text(texts).mean(axis=0), atol=1e-6)


def test_without_templates_a_label_is_its_text(encoder: Encoder, scoring: Scoring) -> None:
    """Braces in a label are text like any other, with templates or without."""
    labels = ["red", "{} {0} moves"]
    np.testing.assert_array_equal(scoring.embed(labels, ()), encoder.encode_text(labels))
    np.testing.assert_array_equal(
        scoring.embed(labels, ["a {}"]), encoder.encode_text(["a red", "a {} {0} moves"])
    )


def test_thousands_of_labels_take_many_short_turns(
    encoder: Encoder, scoring: Scoring, gate: CountingGate, stored: StoredSegments
) -> None:
    """No turn embeds or scores more than its share, and the pieces make the whole."""
    labels = [f"a red square moves {number}" for number in range(5_000)]
    embeddings = scoring.embed(labels, ())
    assert gate.turns >= len(labels) / TEXTS_A_TURN
    turns = gate.turns
    logits = scoring.score(embeddings, stored)
    assert gate.turns - turns >= logits.size / PAIRS_A_TURN
    np.testing.assert_allclose(logits, encoder.score(embeddings, stored), atol=1e-4)


def test_a_search_takes_one_turn(
    scoring: Scoring, gate: CountingGate, stored: StoredSegments
) -> None:
    """Few pairs are not cut: turns are not free."""
    embeddings = scoring.embed(["red"], ())
    turns = gate.turns
    assert scoring.score(embeddings, stored).shape == (5, 1)
    assert gate.turns - turns == 1


class BusyGate(ModelScheduler):
    """A gate at which a search arrives whenever labels have: `order` tells who went when."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def query(self, call: Callable[[], Any]) -> Future[Any]:
        """Run `call`, and a search that comes a moment later."""
        turn = super().query(lambda: (self.order.append("labels"), call())[1])
        super().query(lambda: self.order.append("search"))
        return turn


def test_others_get_their_turns_between(encoder: Encoder, stored: StoredSegments) -> None:
    """Whoever asks while labels are scored waits for one turn, not for all of them."""
    gate = BusyGate()
    scoring = Scoring(encoder, gate, TextCache(encoder, gate))
    embeddings = np.repeat(encoder.encode_text(["red"]), 3 * PAIRS_A_TURN, axis=0)
    scoring.score(embeddings, stored)
    assert gate.order[:-1] == ["labels", "search"] * 14 + ["labels"]
    gate.close()
