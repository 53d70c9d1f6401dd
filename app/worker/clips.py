"""Scoring a video file that is not kept: decode, encode, score, forget."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from app.worker.certainty import Certainty
from app.worker.decoding import Decoder
from app.worker.gate import Gate
from app.worker.messages import ClipRequest, ClipScores, EmbedRequest, Scores
from app.worker.scoring import Scoring
from xclip.encoder import EncodedVideos, Encoder

MAX_CLIP_SCORES = 8_000_000  # 32 MB: half an hour of segments at 10,000 labels


class NotInClipFolder(Exception):
    """A path outside the one folder whose files may be scored this way."""

    code: ClassVar[str] = "invalid_request"


class TooManyScores(Exception):
    """The clip has more segments times labels than one answer may hold."""

    code: ClassVar[str] = "too_many_scores"


class ClipScoring:
    """Scores the segments of files in `folder`; `should_stop` ends it when the worker ends."""

    def __init__(
        self,
        encoder: Encoder,
        gate: Gate,
        scoring: Scoring,
        certainty: Certainty,
        decoder: Decoder,
        folder: Path,
        should_stop: Callable[[], bool],
    ) -> None:
        self._encoder = encoder
        self._gate = gate
        self._scoring = scoring
        self._certainty = certainty
        self._decoder = decoder
        self._folder = folder.resolve()
        self._should_stop = should_stop

    def embed(self, request: EmbedRequest) -> NDArray[np.float32]:
        """The embedding of every segment, float32 [K, D], of length 1.

        Raises NotInClipFolder, VideoError, Interrupted.
        """
        path = self._checked(request.path)
        embeddings = []
        with self._decoder.open(path, request.segmentation, self._should_stop) as decoding:
            for batch in decoding.batches():
                frames = np.stack([segment.frames for segment in batch])
                stored = self._gate.query(partial(self._encoder.encode_video, frames)).result()
                embeddings.append(stored.embedding)
        return np.concatenate(embeddings)

    def score(self, request: ClipRequest) -> ClipScores:
        """Every text against every segment.

        Raises NotInClipFolder, TooManyScores, VideoError, Interrupted.
        """
        path = self._checked(request.path)
        texts = self._scoring.embed(request.texts, request.templates)
        starts: list[float] = []
        ends: list[float] = []
        scores = []
        with self._decoder.open(path, request.segmentation, self._should_stop) as decoding:
            for batch in decoding.batches():
                frames = np.stack([segment.frames for segment in batch])
                starts += [segment.start for segment in batch]
                ends += [segment.end for segment in batch]
                if len(starts) * len(texts) > MAX_CLIP_SCORES:
                    raise TooManyScores(
                        f"This video has more segments times labels than the {MAX_CLIP_SCORES} "
                        "scores of one answer; give fewer labels or a longer stride."
                    )
                stored = self._gate.query(partial(self._encoder.encode_video, frames)).result()
                scores.append(self._judged(texts, stored, request))
            return ClipScores(
                starts=np.array(starts),
                ends=np.array(ends),
                scores=Scores.joined(scores, len(texts)),
                duration_s=decoding.info.duration_s,
                fingerprint=self._encoder.fingerprint,
            )

    def _judged(
        self, texts: NDArray[np.float32], stored: EncodedVideos, request: ClipRequest
    ) -> Scores:
        logits = self._scoring.score(texts, stored)
        if not self._certainty.needs_bank(request.confidence, request.rest):
            return Scores(logits)
        bank = self._certainty.bank_logits(stored)
        return self._certainty.judge(texts, logits, bank, request.confidence, request.rest)

    def _checked(self, name: str) -> Path:
        path = Path(name).resolve()
        if path.parent != self._folder:
            raise NotInClipFolder(f"{path.name} is not a file of the folder for incoming files.")
        return path
