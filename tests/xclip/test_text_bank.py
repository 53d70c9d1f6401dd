"""The bank of unrelated texts: which one a checkpoint gets, and which texts do not count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip.errors import WeightsError
from xclip.hub import Checkpoint, locate
from xclip.text_bank import (
    BANK_FILE,
    GENERAL_BANK,
    SAME_MEANING_COSINE,
    bank_digest,
    read_bank,
    says_the_same,
)

# Letters: N texts, N0 bank texts, D width.


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A folder that could hold a checkpoint."""
    return Checkpoint(tmp_path)


def test_a_checkpoint_without_a_bank_gets_the_general_one(checkpoint: Checkpoint):
    """One plain text a line, several hundred of them, none twice."""
    texts = read_bank(checkpoint)
    assert len(texts) >= 200
    assert len(set(texts)) == len(texts)
    assert list(texts) == GENERAL_BANK.read_text(encoding="utf-8").splitlines()


def test_a_checkpoints_own_bank_comes_first(checkpoint: Checkpoint):
    """Without spaces around, empty lines and repetitions."""
    path = checkpoint.folder / BANK_FILE
    path.write_text(" ein Ball \n\nzwei Bälle\nein Ball\n", encoding="utf-8")
    assert read_bank(checkpoint) == ("ein Ball", "zwei Bälle")
    assert len(read_bank(locate("motion-tiny"))) == 448


@pytest.mark.parametrize("content", [b"", b"\n \n", b"only one\nonly one\n", b"\xff\xfe\n"])
def test_a_bank_that_is_none_is_refused(checkpoint: Checkpoint, content: bytes):
    """Fewer than two texts leave nothing to compare with."""
    (checkpoint.folder / BANK_FILE).write_bytes(content)
    with pytest.raises(WeightsError, match=BANK_FILE):
        read_bank(checkpoint)


@given(st.lists(st.text("ab ", min_size=1), min_size=2, max_size=5, unique=True), st.randoms())
def test_a_digest_tells_banks_apart(texts: list[str], random):
    """The same texts in the same order have the same one; it is fit for a tensor's name."""
    digest = bank_digest(texts)
    assert digest == bank_digest(tuple(texts))
    assert len(digest) == 8
    assert int(digest, 16) >= 0
    shuffled = random.sample(texts, len(texts))
    assert (bank_digest(shuffled) == digest) == (shuffled == texts)
    assert bank_digest([*texts, "c"]) != digest


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_texts_of_nearly_one_direction_say_the_same(seed: int, length: float):
    """By the cosine alone: length does not matter, and a text is always its own equal."""
    random = np.random.default_rng(seed)
    bank = random.standard_normal((5, 8)).astype(np.float32)
    near = bank + random.standard_normal(bank.shape).astype(np.float32) * 0.2
    texts = np.concatenate([bank, near]) * np.float32(length)
    cosine = texts.astype(np.float64) @ bank.T.astype(np.float64)
    cosine /= np.linalg.norm(texts.astype(np.float64), axis=1)[:, None]
    cosine /= np.linalg.norm(bank.astype(np.float64), axis=1)
    found = says_the_same(texts, bank)
    assert found[:5].diagonal().all()
    clear = np.abs(cosine - SAME_MEANING_COSINE) > 1e-5
    assert (found == (cosine > SAME_MEANING_COSINE))[clear].all()


def test_a_vector_of_nothing_says_nothing():
    """No direction, no meaning, no warning."""
    nothing, something = np.zeros((1, 4), np.float32), np.ones((2, 4), np.float32)
    assert not says_the_same(nothing, something).any()
    assert not says_the_same(something, nothing).any()
