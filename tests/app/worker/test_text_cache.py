"""Texts at the worker: encoded once, kept within a bound, the same numbers as without the cache."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from app.worker.model_scheduler import ModelScheduler
from app.worker.text_cache import TextCache
from tests.app.conftest import MakeClip
from tests.app.stack import SEARCH, open_stack
from xclip.encoder import Encoder
from xclip.xclip_encoder import XCLIPEncoder

Result = TypeVar("Result")


class CountingGate(ModelScheduler):
    """The real gate; `turns` is how often a query came to it."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0

    def query(self, call: Callable[[], Result]) -> Future[Result]:
        self.turns += 1
        return super().query(call)


@pytest.fixture
def gate() -> Iterator[CountingGate]:
    counting = CountingGate()
    yield counting
    counting.close()


def test_a_text_known_already_does_not_come_to_the_gate(
    encoder: Encoder, gate: CountingGate
) -> None:
    """The second asking is answered at once, with the same numbers, in any company and order."""
    texts = TextCache(encoder, gate)
    first = texts.embed(["red", "a blue circle"]).result(60)
    again = texts.embed(["a blue circle", "red", "red"])
    assert again.done()
    np.testing.assert_array_equal(again.result(), first[[1, 0, 0]])
    assert gate.turns == 1
    np.testing.assert_allclose(first, encoder.encode_text(["red", "a blue circle"]), atol=1e-6)


def test_a_text_asked_for_by_several_at_once_is_encoded_once(
    encoder: Encoder, gate: CountingGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes while it is on its way gets the same numbers without the model's help."""
    encoded: list[str] = []
    encode_text = XCLIPEncoder.encode_text

    def noted(encoder: Encoder, texts: Sequence[str]) -> np.ndarray:
        encoded.extend(texts)
        return encode_text(encoder, texts)

    monkeypatch.setattr(XCLIPEncoder, "encode_text", noted)
    texts, released = TextCache(encoder, gate), threading.Event()
    gate.query(released.wait)
    asked = [texts.embed(["red", other]) for other in ("blue", "left", "blue")]
    released.set()
    tables = [one.result(60) for one in asked]
    assert encoded == ["red", "blue", "left"]
    for table in tables:
        np.testing.assert_array_equal(table[0], tables[0][0])


def test_only_the_unknown_of_several_texts_are_encoded(
    encoder: Encoder, gate: CountingGate
) -> None:
    """What is kept is given as it is, even when its neighbours need a turn."""
    texts = TextCache(encoder, gate)
    kept = texts.embed(["red"]).result(60)
    mixed = texts.embed(["blue", "red", "blue", "left"]).result(60)
    np.testing.assert_array_equal(mixed[1], kept[0])
    np.testing.assert_array_equal(mixed[0], mixed[2])
    expected = encoder.encode_text(["blue", "red", "blue", "left"])
    np.testing.assert_allclose(mixed, expected, atol=1e-6)
    assert (gate.turns, len(texts)) == (2, 3)


def test_the_bound_holds_and_the_text_used_last_stays(encoder: Encoder, gate: CountingGate) -> None:
    """However many texts come, even in one call, only the newest `capacity` are kept."""
    texts = TextCache(encoder, gate, capacity=3)
    many = [f"a {'red ' * i}circle" for i in range(10)]
    table = texts.embed(many).result(60)
    np.testing.assert_allclose(table, encoder.encode_text(many), atol=1e-6)
    assert len(texts) == 3
    texts.embed([many[7]]).result(60)  # now the newest of 7, 8, 9
    texts.embed(["up", "down"]).result(60)
    assert len(texts) == 3
    turns = gate.turns
    texts.embed([many[7], "up", "down"]).result(60)
    assert gate.turns == turns
    texts.embed([many[8]]).result(60)
    assert gate.turns == turns + 1


def test_no_texts_need_no_turn(encoder: Encoder, gate: CountingGate) -> None:
    """An empty list has an empty table."""
    assert TextCache(encoder, gate).embed([]).result(0).shape == (0, encoder.dim)
    assert gate.turns == 0


def test_a_failure_is_the_callers_and_is_not_kept(encoder: Encoder, gate: CountingGate) -> None:
    """One text that cannot be encoded leaves the others usable."""
    texts = TextCache(encoder, gate)
    with pytest.raises(TypeError):
        texts.embed(["red", 3]).result(60)  # type: ignore[list-item]
    assert len(texts) == 0
    assert texts.embed(["red"]).result(60).shape == (1, encoder.dim)


def test_many_threads_share_it(encoder: Encoder, gate: CountingGate) -> None:
    """Under contention and eviction every caller gets the rows of its own texts."""
    texts = TextCache(encoder, gate, capacity=4)
    words = ["red", "blue", "left", "right", "up", "down", "a circle", "a square"]
    expected = dict(zip(words, encoder.encode_text(words), strict=True))
    wrong: list[str] = []

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            chosen = [str(word) for word in rng.choice(words, 3)]
            rows = texts.embed(chosen).result(60)
            for word, row in zip(chosen, rows, strict=True):
                if np.abs(row - expected[word]).max() > 1e-5:
                    wrong.append(word)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(texts) <= 4


def test_a_search_encodes_its_text_once(
    tmp_path: Path, encoder: Encoder, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recall and score both need the embedding; asking again needs the model for neither."""
    encoded: list[list[str]] = []
    encode_text = XCLIPEncoder.encode_text

    def count(self: Encoder, texts: list[str]) -> np.ndarray:
        encoded.append(texts)
        return encode_text(self, texts)

    monkeypatch.setattr(XCLIPEncoder, "encode_text", count)
    with open_stack(tmp_path / "data", encoder) as stack:
        stack.ingest(make_clip(seconds=2.0))
        encoded.clear()  # of the bank's texts, which are encoded at the start
        question = {"text": "a circle moves up"}
        first, second = (stack.api.post(SEARCH, json=question).json() for _ in range(2))
    assert first["results"]
    assert [hit["score"] for hit in first["results"]] == [hit["score"] for hit in second["results"]]
    assert encoded == [["a circle moves up"]]
