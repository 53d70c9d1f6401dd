"""Text embeddings, in the form that OpenAI's clients expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelNotFound
from app.model_api.client import WorkerClient
from app.model_api.messages import Flags

_TEXTS_A_CALL = 32  # between two calls the model serves searches


@dataclass(frozen=True, slots=True, eq=False)
class TextVectors:
    """Vectors of N texts, float32 [N, D], of length 1, and how much of the texts was read.

    tokens : of all texts together; truncated : bool [N], whether the end of a text was cut off
    """

    vectors: NDArray[np.float32]
    tokens: int
    truncated: Flags


class Embeddings:
    """Embeds texts with the one model there is, which has this name."""

    def __init__(self, worker: WorkerClient, model: str) -> None:
        self._worker = worker
        self._model = model

    def of(self, texts: Sequence[str], model: str) -> TextVectors:
        """The vectors of at least one text, in their order. Raises ModelNotFound."""
        if model != self._model:
            raise ModelNotFound(f"There is no model {model!r} here; there is {self._model!r}.")
        parts = [
            self._worker.encode_text(texts[start : start + _TEXTS_A_CALL])
            for start in range(0, len(texts), _TEXTS_A_CALL)
        ]
        vectors = np.concatenate([part.embeddings for part in parts])
        return TextVectors(
            vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
            sum(int(part.read.tokens.sum()) for part in parts),
            np.concatenate([part.read.truncated for part in parts]),
        )
