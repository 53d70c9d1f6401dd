"""Text truncation: how much of a request's texts the model has read, for the answer to say."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import InvalidRequest
from app.model_api.messages import TextsRead

MAX_TEXTS = 100_000  # labels times templates of one request
_SHOWN_CHARACTERS = 80  # of a label in a message


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


def require_different(labels: Sequence[str], read: TextsRead) -> None:
    """Raise InvalidRequest that names the first two labels that are one to the model.

    They would share between them what one of them has, and look half as likely each.
    """
    repeated = np.flatnonzero(read.same_as != np.arange(len(labels)))
    if not repeated.size:
        return
    later = int(repeated[0])
    pair = (labels[int(read.same_as[later])], labels[later])
    one, other = (textwrap.shorten(label, _SHOWN_CHARACTERS) for label in pair)
    raise InvalidRequest(
        f"The model reads the labels {one!r} and {other!r} as one: it ignores what it has "
        "no tokens for, such as case, and all beyond its longest text; leave one out."
    )
