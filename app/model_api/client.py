"""Client of the model API: how the API asks its workers for what only the model knows."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import httpx
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from app.model_api.endpoint import (
    MODEL_TIMEOUT_S,
    WorkerEndpoint,
    WorkerTimedOut,
    WorkerUnavailable,
    not_a_worker,
)
from app.model_api.messages import (
    CONFIDENCE_HEADER,
    FINGERPRINT_HEADER,
    SCORE_KIND_HEADER,
    ClipExportRequest,
    ClipExportResult,
    ClipScoreRequest,
    ClipScores,
    ConfidenceKind,
    ConfidenceRequest,
    EmbedRequest,
    EncodedTexts,
    MessageError,
    ModelFacts,
    ScoreRequest,
    Scores,
    TextRequest,
    TextsRead,
    TokensRequest,
)
from index.protocol import TensorReference

_READ = ("tokens", "truncated", "same_as")  # the arrays of TextsRead
CUT_TIMEOUT_S = 90.0  # longer than a clip export may take, which waits for its turn first

T = TypeVar("T")


class WorkerClient:
    """Calls the workers' internal HTTP. Blocking and safe to share between threads.

    Calls go to the available workers in turn. A call that changes nothing is tried once more, on
    another worker, when the first one is unavailable.
    """

    def __init__(
        self,
        *base_urls: str,
        secret: bytes,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A client of the workers at `base_urls`, whose catalog holds this `secret`."""
        self.endpoints: Sequence[WorkerEndpoint] = [
            WorkerEndpoint(url, secret=secret, transport=transport, clock=clock)
            for url in base_urls
        ]
        # One counter per path; with a shared one, /text would always reach one worker and /score
        # the other.
        self._turns: Mapping[str, Iterator[int]] = defaultdict(itertools.count)

    def facts(self) -> ModelFacts:
        """What the model of one of the workers is; they are meant to have the same."""
        return self._retried("/model", WorkerEndpoint.facts)

    def encode_text(self, texts: Sequence[str]) -> EncodedTexts:
        """Embeddings of N texts, not normalised, and what the model is."""
        answer = self._post("/text", TextRequest(texts).to_json(), MODEL_TIMEOUT_S)
        arrays = _arrays(answer, "embeddings", *_READ)
        return EncodedTexts(
            arrays["embeddings"],
            _texts_read(arrays),
            answer.headers[FINGERPRINT_HEADER],
            answer.headers[SCORE_KIND_HEADER],
        )

    def read_texts(self, texts: Sequence[str], templates: Sequence[str] = ()) -> TextsRead:
        """How much the model reads of N texts, and which of them are one to it."""
        request = TokensRequest(texts, tuple(templates))
        answer = self._post("/tokens", request.to_json(), MODEL_TIMEOUT_S)
        return _texts_read(_arrays(answer, *_READ))

    def cut(
        self, sha256: str, into: str, *, start_s: float, end_s: float, max_bytes: int
    ) -> ClipExportResult:
        """Have an interval of stored content written to an empty file in the media store's tmp.

        If it cannot be cut, raises WorkerFailed with the code of the VideoError.
        """
        order = ClipExportRequest(sha256, into, start_s, end_s, max_bytes)
        answer = self._in_order("/cut")[0].call("POST", "/cut", order.to_json(), CUT_TIMEOUT_S)
        try:
            return ClipExportResult.from_json(answer.content)
        except MessageError as error:
            raise not_a_worker(answer) from error

    def score(
        self,
        texts: Sequence[str],
        references: Sequence[TensorReference],
        *,
        fingerprint: str,
        templates: Sequence[str] = (),
        confidence: ConfidenceRequest | None = None,
        rest: bool = False,
    ) -> Scores:
        """Exact logits of N texts over K stored segments; N·K ≤ MAX_SCORES.

        With templates, each with one `{}`, a text is the mean of itself in each of them.
        The answer marks segments whose tensors cannot be read.
        `fingerprint` is the model that made the segments; a worker with another model answers
        WorkerFailed `model_mismatch` instead of numbers that mean nothing.
        """
        request = ScoreRequest(texts, references, fingerprint, tuple(templates), confidence, rest)
        return _scores(self._post("/score", request.to_json(), MODEL_TIMEOUT_S))

    def embed_clip(
        self, name: str, *, window_s: float, stride_s: float, timeout_s: float
    ) -> tuple[NDArray[np.float32], str]:
        """Embeddings of a clip's segments, float32 [K, D], and the model's fingerprint.

        name : of the file in the media store's tmp folder; it is not kept. An unreadable one is
        WorkerFailed with the code of the VideoError.
        """
        request = EmbedRequest(name, window_s, stride_s)
        answer = self._post("/embed", request.to_json(), timeout_s)
        return _arrays(answer, "embeddings")["embeddings"], answer.headers[FINGERPRINT_HEADER]

    def score_clip(
        self,
        name: str,
        texts: Sequence[str],
        *,
        window_s: float,
        stride_s: float,
        timeout_s: float,
        templates: Sequence[str] = (),
        confidence: ConfidenceRequest | None = None,
        rest: bool = False,
    ) -> ClipScores:
        """Scores every segment of a video file; keeps nothing.

        name : of the file in the media store's tmp folder

        An unreadable file is WorkerFailed with the code of the VideoError, more scores than one
        answer may hold are WorkerFailed `too_many_scores`; a stride longer than the window is
        ValueError.
        """
        request = ClipScoreRequest(
            name, window_s, stride_s, texts, tuple(templates), confidence, rest
        )
        answer = self._post("/clip", request.to_json(), timeout_s)
        arrays = _arrays(answer, "starts", "ends", "duration_s")
        return ClipScores(
            starts=arrays["starts"],
            ends=arrays["ends"],
            scores=_scores(answer),
            duration_s=float(arrays["duration_s"][0]),
            fingerprint=answer.headers[FINGERPRINT_HEADER],
        )

    def close(self) -> None:
        """Close the connections; the client is of no use after it."""
        for endpoint in self.endpoints:
            endpoint.close()

    def _post(self, path: str, body: bytes, timeout_s: float) -> httpx.Response:
        return self._retried(path, lambda endpoint: endpoint.call("POST", path, body, timeout_s))

    def _retried(self, path: str, call: Callable[[WorkerEndpoint], T]) -> T:
        """The answer of the next worker, or of the one after it when that is unavailable.

        A call that has timed out is not repeated: its time is spent, and the model may be at it.
        """
        first, *others = self._in_order(path)
        try:
            return call(first)
        except WorkerTimedOut:
            raise
        except WorkerUnavailable:
            if not others:
                raise
        return call(others[0])

    def _in_order(self, path: str) -> list[WorkerEndpoint]:
        """The workers from the one whose turn it is; those to be avoided come last."""
        turn = next(self._turns[path]) % len(self.endpoints)
        rotated = [*self.endpoints[turn:], *self.endpoints[:turn]]
        return sorted(rotated, key=WorkerEndpoint.avoided)


def _arrays(answer: httpx.Response, *needed: str) -> dict[str, NDArray[Any]]:
    """The arrays of an answer; raises WorkerFailed if one or a header is missing."""
    try:
        arrays = load_safetensors(answer.content)
    except SafetensorError as error:
        raise not_a_worker(answer) from error
    headers = {FINGERPRINT_HEADER, SCORE_KIND_HEADER}
    if not (headers <= set(answer.headers) and arrays.keys() >= set(needed)):
        raise not_a_worker(answer)
    return arrays


def _texts_read(arrays: Mapping[str, NDArray[Any]]) -> TextsRead:
    return TextsRead(*(arrays[name] for name in _READ))


def _scores(answer: httpx.Response) -> Scores:
    arrays = _arrays(answer, "logits")
    return Scores(
        logits=arrays["logits"],
        confidence=arrays.get("confidence"),
        confidence_kind=cast("ConfidenceKind | None", answer.headers.get(CONFIDENCE_HEADER)),
        rest=arrays.get("rest"),
        damaged=arrays.get("damaged"),
    )
