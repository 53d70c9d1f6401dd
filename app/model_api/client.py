"""How the API asks the worker for what only the model knows.

WorkerError
├── WorkerUnavailable      worker_unavailable: nobody answers, or not in time
└── WorkerFailed           the code that the worker gave
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from app.model_api.messages import (
    CONFIDENCE_HEADER,
    FINGERPRINT_HEADER,
    ClipExportRequest,
    ClipExportResult,
    ClipScoreRequest,
    ClipScores,
    ConfidenceKind,
    ConfidenceRequest,
    EmbedRequest,
    MessageError,
    ModelFacts,
    ScoreRequest,
    Scores,
    TextRequest,
)
from app.model_api.secret import credentials
from app.telemetry import tracing
from app.telemetry.context import REQUEST_ID_HEADER, current_request_id
from index.protocol import TensorReference

CONNECT_TIMEOUT_S = 2.0
FACTS_TIMEOUT_S = 2.0
MODEL_TIMEOUT_S = 60.0
CUT_TIMEOUT_S = 90.0  # longer than a cut may take, which waits for its turn first


class WorkerError(Exception):
    """The worker did not give an answer; `code` is stable, the message is a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class WorkerUnavailable(WorkerError):
    """Nothing answers at the worker's address, or not in time; trying again later may help."""

    def __init__(self, message: str) -> None:
        super().__init__("worker_unavailable", message)


class WorkerFailed(WorkerError):
    """The worker answered with an error: `status` is its HTTP status, `code` its own code."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(code, message)
        self.status = status


class WorkerClient:
    """Calls a worker's internal HTTP. Blocking and safe to share between threads.

    Each call names the request that it is made for, so that the worker's log lines name it too.
    """

    def __init__(
        self,
        base_url: str,
        *,
        secret: bytes,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A client of the worker at `base_url` whose catalog holds this `secret`."""
        # trust_env off: a proxy from the environment must never sit between the API and its worker
        self._http = httpx.Client(
            base_url=base_url,
            headers={"authorization": credentials(secret)},
            transport=transport,
            trust_env=False,
        )
        self._clock = clock
        self._ran_at: float | None = None

    def quiet_s(self) -> float:
        """Seconds since the model last gave an answer; infinite if it never did, or has failed."""
        return float("inf") if self._ran_at is None else self._clock() - self._ran_at

    def check(self) -> None:
        """Have the model run once, on next to nothing; waits as long as for any other answer."""
        self._call("POST", "/check", None, MODEL_TIMEOUT_S)

    def metrics(self) -> bytes:
        """The worker's metrics as Prometheus text; answers or fails within about two seconds."""
        return self._call("GET", "/metrics", None, FACTS_TIMEOUT_S).content

    def facts(self) -> ModelFacts:
        """What the worker's model is; answers or fails within about two seconds."""
        answer = self._call("GET", "/model", None, FACTS_TIMEOUT_S)
        try:
            return ModelFacts.from_json(answer.content)
        except MessageError as error:
            raise _not_a_worker(answer) from error

    def encode_text(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], str]:
        """Embeddings of N texts, float32 [N, D], not normalised, and the model's fingerprint."""
        answer = self._call("POST", "/text", TextRequest(texts).to_json(), MODEL_TIMEOUT_S)
        return _arrays(answer)["embeddings"], answer.headers[FINGERPRINT_HEADER]

    def embed_texts(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Embeddings of N texts, float32 [N, D], of length 1, and how many tokens each is, [N]."""
        request = TextRequest(texts, count_tokens=True)
        arrays = _arrays(self._call("POST", "/text", request.to_json(), MODEL_TIMEOUT_S))
        embeddings = arrays["embeddings"]
        return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), arrays["tokens"]

    def cut(
        self, sha256: str, into: str, *, start_s: float, end_s: float, max_bytes: int
    ) -> ClipExportResult:
        """Have a stretch of stored content written to an empty file in the media store's tmp.

        Whatever stands against it is WorkerFailed with the code of the VideoError.
        """
        order = ClipExportRequest(sha256, into, start_s, end_s, max_bytes)
        answer = self._call("POST", "/cut", order.to_json(), CUT_TIMEOUT_S)
        try:
            return ClipExportResult.from_json(answer.content)
        except MessageError as error:
            raise _not_a_worker(answer) from error

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
        Segments whose tensors cannot be read are told apart in the answer.
        `fingerprint` is the model that made the segments; a worker with another model answers
        WorkerFailed `model_mismatch` instead of numbers that mean nothing.
        """
        request = ScoreRequest(texts, references, fingerprint, tuple(templates), confidence, rest)
        return _scores(self._call("POST", "/score", request.to_json(), MODEL_TIMEOUT_S))

    def embed_clip(
        self, path: Path, *, window_s: float, stride_s: float, timeout_s: float
    ) -> tuple[NDArray[np.float32], str]:
        """Embeddings of a clip's segments, float32 [K, D], and the model's fingerprint.

        The file lies in the media store's tmp folder and is not kept; an unreadable one is
        WorkerFailed with the code of the VideoError.
        """
        request = EmbedRequest(str(path), window_s, stride_s)
        answer = self._call("POST", "/embed", request.to_json(), timeout_s)
        return _arrays(answer)["embeddings"], answer.headers[FINGERPRINT_HEADER]

    def score_clip(
        self,
        path: Path,
        texts: Sequence[str],
        *,
        window_s: float,
        stride_s: float,
        timeout_s: float,
        templates: Sequence[str] = (),
        confidence: ConfidenceRequest | None = None,
        rest: bool = False,
    ) -> ClipScores:
        """Scores every segment of a video file in the media store's tmp folder; keeps nothing.

        An unreadable file is WorkerFailed with the code of the VideoError, more scores than one
        answer may hold are WorkerFailed `too_many_scores`; a stride longer than the window is
        ValueError.
        """
        request = ClipScoreRequest(
            str(path), window_s, stride_s, texts, tuple(templates), confidence, rest
        )
        answer = self._call("POST", "/clip", request.to_json(), timeout_s)
        arrays = _arrays(answer)
        return ClipScores(
            starts=arrays["starts"],
            ends=arrays["ends"],
            scores=_scores(answer),
            duration_s=float(arrays["duration_s"][0]),
            fingerprint=answer.headers[FINGERPRINT_HEADER],
        )

    def close(self) -> None:
        """Close the connections; the client is of no use after it."""
        self._http.close()

    def _call(self, method: str, path: str, body: bytes | None, timeout_s: float) -> httpx.Response:
        answer = self._send(method, path, body, timeout_s)
        if answer.is_success:
            if method == "POST":  # these run the model
                self._ran_at = self._clock()
            return answer
        try:
            problem = json.loads(answer.content)
            code, message = str(problem["code"]), str(problem["message"])
        except (ValueError, KeyError, TypeError):
            code, message = "worker_failed", f"The worker answered HTTP {answer.status_code}."
        if answer.is_server_error:
            self._ran_at = None
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise WorkerUnavailable(message)
        raise WorkerFailed(code, message, answer.status_code)

    def _send(self, method: str, path: str, body: bytes | None, timeout_s: float) -> httpx.Response:
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        request_id = current_request_id()
        headers = {REQUEST_ID_HEADER: request_id} if request_id else {}
        try:
            with tracing.calling(f"{method} {path}", headers):
                return self._http.request(
                    method, path, content=body, headers=headers, timeout=timeout
                )
        except httpx.TransportError as error:
            self._ran_at = None
            raise WorkerUnavailable(
                f"The worker at {self._http.base_url} does not answer "
                f"({type(error).__name__}); it may be starting."
            ) from error


def _arrays(answer: httpx.Response) -> dict[str, NDArray[Any]]:
    try:
        return load_safetensors(answer.content)
    except SafetensorError as error:
        raise _not_a_worker(answer) from error


def _scores(answer: httpx.Response) -> Scores:
    arrays = _arrays(answer)
    return Scores(
        logits=arrays["logits"],
        confidence=arrays.get("confidence"),
        confidence_kind=cast("ConfidenceKind | None", answer.headers.get(CONFIDENCE_HEADER)),
        rest=arrays.get("rest"),
        damaged=arrays.get("damaged"),
    )


def _not_a_worker(answer: httpx.Response) -> WorkerFailed:
    return WorkerFailed(
        "worker_failed",
        f"What answers at {answer.url} is not a worker of this version of X-CLIP Search.",
        answer.status_code,
    )
