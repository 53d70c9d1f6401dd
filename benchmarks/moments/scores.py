"""Scores of an archive: every text over every window of every scale, as the service computes them.

The windows and instants are the library's (`xclip.video.sampling`), the frames are drawn at those
instants, and what the model says of them goes through the records that the tensor store keeps, in
the service's precision. Nothing is encoded as a file, so no decoder takes part.

Logits and bank logits of an archive are kept in a folder: with motion-tiny they take about 20 ms of
one core a window of the first scale, and nothing when they are asked for again.

K windows, N texts, N0 bank texts.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.model_api.messages import ConfidenceRequest
from app.model_api.tensor_records import split_records, stack_records
from app.settings import Settings
from app.worker.confidence import ConfidenceEstimator
from app.worker.model_scheduler import ModelScheduler
from app.worker.scoring import Scoring
from app.worker.text_cache import TextCache
from benchmarks.moments.archive import Archive, Video
from index.faiss_flat import FaissFlatIndex
from xclip.confidence.calibration import rest_of_bank
from xclip.encoder import Encoder
from xclip.text_bank import bank_digest, says_the_same
from xclip.video.sampling import Segmentation, Window, instants, windows

COARSE, FINE = Segmentation(5.0, 2.5), Segmentation(2.5, 1.25)
SCALES = (COARSE, FINE)
SEGMENTS_AT_ONCE = 64
CANDIDATES: int = Settings.model_fields["recall_candidates"].default
PRECISION = Settings.model_fields["prompt_precision"].default

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RawScores:
    """What is kept of one scale.

    video : int64 (K,); start, end : float64 (K,), seconds
    logits : float32 (K, N); bank : float16 (K, N0); embedding : float32 (K, D)
    """

    video: NDArray[np.int64]
    start: Floats
    end: Floats
    logits: NDArray[np.float32]
    bank: NDArray[np.float16]
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ScaleScores:
    """The windows of one scale for one text, by ascending video and start.

    video : int64 (K,); start, end : float64 (K,), seconds; logit : float64 (K,)
    confidence : float64 (K,), among the windows of this scale; rest : float64 (K,), log-sum-exp of
    the logits of the bank's other texts; recalled : bool (K,), whether the index proposes the
    window as a candidate
    """

    video: NDArray[np.int64]
    start: Floats
    end: Floats
    logit: Floats
    confidence: Floats
    rest: Floats
    recalled: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class TextScores:
    """One text over all windows of both scales."""

    coarse: ScaleScores
    fine: ScaleScores


class Scorer:
    """A model and the folder in which scores of archives are kept."""

    def __init__(self, encoder: Encoder, cache: Path) -> None:
        self.encoder = encoder
        self.cache = cache

    def of_texts(self, archive: Archive, texts: Sequence[str]) -> list[TextScores]:
        """The scores of each text."""
        coarse, fine = (self._scale(archive, texts, scale) for scale in SCALES)
        return [TextScores(*both) for both in zip(coarse, fine, strict=True)]

    def _scale(
        self, archive: Archive, texts: Sequence[str], scale: Segmentation
    ) -> list[ScaleScores]:
        raw = self._kept(archive, texts, scale)
        embeddings = self.encoder.encode_text(texts)
        bank = self.encoder.encode_text(self.encoder.bank)
        rest = rest_of_bank(raw.bank, says_the_same(embeddings, bank))  # (K, N)
        confidence = self._confidence(embeddings, raw)
        recalled = self._recalled(embeddings, raw)
        return [
            ScaleScores(
                raw.video,
                raw.start,
                raw.end,
                raw.logits[:, text].astype(np.float64),
                confidence[:, text],
                rest[:, text],
                recalled[:, text],
            )
            for text in range(len(texts))
        ]

    def _confidence(self, texts: NDArray[np.float32], raw: RawScores) -> Floats:
        """As the worker gives it to a search among all windows of the scale."""
        request = ConfidenceRequest(calibration=None, eligible=len(raw.video))
        with tempfile.TemporaryDirectory() as folder, closing(ModelScheduler()) as scheduler:
            scoring = Scoring(self.encoder, scheduler, TextCache(self.encoder, scheduler))
            estimator = ConfidenceEstimator(self.encoder, scoring, Path(folder))
            parts = []
            for first in range(0, len(raw.video), 1000):
                rows = slice(first, first + 1000)
                scores = estimator.judge(texts, raw.logits[rows], raw.bank[rows], request, False)
                assert scores.confidence is not None, "the model has no calibration of its own"
                parts.append(scores.confidence)
        return np.concatenate(parts)

    def _recalled(self, texts: NDArray[np.float32], raw: RawScores) -> NDArray[np.bool_]:
        index = FaissFlatIndex(self.encoder.dim, threads=1)
        index.add(np.arange(len(raw.video)), raw.embedding)
        directions = texts / np.linalg.norm(texts, axis=1, keepdims=True)
        hits = index.search(directions, CANDIDATES)
        recalled = np.zeros((len(raw.video), len(texts)), np.bool_)
        np.put_along_axis(recalled, hits.ids.T, True, axis=0)
        return recalled

    def _kept(self, archive: Archive, texts: Sequence[str], scale: Segmentation) -> RawScores:
        path = self.cache / f"{self._digest(archive, texts, scale)}.npz"
        if not path.is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            raw = self._computed(archive, texts, scale)
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.savez(file, **{name: getattr(raw, name) for name in RawScores.__slots__})
            partial.replace(path)
        with np.load(path) as arrays:
            return RawScores(**{name: arrays[name] for name in RawScores.__slots__})

    def _digest(self, archive: Archive, texts: Sequence[str], scale: Segmentation) -> str:
        """Of all that the scores depend on, but for the code that draws."""
        facts = (self.encoder.fingerprint, bank_digest(self.encoder.bank), archive, texts, scale)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def _computed(self, archive: Archive, texts: Sequence[str], scale: Segmentation) -> RawScores:
        embeddings = self.encoder.encode_text(texts)
        bank = self.encoder.encode_text(self.encoder.bank)
        found = [windows(video.duration_s, scale) for video in archive.videos]
        logits, bank_logits, vectors = [], [], []
        for video, of_video in zip(archive.videos, found, strict=True):
            frames = self._frames(video, of_video)
            for first in range(0, len(frames), SEGMENTS_AT_ONCE):
                encoded = self.encoder.encode_video(frames[first : first + SEGMENTS_AT_ONCE])
                row = self.encoder.score(bank, encoded).astype(np.float16)
                stored = stack_records(split_records(encoded, PRECISION, "bank", row))
                logits.append(self.encoder.score(embeddings, stored))
                bank_logits.append(row)
                vectors.append(encoded.embedding)
        return RawScores(
            np.repeat(np.arange(len(found)), [len(of_video) for of_video in found]),
            np.array([window.start for of_video in found for window in of_video]),
            np.array([window.end for of_video in found for window in of_video]),
            np.concatenate(logits),
            np.concatenate(bank_logits),
            np.concatenate(vectors),
        )

    def _frames(self, video: Video, of_video: Sequence[Window]) -> NDArray[np.uint8]:
        """The frames of each window; an instant that several windows want is drawn once."""
        count, edge = self.encoder.num_frames, self.encoder.geometry.crop
        wanted = np.array([instants(window, count) for window in of_video])
        distinct, places = np.unique(wanted.round(6), return_inverse=True)
        return video.frames(distinct, edge)[places.reshape(wanted.shape)]
