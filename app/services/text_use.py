"""Text truncation: how much of a request's texts the model has read, for the answer to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.model_api.messages import TextsRead


@dataclass(frozen=True, slots=True)
class TextUse:
    """How many tokens the model has read, and the texts whose end it has not."""

    tokens: int = 0
    truncated: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str], read: TextsRead) -> TextUse:
        """What was read of these texts."""
        cut = tuple(texts[number] for number in np.flatnonzero(read.truncated).tolist())
        return cls(int(read.tokens.sum()), cut)


def alike(texts: Sequence[str], read: TextsRead) -> tuple[str, str] | None:
    """The first two of these texts that are one to the model; None where all differ."""
    repeated = np.flatnonzero(read.same_as != np.arange(len(texts)))
    if not repeated.size:
        return None
    later = int(repeated[0])
    return texts[int(read.same_as[later])], texts[later]
