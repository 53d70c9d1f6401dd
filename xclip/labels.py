"""Label check: finds labels that a model cannot tell apart, which would share what is due to one.

L labels, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SAME_COSINE = 1 - 1e-5  # above what rounding leaves between two embeddings of the same tokens
_ROWS = 512  # of L x L cosines at once


def first_alike(embeddings: NDArray[np.float32]) -> tuple[int, int] | None:
    """The first two of L labels whose embeddings are one, float32 (L, D), if there are two."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    directions = embeddings / lengths.clip(np.finfo(np.float32).tiny)
    for start in range(0, len(directions), _ROWS):
        same = directions[start : start + _ROWS] @ directions[start:].T > _SAME_COSINE
        pairs = np.argwhere(np.triu(same, k=1))
        if len(pairs):
            return start + int(pairs[0][0]), start + int(pairs[0][1])
    return None


def told_alike(labels: Sequence[str], pair: tuple[int, int]) -> str:
    """A sentence about two labels that are one to the model."""
    first, second = (labels[index] for index in pair)
    return (
        f"the labels {_brief(first)} and {_brief(second)} are the same to the model, which reads "
        "no capitals and a limited number of words"
    )


def _brief(label: str) -> str:
    return repr(label if len(label) <= 200 else f"{label[:200]}…")
