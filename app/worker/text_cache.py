"""Embedding cache: a text that was embedded recently costs the model nothing.

A search needs the embedding of its text twice, to recall and to score, and people search
for what others have searched for before. N texts, D width.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from app.worker.model_scheduler import ModelScheduler
from xclip.encoder import Encoder

TEXTS_KEPT = 20_000


class TextCache:
    """Encodes texts in the scheduler's turns; keeps the `capacity` used last. Thread-safe."""

    def __init__(
        self, encoder: Encoder, scheduler: ModelScheduler, capacity: int = TEXTS_KEPT
    ) -> None:
        self._encoder = encoder
        self._scheduler = scheduler
        self._capacity = capacity
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def __len__(self) -> int:
        """The number of texts kept."""
        return len(self._kept)

    def embed(self, texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        """Embeddings of N texts, float32 [N, D], as the encoder gives them.

        The future is done already when all of them are kept.
        """
        known = self._look_up(texts)
        if len(known) < len(set(texts)):
            return self._scheduler.query(lambda: self._encode(texts))
        future: Future[NDArray[np.float32]] = Future()
        future.set_result(self._table(texts, known))
        return future

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # Looked up again: an earlier call may have encoded the same text meanwhile.
        known = self._look_up(texts)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            # Copied, or one kept row would keep its whole batch.
            fresh = {
                text: row.copy()
                for text, row in zip(missing, self._encoder.encode_text(missing), strict=True)
            }
            self._keep(fresh)
            known |= fresh
        return self._table(texts, known)

    def _look_up(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        with self._lock:
            known = {text: self._kept[text] for text in texts if text in self._kept}
            for text in known:
                self._kept.move_to_end(text)
        return known

    def _keep(self, fresh: dict[str, NDArray[np.float32]]) -> None:
        with self._lock:
            self._kept.update(fresh)
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)

    def _table(
        self, texts: Sequence[str], known: dict[str, NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        table = np.empty((len(texts), self._encoder.dim), np.float32)
        for row, text in enumerate(texts):
            table[row] = known[text]
        return table
