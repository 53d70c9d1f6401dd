"""Client of the model API: how the API asks its workers for what only the model knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast
from urllib.parse import unquote

import httpx
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_safetensors

from app.model_api.endpoint import MODEL_TIMEOUT_S, Model, WorkerEndpoint
from app.model_api.failover import Failover, WorkerCall
from app.model_api.messages import (
    CONFIDENCE_HEADER,
    FINGERPRINT_HEADER,
    MODEL_NAME_HEADER,
    SCORE_KIND_HEADER,
    ClipExportRequest,
    ClipExportResult,
    ClipScoreRequest,
    ClipScores,
    ConfidenceKind,
    ConfidenceRequest,
    EmbedRequest,
    EncodedTexts,
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
_TEXTS_OF_A_SEARCH: Final = 32
_PAIRS_OF_A_SEARCH: Final = 2_000

T = TypeVar("T")


class WorkerClient:
    """Calls the workers' internal HTTP. Blocking and safe to share between threads.

    Calls go to the available workers in turn. A call that a worker does not answer goes on to the
    next one (`app.model_api.failover`), one that writes a file only while none may have begun it.
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
        self._workers = Failover(self.endpoints, clock)

    def models(self) -> list[ModelFacts]:
        """What the workers' models are, each once: they are meant to have the same.

        Raises WorkerUnavailable, WorkerFailed if no worker answers.
        """
        return self._workers.models()

    def known_models(self) -> list[Model]:
        """The models of the workers that have answered so far, in the order of the workers."""
        return self._workers.known_models()

    def encode_text(self, texts: Sequence[str], *, fingerprint: str | None = None) -> EncodedTexts:
        """Embeddings of N texts, not normalised, and what the model is.

        fingerprint : of the model that is wanted; the answer is by another one only where no
            worker that answers has it
        """

        def read(answer: httpx.Response) -> EncodedTexts:
            arrays, headers = _arrays(answer), answer.headers
            return EncodedTexts(
                arrays["embeddings"],
                _texts_read(arrays),
                headers[FINGERPRINT_HEADER],
                headers[SCORE_KIND_HEADER],
            )

        body = TextRequest(texts).to_json()
        size = _size(len(texts))
        return self._ask(WorkerCall("/text", body, MODEL_TIMEOUT_S, read, size, fingerprint))

    def read_texts(
        self,
        texts: Sequence[str],
        templates: Sequence[str] = (),
        *,
        fingerprint: str | None = None,
    ) -> TextsRead:
        """How much the model reads of N texts, and which of them are one to it.

        fingerprint : as for `encode_text`
        """

        def read(answer: httpx.Response) -> TextsRead:
            return _texts_read(_arrays(answer))

        body = TokensRequest(texts, tuple(templates)).to_json()
        size = _size(len(texts) * max(1, len(templates)))
        return self._ask(WorkerCall("/tokens", body, MODEL_TIMEOUT_S, read, size, fingerprint))

    def cut(
        self, sha256: str, into: str, *, start_s: float, end_s: float, max_bytes: int
    ) -> ClipExportResult:
        """Have an interval of stored content written to an empty file in the media store's tmp.

        If it cannot be cut, raises WorkerFailed with the code of the VideoError.
        """
        order = ClipExportRequest(sha256, into, start_s, end_s, max_bytes)

        def read(answer: httpx.Response) -> ClipExportResult:
            return ClipExportResult.from_json(answer.content)

        return self._ask(
            WorkerCall("/cut", order.to_json(), CUT_TIMEOUT_S, read, size=None, repeatable=False)
        )

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
        `fingerprint` is the model that made the segments; if every worker has another one, that
        is WorkerFailed `model_mismatch` instead of numbers that mean nothing.
        """
        request = ScoreRequest(texts, references, fingerprint, tuple(templates), confidence, rest)
        size = _size(len(texts) * max(1, len(templates)), len(texts) * len(references))
        return self._ask(
            WorkerCall("/score", request.to_json(), MODEL_TIMEOUT_S, _scores, size, fingerprint)
        )

    def embed_clip(
        self,
        name: str,
        *,
        window_s: float,
        stride_s: float,
        timeout_s: float,
        fingerprint: str | None = None,
    ) -> tuple[NDArray[np.float32], str]:
        """Embeddings of a clip's segments, float32 [K, D], and the model's fingerprint.

        name : of the file in the media store's tmp folder; it is not kept. An unreadable one is
        WorkerFailed with the code of the VideoError.
        fingerprint : as for `encode_text`
        """

        def read(answer: httpx.Response) -> tuple[NDArray[np.float32], str]:
            return _arrays(answer)["embeddings"], answer.headers[FINGERPRINT_HEADER]

        body = EmbedRequest(name, window_s, stride_s).to_json()
        return self._ask(WorkerCall("/embed", body, timeout_s, read, None, fingerprint))

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
        return self._ask(WorkerCall("/clip", request.to_json(), timeout_s, _clip_scores, size=None))

    def close(self) -> None:
        """Close the connections; the client is of no use after it."""
        for endpoint in self.endpoints:
            endpoint.close()

    def _ask(self, call: WorkerCall[T]) -> T:
        return self._workers.ask(call)


def _size(texts: int, pairs: int = 0) -> float:
    """How much work a call is, in searches; a small one counts as a whole."""
    return max(1.0, texts / _TEXTS_OF_A_SEARCH, pairs / _PAIRS_OF_A_SEARCH)


def _arrays(answer: httpx.Response) -> dict[str, NDArray[Any]]:
    """The arrays of an answer; raises KeyError where a header is missing that all workers send."""
    for header in (FINGERPRINT_HEADER, MODEL_NAME_HEADER, SCORE_KIND_HEADER):
        _ = answer.headers[header]
    return load_safetensors(answer.content)


def _model(answer: httpx.Response) -> tuple[str, str]:
    """Fingerprint and name of the model that answered."""
    headers = answer.headers
    return headers[FINGERPRINT_HEADER], unquote(headers[MODEL_NAME_HEADER])


def _clip_scores(answer: httpx.Response) -> ClipScores:
    arrays = _arrays(answer)
    fingerprint, model = _model(answer)
    return ClipScores(
        starts=arrays["starts"],
        ends=arrays["ends"],
        scores=_scores(answer),
        duration_s=float(arrays["duration_s"][0]),
        fingerprint=fingerprint,
        model=model,
    )


def _texts_read(arrays: Mapping[str, NDArray[Any]]) -> TextsRead:
    return TextsRead(*(arrays[name] for name in _READ))


def _scores(answer: httpx.Response) -> Scores:
    arrays = _arrays(answer)
    return Scores(
        logits=arrays["logits"],
        confidence=arrays.get("confidence"),
        confidence_kind=cast("ConfidenceKind | None", answer.headers.get(CONFIDENCE_HEADER)),
        rest=arrays.get("rest"),
        damaged=arrays.get("damaged"),
    )
