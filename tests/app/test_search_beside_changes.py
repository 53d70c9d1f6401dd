"""Searches while videos come and go: every answer agrees with what was there meanwhile."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.app.planted import Contents, ask, plant, read_contents, url
from tests.app.stack import Stack
from tests.app.stack import stack as stack
from xclip.encoder import Encoder

TEXT = "a red square moves left"
NOISE = 1e-4
SEARCHES = 60


@dataclass
class Life:
    """When a video came and went, monotonic: between the two times of each it was doing so."""

    scores: dict[str, float]
    group: int
    coming: float
    came: float
    going: float = math.inf
    gone: float = math.inf

    def certainly(self, begin: float, end: float) -> bool:
        """Whether it was there all the while."""
        return self.came < begin and end < self.going

    def possibly(self, begin: float, end: float) -> bool:
        """Whether it was there at some moment."""
        return self.coming < end and begin < self.gone


@dataclass
class Changes:
    """A thread's additions and removals, and what it has noted of them."""

    stack: Stack
    encoder: Encoder
    lives: dict[str, Life] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    @property
    def removed(self) -> bool:
        """Whether any video has gone again."""
        return any(life.gone < math.inf for life in list(self.lives.values()))

    def add(self, rng: np.random.Generator) -> None:
        group, coming = int(rng.integers(2)), time.monotonic()
        segments = int(rng.integers(1, 4))
        video = plant(self.stack, self.encoder, rng, segments=segments, metadata={"group": group})
        came = time.monotonic()
        scores = scores_of(read_contents(self.stack, self.encoder, "default"), video.id)
        self.lives[video.id] = Life(scores, group, coming, came)

    def remove(self, video_id: str) -> None:
        life = self.lives[video_id]
        life.going = time.monotonic()
        self.stack.catalog.delete_video("default", video_id)
        life.gone = time.monotonic()

    def run(self) -> None:
        rng = np.random.default_rng(5)
        try:
            while not self.stop.is_set():
                here = [name for name, life in self.lives.items() if life.gone == math.inf]
                if len(here) < 6 or (len(here) < 14 and rng.random() < 0.5):
                    self.add(rng)
                else:
                    self.remove(here[int(rng.integers(len(here)))])
        except BaseException as error:  # noqa: BLE001  told to the test's own thread
            self.failure = error


def scores_of(contents: Contents, video_id: str) -> dict[str, float]:
    logits = contents.logits([TEXT])[:, 0].tolist()
    pairs = zip(contents.segments, logits, strict=True)
    return {segment.id: score for segment, score in pairs if segment.video_id == video_id}


@contextmanager
def changing(stack: Stack, encoder: Encoder) -> Iterator[Changes]:
    """Within the block a thread adds and removes videos of the default collection."""
    changes = Changes(stack, encoder)
    for seed in range(5):
        changes.add(np.random.default_rng(seed))
    thread = threading.Thread(target=changes.run)
    thread.start()
    try:
        while not changes.removed and thread.is_alive():  # on a busy machine it begins late
            time.sleep(0.01)
        yield changes
    finally:
        changes.stop.set()
        thread.join()
    assert changes.failure is None


@dataclass(frozen=True)
class Asked:
    begin: float
    end: float
    answer: dict[str, Any]
    group: int | None
    top_k: int


def assert_explained(asked: Asked, lives: dict[str, Life]) -> None:
    """What was there all the while and is good enough is found; what was not there is not."""
    spans = [life for life in lives.values() if asked.group in (None, life.group)]
    sure, possible = {}, {}
    for life in spans:
        if life.certainly(asked.begin, asked.end):
            sure |= life.scores
        if life.possibly(asked.begin, asked.end):
            possible |= life.scores
    found = [result["segment_id"] for result in asked.answer["results"]]
    assert len(set(found)) == len(found)
    assert set(found) <= set(possible)
    assert len(found) >= min(asked.top_k, len(sure))
    for result in asked.answer["results"]:
        assert result["score"] == pytest.approx(possible[result["segment_id"]], abs=NOISE)
    scores = [result["score"] for result in asked.answer["results"]]
    assert scores == sorted(scores, reverse=True)
    for name, score in sure.items():
        better = sum(other > score - NOISE for other in possible.values()) - 1
        assert name in found or better >= asked.top_k


def test_every_answer_is_explained_by_a_state_while_it_was_made(stack: Stack, encoder: Encoder):
    """Nothing deleted before, all that stayed and belongs there, no duplicate, never too few."""
    answers = []
    with changing(stack, encoder) as changes:
        for number in range(SEARCHES):
            group, top_k = (None, 0, 1)[number % 3], (3, 10, 40)[number // 3 % 3]
            wanted = {} if group is None else {"group": group}
            begin = time.monotonic()
            answer = ask(stack, text=TEXT, top_k=top_k, filter=wanted)
            answers.append(Asked(begin, time.monotonic(), answer, group, top_k))
    for asked in answers:
        assert_explained(asked, changes.lives)


def test_more_like_a_segment_that_goes_is_an_answer_or_not_found(stack: Stack, encoder: Encoder):
    """A video that vanishes while it is searched with is no failure of the service."""
    statuses = []
    with changing(stack, encoder) as changes:
        while len(statuses) < SEARCHES or not changes.removed:
            video = list(changes.lives.values())[-1]
            answer = stack.api.post(url("default"), json={"segment_id": next(iter(video.scores))})
            statuses.append((answer.status_code, answer.json().get("code")))
    assert set(statuses) <= {(200, None), (404, "segment_not_found")}
    assert (200, None) in statuses


def test_pages_beside_changes_never_repeat_nor_lose_what_stayed(stack: Stack, encoder: Encoder):
    """Joined pages hold every segment that stayed once, and none that came later."""
    with changing(stack, encoder) as changes:
        number = 0
        while number < 6 or not changes.removed:
            number += 1
            wanted = {} if number % 2 else {"group": {"gte": 0}}
            begin = time.monotonic()
            pages = [ask(stack, text=TEXT, top_k=4, filter=wanted)]
            first_end = time.monotonic()
            while pages[-1]["next_cursor"] is not None:
                cursor = pages[-1]["next_cursor"]
                pages.append(ask(stack, text=TEXT, top_k=4, filter=wanted, cursor=cursor))
            end = time.monotonic()
            found = [result["segment_id"] for page in pages for result in page["results"]]
            assert len(set(found)) == len(found)
            assert {page["index"]["snapshot"] for page in pages} == {pages[0]["index"]["snapshot"]}
            for life in list(changes.lives.values()):
                if life.came < begin and end < life.going:
                    assert set(life.scores) <= set(found)
                if life.coming > first_end:
                    assert not set(life.scores) & set(found)
