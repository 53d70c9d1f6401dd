"""Querybank normalisation: an order of segments in which hubs do not come first.

A hub scores high for everything. What a segment scores for a bank of unrelated texts tells how much
of its score says nothing about this text (Bogolin et al., CVPR 2022, inverted softmax).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WEIGHT = 0.5  # of the bank: with 1 the order would be that of odds against the bank


def without_hubs(logits: Floats, rest: Floats, weight: float = WEIGHT) -> Floats:
    """Scores to order segments by: logits less `weight` times what the bank gets.

    logits : float64, shape = (..., K), of one text or several
    rest : float64, shape = (..., K), log-sum-exp of the segments' logits for the bank's other texts
        (`xclip.confidence.calibration.rest_of_bank`)

    Segments alike to the bank keep the order of their logits; adding a number to all logits of one
    segment, its bank's included, raises its score by only 1 - `weight` of it.
    """
    return np.asarray(logits - weight * rest)
