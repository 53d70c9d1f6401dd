"""The third lesson: what it draws, that it holds back what is held out, and the vocabulary."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xclip.model import XCLIPModel
from xclip.motion.kinds import (
    HELD_OUT_PAIRS,
    HELD_OUT_PANS,
    Alone,
    Approach,
    Count,
    Paced,
    Pan,
    Relation,
    Textured,
    Then,
    wider_vocabulary,
)
from xclip.motion.recipe.stage1_base import configuration
from xclip.motion.recipe.stage3_wider import draw_kinds, widen, wider_batch
from xclip.motion.world import HELD_OUT, vocabulary
from xclip.tokenizer import build_tokenizer

KNOWN = build_tokenizer(vocabulary(), max_length=32)
WIDER = build_tokenizer([*vocabulary(), *wider_vocabulary()], max_length=32)


def test_a_batch_is_a_function_of_its_step() -> None:
    """The same step draws the same batch; another step another."""
    first, again, other = (wider_batch(step, WIDER) for step in (3, 3, 4))
    assert torch.equal(first.pixel_values, again.pixel_values)
    assert torch.equal(first.input_ids, again.input_ids)
    assert not torch.equal(first.pixel_values, other.pixel_values)
    assert first.pixel_values.shape == (64, 8, 3, 48, 48)


def test_a_batch_has_every_kind_and_no_two_clips_of_one_caption() -> None:
    """A third of it is the first world."""
    kinds = draw_kinds(np.random.default_rng(1))
    assert {type(kind) for kind in kinds} == {
        Alone, Approach, Count, Paced, Pan, Relation, Textured, Then
    }  # fmt: skip
    assert len({kind.caption for kind in kinds}) == len(kinds) == 64
    assert sum(isinstance(kind, Alone) for kind in kinds) >= 24
    for kind in kinds:
        if not isinstance(kind, Alone | Count):
            assert kind.contrast in kinds


def test_nothing_held_out_is_drawn() -> None:
    """Over 40 batches: no event of a held-out subject, no held-out pair, no held-out pan."""
    events, pairs, pans = set(), set(), set()
    for seed in range(40):
        for kind in draw_kinds(np.random.default_rng(seed)):
            match kind:
                case Then(first, second):
                    events |= {first, second}
                case Alone(subject) | Count(_, subject) | Paced(subject, _) | Textured(_, subject):
                    events.add(subject)
                case Relation(first, _, second) | Approach(first, _, second):
                    pairs.add((first, second))
                case Pan():
                    pans.add(kind)
    assert min(len(events) - 200, len(pairs), len(pans)) > 50
    assert not events & set(HELD_OUT)
    assert not pairs & set(HELD_OUT_PAIRS)
    assert not pans & set(HELD_OUT_PANS)


def test_a_wider_vocabulary_changes_nothing_of_what_was_known() -> None:
    """Texts of the known words have the same embedding to the bit, though their ids moved."""
    torch.manual_seed(0)
    model = XCLIPModel(configuration(KNOWN.vocab_size)).eval()
    wider = widen(model, KNOWN, WIDER).eval()
    texts = ["a red circle moving left", "white ring grows at the top"]
    with torch.no_grad():
        before = model.get_text_features(KNOWN(texts).input_ids)
        after = wider.get_text_features(WIDER(texts).input_ids)
    assert WIDER.vocab_size > KNOWN.vocab_size
    assert torch.equal(before, after)


@pytest.mark.parametrize("word", wider_vocabulary())
def test_each_new_word_is_one_token(word: str) -> None:
    """Beside start and end."""
    assert len(WIDER.encode(word)) == 3
