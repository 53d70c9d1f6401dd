"""The recipe of the embedded checkpoint: what it draws, and that it never sees what is held out."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from xclip.motion.recipe.stage1_base import (
    BATCH_SIZE,
    PLACES_FIRST,
    configuration,
    draw_batch,
    training_batch,
)
from xclip.motion.world import COLOURS, HELD_OUT, SHAPES, sample_scene, vocabulary
from xclip.tokenizer import build_tokenizer

PLACE = re.compile(" (at|in) the .*")
TOKENIZER = build_tokenizer(vocabulary(), max_length=32)


def test_a_batch_is_a_function_of_its_step() -> None:
    """The same step draws the same batch; another step another."""
    first, again, other = (training_batch(step, TOKENIZER) for step in (3, 3, 4))
    assert torch.equal(first.pixel_values, again.pixel_values)
    assert torch.equal(first.input_ids, again.input_ids)
    assert not torch.equal(first.pixel_values, other.pixel_values)


def test_a_batch_fits_the_network() -> None:
    """64 clips of 8 frames of 48 px, normalised, with one text each."""
    batch = training_batch(0, TOKENIZER)
    vision = configuration(TOKENIZER.vocab_size).vision_config
    assert batch.pixel_values.shape == (BATCH_SIZE, vision.num_frames, 3, 48, 48)
    assert abs(float(batch.pixel_values.mean())) < 2
    assert len(batch.input_ids) == BATCH_SIZE


@pytest.mark.parametrize(("step", "moving"), [(0, 32), (PLACES_FIRST, 48)])
def test_a_batch_tells_motions_apart_and_then_places(step: int, moving: int) -> None:
    """First a few looks in all their motions, then eight places of each look that rests."""
    texts = TOKENIZER.batch_decode(training_batch(step, TOKENIZER).input_ids, True)
    assert len(set(texts)) == BATCH_SIZE
    looks = [frozenset({*COLOURS, *SHAPES} & set(text.split())) for text in texts]
    assert len(set(looks[:moving])) <= moving // 6 + 1
    for start in range(moving, BATCH_SIZE, 8):
        assert len(set(looks[start : start + 8])) == 1
        assert len({PLACE.search(text)[0] for text in texts[start : start + 8]}) == 8


def test_no_training_caption_names_a_held_out_combination() -> None:
    """Over 20 batches, no text pairs the colour, shape and motion of a held-out subject."""
    words = {(s.colour, s.shape, s.motion) for s in HELD_OUT}
    seen = set()
    for step in range(20):
        for text in TOKENIZER.batch_decode(training_batch(step, TOKENIZER).input_ids, True):
            seen.add(PLACE.sub("", text))
    assert len(seen) > 300
    for colour, shape, motion in words:
        same = [text for text in seen if f"{colour} {shape}" in text]
        assert not any(motion in text.split() for text in same)


def test_a_caption_is_a_token_per_word() -> None:
    """The small vocabulary holds each word of the world whole."""
    random = np.random.default_rng(0)
    captions = [subject.caption for subject in HELD_OUT]
    scenes = [sample_scene(subject, random) for subject in HELD_OUT]
    batch = draw_batch(scenes, captions, TOKENIZER, random)
    lengths = [len(caption.split()) + 2 for caption in captions]
    assert batch.attention_mask.sum(dim=1).tolist() == lengths
