"""Clip scoring: decodes, encodes and scores a video file that is not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.model_api.messages import ClipScoreRequest, ClipScores, EmbedRequest, Scores
from app.worker.confidence import ConfidenceEstimator
from app.worker.decoding import Decoder, Decoding
from app.worker.encode_once import EncodeOnce
from app.worker.errors import NotInClipFolder, TooManyScores
from app.worker.model_scheduler import ModelScheduler, still_wanted
from app.worker.prefetch import ahead
from app.worker.scoring import Scoring
from xclip.encoder import Encoder, StoredSegments
from xclip.video.decode import DecodedSegment
from xclip.video.sampling import Segmentation

# Segments of a clip that are encoded while its decoding goes on, each in a turn of its own: no
# query of another client waits for more than one.
AHEAD: Final = 4
MAX_CLIP_SCORES = 8_000_000  # 32 MB: half an hour of segments at 10,000 labels


class ClipScoring:
    """Scores the segments of files in `folder`; `should_stop` ends it when the worker ends."""

    def __init__(
        self,
        encoder: Encoder,
        scheduler: ModelScheduler,
        scoring: Scoring,
        confidence: ConfidenceEstimator,
        decoder: Decoder,
        folder: Path,
        should_stop: Callable[[], bool],
    ) -> None:
        self._encoder = encoder
        self._scheduler = scheduler
        self._scoring = scoring
        self._confidence = confidence
        self._decoder = decoder
        self._folder = folder.resolve()
        self._should_stop = should_stop

    def embed(self, request: EmbedRequest) -> NDArray[np.float32]:
        """The embedding of every segment, float32 [K, D], of length 1.

        Raises NotInClipFolder, VideoError, Interrupted.
        """

        def embed(frames: NDArray[np.uint8]) -> Future[NDArray[np.float32]]:
            return self._scheduler.query(lambda: self._encoder.embed_video(frames[None]))

        once = EncodeOnce(embed)
        with self._decoding(request.name, request.segmentation) as decoding:
            embedded = ahead(
                decoding.segments(), lambda segment: once.submit(segment.frames), AHEAD
            )
            return np.concatenate([embedding for _, embedding in embedded])

    def score(self, request: ClipScoreRequest) -> ClipScores:
        """Every text against every segment.

        Raises NotInClipFolder, TooManyScores, VideoError, Interrupted.
        """
        self._checked(request.name)
        texts = self._scoring.embed(request.texts, request.templates)

        def encode(frames: NDArray[np.uint8]) -> Future[StoredSegments]:
            return self._scheduler.query(lambda: self._encoder.encode_video(frames[None]))

        once = EncodeOnce(encode)

        def begin(segment: DecodedSegment) -> Future[StoredSegments]:
            if (segment.index + 1) * len(texts) > MAX_CLIP_SCORES:
                raise TooManyScores(
                    f"This video has more segments times labels than the {MAX_CLIP_SCORES} "
                    "scores of one answer; give fewer labels or a longer stride."
                )
            return once.submit(segment.frames)

        starts: list[float] = []
        ends: list[float] = []
        scores: list[Scores] = []
        with self._decoding(request.name, request.segmentation) as decoding:
            for segment, stored in ahead(decoding.segments(), begin, AHEAD):
                starts.append(segment.start)
                ends.append(segment.end)
                scores.append(self._judged(texts, stored, request))
        return ClipScores(
            starts=np.array(starts),
            ends=np.array(ends),
            scores=Scores.joined(scores, len(texts)),
            duration_s=decoding.info.duration_s,
            fingerprint=self._encoder.fingerprint,
            model=self._encoder.name,
        )

    def _judged(
        self, texts: NDArray[np.float32], stored: StoredSegments, request: ClipScoreRequest
    ) -> Scores:
        logits = self._scoring.score(texts, stored)
        if not self._confidence.needs_bank(request.confidence, request.rest):
            return Scores(logits)
        bank = self._confidence.bank_logits(stored)
        return self._confidence.judge(texts, logits, bank, request.confidence, request.rest)

    @contextmanager
    def _decoding(self, name: str, segmentation: Segmentation) -> Iterator[Decoding]:
        """The file's segments, until the worker stops or the caller has gone."""
        wanted = still_wanted()  # of this thread; the decoder asks from another one
        path = self._checked(name)
        with self._decoder.open(
            path, segmentation, lambda: self._should_stop() or not wanted()
        ) as decoding:
            yield decoding

    def _checked(self, name: str) -> Path:
        path = (self._folder / name).resolve()
        if path.parent != self._folder or path.name != name:
            raise NotInClipFolder(
                "That is not the name of a file in the folder for incoming files."
            )
        return path
