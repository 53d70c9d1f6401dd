"""Endpoint of the model API: one worker's address, and whether its model answers there.

WorkerError
├── WorkerUnavailable      worker_unavailable: nothing answers, or it has no capacity
│   └── WorkerTimedOut     the same, found out only after all of the time allowed
└── WorkerFailed           the code that the worker gave
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import httpx

from app.errors import ModelMismatch, ServiceError
from app.model_api.messages import MessageError, ModelFacts
from app.model_api.secret import credentials
from app.telemetry import tracing
from app.telemetry.context import REQUEST_ID_HEADER, current_request_id
from xclip.errors import VideoError, VideoTooLarge

CONNECT_TIMEOUT_S = 2.0
FACTS_TIMEOUT_S = 2.0
MODEL_TIMEOUT_S = 60.0
AVOIDED_S = 5.0  # how long a worker that was unavailable is tried only after the others


# What the caller of the API can change: the video that was sent, or the model that is named.
_STATUS_BY_CODE: Mapping[str, int] = {
    VideoError.code: 422,
    **{error.code: 422 for error in VideoError.__subclasses__()},
    VideoTooLarge.code: 413,
    ModelMismatch.code: 409,
    "calibration_unusable": 409,
}


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

    def __init__(self, message: str) -> None:
        super().__init__("worker_unavailable", message)


class WorkerFailed(WorkerError):
    """The worker answered with an error of this `code`.

    `status` is what the API's own caller gets: 502, unless the code names something that the
    caller can change. `worker_status` is the HTTP status that the worker gave.
    """

    def __init__(self, code: str, message: str, worker_status: int) -> None:
        super().__init__(code, message)
        self.status = _STATUS_BY_CODE.get(code, WorkerError.status)
        self.worker_status = worker_status


class WorkerTimedOut(WorkerUnavailable):
    """The worker took the call and was silent for the whole time allowed."""


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
        self._unavailable_at: float | None = None

    @property
    def name(self) -> str:
        """Host and port, which tell the workers apart in metrics and probes."""
        return self._http.base_url.netloc.decode()

    def quiet_s(self) -> float:
        """Seconds since the model last gave an answer; infinite if it never did, or has failed."""
        return float("inf") if self._ran_at is None else self._clock() - self._ran_at

    def avoided(self) -> bool:
        """Whether the worker was unavailable in the last `AVOIDED_S` and has not answered since."""
        return self._unavailable_at is not None and self._clock() - self._unavailable_at < AVOIDED_S

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
            return ModelFacts.from_json(answer.content)
        except MessageError as error:
            raise not_a_worker(answer) from error

    def close(self) -> None:
        """Close the connections; the endpoint is of no use after it."""
        self._http.close()

    def call(self, method: str, path: str, body: bytes | None, timeout_s: float) -> httpx.Response:
        """The answer to one call; raises WorkerError for every status but success."""
        answer = self._send(method, path, body, timeout_s)
        if answer.is_success:
            self._unavailable_at = None
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
            self._unavailable_at = self._clock()
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
            self._unavailable_at = self._clock()
            kind = WorkerTimedOut if isinstance(error, httpx.ReadTimeout) else WorkerUnavailable
            raise kind(
                f"The worker at {self._http.base_url} does not answer "
                f"({type(error).__name__}); it may be starting."
            ) from error


def not_a_worker(answer: httpx.Response) -> WorkerFailed:
    """The error of an answer that no worker of this version gives."""
    return WorkerFailed(
        "worker_failed",
        f"What answers at {answer.url} is not a worker of this version of X-CLIP Search.",
        answer.status_code,
    )
