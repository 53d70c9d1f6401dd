"""Scoring: cut into turns so short that no query waits long behind thousands of labels.

K segments, N texts or labels, T templates, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.worker.errors import ModelUnsound
from app.worker.model_scheduler import ModelScheduler
from app.worker.text_cache import TextCache
from xclip.encoder import Encoder, StoredSegments

# What one turn may take of the model's time: below a second with base-patch32 on two CPU cores.
TEXTS_A_TURN = 64
PAIRS_A_TURN = 2_048

PLAIN = ("{}",)


class Scoring:
    """Embeds labels and scores them against segments, a turn at the scheduler at a time; blocks."""

    def __init__(self, encoder: Encoder, scheduler: ModelScheduler, texts: TextCache) -> None:
        self._encoder = encoder
        self._scheduler = scheduler
        self._texts = texts

    @property
    def calls_waiting(self) -> int:
        """How many turns are waiting for the model now."""
        return self._scheduler.waiting

    def check(self) -> None:
        """Run every part of the model once, on a black clip and one word. Raises ModelUnsound."""
        side = self._encoder.geometry.crop
        black = np.zeros((1, self._encoder.num_frames, side, side, 3), np.uint8)

        def forward() -> NDArray[np.float32]:
            texts = self._encoder.encode_text(["black"])
            return self._encoder.score(texts, self._encoder.encode_video(black))

        if not np.isfinite(self._scheduler.query(forward).result()).all():
            raise ModelUnsound("The model's score of a black clip is not a number.")

    def embed(self, labels: Sequence[str], templates: Sequence[str]) -> NDArray[np.float32]:
        """One embedding a label, float32 [N, D]: the mean of those of the label in each template.

        A template holds `{}` where the label goes; no templates are the labels themselves.
        """
        templates = templates or PLAIN
        step = max(1, TEXTS_A_TURN // len(templates))
        means = np.empty((len(labels), self._encoder.dim), np.float32)
        for start in range(0, len(labels), step):
            some = labels[start : start + step]
            texts = [template.replace("{}", label) for label in some for template in templates]
            vectors = self._texts.embed(texts).result()
            by_label = vectors.reshape(len(some), len(templates), -1)  # (n, T, D)
            means[start : start + step] = by_label.mean(axis=1)
        return means

    def score(self, embeddings: NDArray[np.float32], stored: StoredSegments) -> NDArray[np.float32]:
        """Logits of N embeddings over K segments, float32 [K, N]."""
        segments, texts = len(stored), len(embeddings)
        logits = np.empty((segments, texts), np.float32)
        step = max(1, PAIRS_A_TURN // max(1, texts))
        for first in range(0, segments, step):
            rows = slice(first, first + step)
            part = stored[rows]
            for left in range(0, texts, PAIRS_A_TURN):
                columns = slice(left, left + PAIRS_A_TURN)
                turn = partial(self._encoder.score, embeddings[columns], part)
                logits[rows, columns] = self._scheduler.query(turn).result()
        return logits
