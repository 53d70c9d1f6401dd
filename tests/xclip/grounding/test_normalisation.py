"""Querybank normalisation: what moves a segment up or down, and what does not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xclip.confidence.calibration import rest_of_bank
from xclip.grounding.normalisation import without_hubs

LOGITS = arrays(np.float64, (5, 4), elements=st.floats(-50, 50, width=16))


@given(LOGITS, arrays(np.float64, 5, elements=st.floats(-50, 50, width=16)))
def test_with_the_whole_bank_it_is_the_order_of_odds_against_the_bank(
    bank: np.ndarray, logits: np.ndarray
) -> None:
    """With a weight of 1 the score is the logarithm of the odds: exp(logit) / sum of exp(bank)."""
    rest = rest_of_bank(bank, np.zeros((1, 4), np.bool_))[:, 0]
    odds = np.exp(logits) / np.exp(bank).sum(axis=1)
    np.testing.assert_allclose(without_hubs(logits, rest, 1.0), np.log(odds), atol=1e-9)


def test_a_hub_comes_after_a_segment_that_fits_this_text_alone():
    """The segment with the higher logit comes second if it scores as high for everything."""
    logits, rest = np.array([10.0, 9.0]), np.array([12.0, 4.0])
    assert logits.argmax() == 0
    assert without_hubs(logits, rest).argmax() == 1


def test_segments_alike_to_the_bank_keep_their_order():
    """Where the bank tells none apart, the logits decide."""
    logits = np.array([3.0, 1.0, 2.0])
    assert np.argsort(without_hubs(logits, np.full(3, 7.0))).tolist() == np.argsort(logits).tolist()
