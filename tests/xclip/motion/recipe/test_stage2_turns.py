"""The second lesson: what it draws, and that it never sees what is held out."""

from __future__ import annotations

import re

import numpy as np
import torch

from xclip.motion.recipe.stage2_turns import (
    CIRCLING,
    MOVING,
    NARROW,
    RESTING,
    SCHEDULE,
    spread,
    turning_batch,
)
from xclip.motion.world import HELD_OUT, MOTIONS, vocabulary
from xclip.tokenizer import build_tokenizer

PLACE = re.compile(" (at|in) the .*")
TOKENIZER = build_tokenizer(vocabulary(), max_length=32)


def texts(step: int) -> list[str]:
    return TOKENIZER.batch_decode(turning_batch(step, TOKENIZER).input_ids, True)


def test_a_batch_is_a_function_of_its_step() -> None:
    """The same step draws the same batch; another step another."""
    first, again, other = (turning_batch(step, TOKENIZER) for step in (3, 3, 4))
    assert torch.equal(first.pixel_values, again.pixel_values)
    assert torch.equal(first.input_ids, again.input_ids)
    assert not torch.equal(first.pixel_values, other.pixel_values)


def test_circles_begin_near_the_top_and_end_up_anywhere() -> None:
    """The spread never shrinks, and covers the whole circle for a good part of the lesson."""
    spreads = [spread(step) for step in range(SCHEDULE.steps)]
    assert spreads[0] == NARROW
    assert spreads == sorted(spreads)
    assert sum(value == np.pi for value in spreads) > SCHEDULE.steps / 3


def test_a_batch_is_mostly_circles_and_forgets_nothing() -> None:
    """28 shapes that circle, a few looks in all motions, one shape in eight places."""
    for step in range(10):
        captions = texts(step)
        assert len(captions) == len(set(captions)) == MOVING + CIRCLING + RESTING
        circling = [c for c in captions[MOVING : MOVING + CIRCLING] if "clockwise" in c]
        assert len(circling) == CIRCLING
        moving = " ".join(captions[:MOVING])
        assert sum(any(p in moving for p in MOTIONS[m]) for m in MOTIONS) == len(MOTIONS)
        assert len({PLACE.search(text)[0] for text in captions[-RESTING:]}) == RESTING


def test_no_caption_names_a_held_out_combination() -> None:
    """Over 20 batches, no text pairs the colour, shape and motion of a held-out subject."""
    seen = {PLACE.sub("", text) for step in range(20) for text in texts(step)}
    for subject in HELD_OUT:
        same = [text for text in seen if f"{subject.colour} {subject.shape}" in text]
        assert not any(text.endswith(p) for text in same for p in MOTIONS[subject.motion])
