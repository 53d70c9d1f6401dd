"""Text embeddings, in the form that OpenAI's clients expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelNotFound
from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerUnavailable
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
    """Embeds texts with the model of this name that a worker has."""

    def __init__(self, worker: WorkerClient) -> None:
        self._worker = worker

    def of(self, texts: Sequence[str], model: str) -> TextVectors:
        """The vectors of at least one text, in their order, all by one model.

        Raises ModelNotFound, and WorkerUnavailable also when the model has just been exchanged.
        """
        fingerprint = self._fingerprint(model)
        parts = [
            self._worker.encode_text(texts[start : start + _TEXTS_A_CALL], fingerprint=fingerprint)
            for start in range(0, len(texts), _TEXTS_A_CALL)
        ]
        if any(part.fingerprint != fingerprint for part in parts):
            raise WorkerUnavailable(f"No worker runs the model {model!r} any more.")
        vectors = np.concatenate([part.embeddings for part in parts])
        return TextVectors(
            vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
            sum(int(part.read.tokens.sum()) for part in parts),
            np.concatenate([part.read.truncated for part in parts]),
        )

    def _fingerprint(self, name: str) -> str:
        """Of the first worker's model of this name, since an answer has one vector space."""
        for model in self._worker.known_models():
            if model.name == name:
                return model.fingerprint
        models = self._worker.models()
        for facts in models:
            if facts.name == name:
                return facts.fingerprint
        named = " and ".join(dict.fromkeys(repr(facts.name) for facts in models))
        raise ModelNotFound(f"There is no model {name!r} here; there is {named}.")
