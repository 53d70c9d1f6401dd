"""Scoring a video file that is not kept: decode, encode, score, forget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np

from app.worker.decoding import Decoder
from app.worker.gate import Gate
from app.worker.messages import ClipRequest, ClipScores
from xclip.encoder import Encoder


class NotInClipFolder(Exception):
    """A path outside the one folder whose files may be scored this way."""

    code: ClassVar[str] = "invalid_request"


class ClipScoring:
    """Scores the segments of files in `folder`; `should_stop` ends it when the worker ends."""

    def __init__(
        self,
        encoder: Encoder,
        gate: Gate,
        decoder: Decoder,
        folder: Path,
        should_stop: Callable[[], bool],
    ) -> None:
        self._encoder = encoder
        self._gate = gate
        self._decoder = decoder
        self._folder = folder.resolve()
        self._should_stop = should_stop

    def score(self, request: ClipRequest) -> ClipScores:
        """Every text against every segment. Raises NotInClipFolder, VideoError, Interrupted."""
        path = Path(request.path).resolve()
        if path.parent != self._folder:
            raise NotInClipFolder(f"{path.name} is not a file of the folder for incoming files.")
        texts = self._gate.query(lambda: self._encoder.encode_text(request.texts)).result()
        starts, ends, scores = [], [], []
        with self._decoder.open(path, request.segmentation, self._should_stop) as decoding:
            for batch in decoding.batches():
                frames = np.stack([segment.frames for segment in batch])
                encode_and_score = lambda: self._encoder.score(  # noqa: E731
                    texts,
                    self._encoder.encode_video(frames),  # noqa: B023
                )
                scores.append(self._gate.query(encode_and_score).result())
                starts += [segment.start for segment in batch]
                ends += [segment.end for segment in batch]
            return ClipScores(
                starts=np.array(starts),
                ends=np.array(ends),
                scores=np.concatenate(scores),
                duration_s=decoding.info.duration_s,
                fingerprint=self._encoder.fingerprint,
            )
