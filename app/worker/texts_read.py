"""Truncation report: how much of each text the model reads, and which texts are one to it.

A text model reads a number of tokens and no more: what comes after them is cut off, and two texts
that differ only there, or only in what the tokenizer does not keep, have the same score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.model_api.messages import TextsRead
from app.worker.scoring import PLAIN
from xclip.encoder import Encoder


def read_texts(encoder: Encoder, texts: Sequence[str], templates: Sequence[str] = ()) -> TextsRead:
    """What the encoder reads of texts, each inserted into each template."""
    tokens = np.zeros(len(texts), np.int64)
    truncated = np.zeros(len(texts), np.bool_)
    same_as = np.empty(len(texts), np.int64)
    first: dict[tuple[tuple[int, ...], ...], int] = {}
    for number, text in enumerate(texts):
        read = encoder.tokenize([each.replace("{}", text) for each in templates or PLAIN])
        tokens[number] = sum(len(one.ids) for one in read)
        truncated[number] = any(one.truncated for one in read)
        same_as[number] = first.setdefault(tuple(one.ids for one in read), number)
    return TextsRead(tokens, truncated, same_as)
