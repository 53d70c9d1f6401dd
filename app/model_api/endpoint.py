"""Endpoint of the model API: one worker's address, and whether its model answers there.

WorkerError
├── WorkerUnavailable      worker_unavailable: nothing answers, or it has no capacity; of too
│   │                      little memory, gpu_oom or out_of_memory
│   └── WorkerTimedOut     the same, found out only after all of the time allowed
└── WorkerFailed           the code that the worker gave
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import httpx

from app.errors import GpuOutOfMemory, ModelMismatch, OutOfMemory, ServiceError
from app.model_api.circuit_breaker import CircuitBreaker
from app.model_api.messages import (
    FINGERPRINT_HEADER,
    MODEL_NAME_HEADER,
    MessageError,
    ModelFacts,
)
from app.model_api.response_times import ResponseTimes
from app.model_api.secret import credentials
from app.telemetry import tracing
from app.telemetry.context import REQUEST_ID_HEADER, current_request_id
from xclip.errors import VideoError, VideoTooLarge

CONNECT_TIMEOUT_S = 2.0
FACTS_TIMEOUT_S = 2.0
MODEL_TIMEOUT_S = 60.0
# Statuses of an address, a version or a catalog that is another's, whatever the request was.
_NOT_OUR_WORKER = frozenset({401, 403, 404, 405})

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

# What the caller of the API can change: the video that was sent, or the model that is named.
_STATUS_BY_CODE: Mapping[str, int] = {
    VideoError.code: 422,
    **{error.code: 422 for error in VideoError.__subclasses__()},
    VideoTooLarge.code: 413,
    ModelMismatch.code: 409,
    "calibration_unusable": 409,
}

# Of a worker that is there and could not do the work; its caller should know why.
_OF_MEMORY = frozenset({GpuOutOfMemory.code, OutOfMemory.code})


class WorkerError(ServiceError):
    """The worker did not give an answer; `code` is stable, the message is a sentence."""

    status = 502

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class WorkerUnavailable(WorkerError):
    """Nothing answers at the worker's address, or not in time; trying again later may help."""

    status = 503
    retry_after_s = 5.0

    def __init__(
        self, message: str, *, began: bool = False, code: str = "worker_unavailable"
    ) -> None:
        super().__init__(code, message)
        self.began = began  # the worker may have begun to work, or be at it still


class WorkerFailed(WorkerError):
    """The worker answered with an error of this `code`.

    `status` is what the API's own caller gets: 502, unless the code names something that the
    caller can change. `worker_status` is the HTTP status that the worker gave. `began` is False
    if what answered has not begun to work. `fault_of_worker` is whether another worker may answer
    the same request.
    """

    def __init__(
        self, code: str, message: str, worker_status: int, *, is_worker: bool = True
    ) -> None:
        super().__init__(code, message)
        self.status = _STATUS_BY_CODE.get(code, WorkerError.status)
        self.worker_status = worker_status
        self.began = worker_status not in _NOT_OUR_WORKER
        self.fault_of_worker = not is_worker or not self.began or worker_status >= 500


class WorkerTimedOut(WorkerUnavailable):
    """The worker took the call and was silent for the whole time allowed."""


@dataclass(frozen=True, slots=True)
class Model:
    """The name and the fingerprint of a worker's model; workers of one name may differ in it."""

    name: str
    fingerprint: str


class WorkerEndpoint:
    """One worker's internal HTTP. Blocking and safe to share between threads.

    Each call names the request that it is made for, so that the worker's log lines name it too.
    """

    def __init__(
        self,
        base_url: str,
        *,
        secret: bytes,
        transport: httpx.BaseTransport | None,
        clock: Callable[[], float],
    ) -> None:
        # trust_env off: a proxy from the environment must never sit between the API and its worker
        self._http = httpx.Client(
            base_url=base_url,
            headers={"authorization": credentials(secret)},
            transport=transport,
            trust_env=False,
        )
        self._clock = clock
        self._ran_at: float | None = None
        self.breaker = CircuitBreaker(clock)
        self.times = ResponseTimes(clock)
        self.model: Model | None = None

    @property
    def name(self) -> str:
        """Host and port, which tell the workers apart in metrics and probes."""
        return self._http.base_url.netloc.decode()

    def quiet_s(self) -> float:
        """Seconds since the model last gave an answer; infinite if it never did, or has failed."""
        return float("inf") if self._ran_at is None else self._clock() - self._ran_at

    def check(self) -> None:
        """Have the model run once, on next to nothing; waits as long as for any other answer."""
        self.call("POST", "/check", None, MODEL_TIMEOUT_S)

    def metrics(self) -> bytes:
        """The worker's metrics as Prometheus text; answers or fails within about two seconds."""
        return self.call("GET", "/metrics", None, FACTS_TIMEOUT_S).content

    def facts(self) -> ModelFacts:
        """What the worker's model is; answers or fails within about two seconds."""
        answer = self.call("GET", "/model", None, FACTS_TIMEOUT_S)
        try:
            facts = ModelFacts.from_json(answer.content)
        except MessageError as error:
            raise self.refused(answer) from error
        self.model = Model(facts.name, facts.fingerprint)
        return facts

    def refused(self, answer: httpx.Response) -> WorkerFailed:
        """The error of an answer that no worker of this version gives; the worker is avoided."""
        self._ran_at = None
        self.breaker.failed(model_failed=True)
        return WorkerFailed(
            "worker_failed",
            f"What answers at {answer.url} is not a worker of this version of X-CLIP Search.",
            answer.status_code,
            is_worker=False,
        )

    def close(self) -> None:
        """Close the connections; the endpoint is of no use after it."""
        self._http.close()

    def call(self, method: str, path: str, body: bytes | None, timeout_s: float) -> httpx.Response:
        """The answer to one call; raises WorkerError for every status but success."""
        answer = self._send(method, path, body, timeout_s)
        is_post = method == "POST"  # these run the model
        if answer.is_success:
            self._learn(answer)
            self.breaker.succeeded(ran_model=is_post)
            if is_post:
                self._ran_at = self._clock()
            return answer
        error = _error_of(answer, is_post)
        if answer.is_server_error:
            self._ran_at = None
        if isinstance(error, WorkerUnavailable):
            self.breaker.failed(model_failed=False)
        elif error.fault_of_worker:
            self.breaker.failed(model_failed=is_post)
        raise error

    def _learn(self, answer: httpx.Response) -> None:
        """Note which model answers; it changes with the worker's restart."""
        fingerprint = answer.headers.get(FINGERPRINT_HEADER)
        if fingerprint is not None:
            name = unquote(answer.headers.get(MODEL_NAME_HEADER, ""))
            self.model = Model(name, fingerprint)

    def _send(self, method: str, path: str, body: bytes | None, timeout_s: float) -> httpx.Response:
        timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
        request_id = current_request_id()
        headers = {REQUEST_ID_HEADER: request_id} if request_id else {}
        try:
            with tracing.calling(f"{method} {path}", headers):
                return self._http.request(
                    method, path, content=body, headers=headers, timeout=timeout
                )
        except httpx.TransportError as error:
            self._ran_at = None
            timed_out = isinstance(error, httpx.ReadTimeout)
            self.breaker.failed(model_failed=timed_out and method == "POST")
            kind = WorkerTimedOut if timed_out else WorkerUnavailable
            raise kind(
                f"The worker at {self._http.base_url} does not answer "
                f"({type(error).__name__}); it may be starting.",
                began=method == "POST" and not isinstance(error, _NOT_SENT),
            ) from error


def _error_of(answer: httpx.Response, is_post: bool) -> WorkerUnavailable | WorkerFailed:
    """What an answer other than success means."""
    try:
        problem = json.loads(answer.content)
        code, message, is_worker = str(problem["code"]), str(problem["message"]), True
    except (ValueError, KeyError, TypeError):
        code, message = "worker_failed", f"The worker answered HTTP {answer.status_code}."
        is_worker = False
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        if code in _OF_MEMORY:
            return WorkerUnavailable(message, began=is_post, code=code)
        return WorkerUnavailable(message, began=is_post and code == "worker_failed")
    return WorkerFailed(code, message, answer.status_code, is_worker=is_worker)
