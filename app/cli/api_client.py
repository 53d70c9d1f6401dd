"""A thin, blocking client of the REST API, for the commands of this command line.

ApiError            the service refused; carries the problem's code and sentence
└── ServiceAway     nobody answers at the URL, or not in time (code service_away)
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from app import schemas
from app.settings import is_loopback

AnswerT = TypeVar("AnswerT", bound=BaseModel)

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
# Decoding a long video for labels takes as long as the service lets it.
_CLIP_TIMEOUT = httpx.Timeout(None, connect=5.0)


class ApiError(Exception):
    """The service refused a request; `code` is stable, the message is a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ServiceAway(ApiError):
    """No answer came."""

    def __init__(self, message: str) -> None:
        super().__init__("service_away", message)


class ApiClient:
    """The service at `url`; `transport` replaces the network in tests of this class."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        try:
            host = httpx.URL(self.url).host
            self._http = httpx.Client(
                base_url=self.url,
                timeout=_TIMEOUT,
                transport=transport,
                trust_env=not is_loopback(host),  # no proxy stands between this machine and itself
            )
        except httpx.InvalidURL as error:
            raise ServiceAway(f"{url!r} is not a URL: {error}.") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def is_ready(self) -> bool:
        """Whether the service can do its work now; False also while nobody answers."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def upload(
        self,
        collection: str,
        path: Path,
        metadata: dict[str, JsonValue],
        on_bytes: Callable[[int], None],
    ) -> tuple[schemas.UploadAnswer, bool]:
        """Send a file; returns what was answered and whether the bytes are new to the service.

        `on_bytes` is told how many bytes went out, piece by piece. Raises OSError if the file
        cannot be read.
        """
        with _CountedReader(path, on_bytes) as reader:
            answer = self._send(
                "POST",
                f"/v1/collections/{quote(collection, safe='')}/videos",
                files={"file": (_label(path), reader)},
                data={"metadata": json.dumps(metadata)},
            )
        accepted = answer.status_code == httpx.codes.ACCEPTED
        return self._parse(answer, schemas.UploadAnswer), accepted

    def job(self, job_id: str) -> schemas.JobAnswer:
        """The state of a job."""
        return self._parse(self._send("GET", f"/v1/jobs/{job_id}"), schemas.JobAnswer)

    def search(self, collection: str, text: str, top_k: int) -> schemas.SearchAnswer:
        """Ranked moments for a text."""
        path = f"/v1/collections/{quote(collection, safe='')}/search"
        answer = self._send("POST", path, json={"text": text, "top_k": top_k})
        return self._parse(answer, schemas.SearchAnswer)

    def classify_video(
        self, collection: str, video_id: str, labels: Sequence[str]
    ) -> schemas.ClassifiedVideo:
        """Probabilities of the labels for a stored video."""
        path = f"/v1/collections/{quote(collection, safe='')}/classify"
        body = {"labels": list(labels), "video_ids": [video_id]}
        answer = self._send("POST", path, json=body)
        return self._parse(answer, schemas.ClassifyAnswer).videos[0]

    def classify_file(self, path: Path, labels: Sequence[str]) -> schemas.ClipAnswer:
        """Probabilities of the labels for a file that the service does not keep.

        Raises OSError if the file cannot be read.
        """
        with path.open("rb") as reader:
            answer = self._send(
                "POST",
                "/v1/classify",
                files={"file": (_label(path), reader)},
                data={"labels": json.dumps(list(labels))},
                timeout=_CLIP_TIMEOUT,
            )
        return self._parse(answer, schemas.ClipAnswer)

    def _send(self, method: str, path: str, **choices: object) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **choices)  # type: ignore[arg-type]
        except httpx.ConnectError:
            raise ServiceAway(
                f"Nobody answers at {self.url}. Start the service with `xclip-search serve`, "
                "or say where it is with --url."
            ) from None
        except httpx.TimeoutException:
            raise ServiceAway(f"{self.url} did not answer in time.") from None
        except httpx.TransportError as error:
            raise ServiceAway(f"The connection to {self.url} failed: {error}.") from None
        if not answer.is_success:
            raise _refusal(answer)
        return answer

    def _parse(self, answer: httpx.Response, kind: type[AnswerT]) -> AnswerT:
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError:
            message = f"{self.url} answers, but not as X-CLIP Search does."
            raise ApiError("unexpected_answer", message) from None


class _CountedReader(io.BufferedReader):
    """A file that says how much of it has been read."""

    def __init__(self, path: Path, on_bytes: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path))
        self._on_bytes = on_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and report."""
        piece = super().read(size)
        self._on_bytes(len(piece))
        return piece


def _label(path: Path) -> str:
    """The file's name as text that can be sent, whatever bytes it is made of."""
    return path.name.encode("utf-8", "replace").decode("utf-8")


def _refusal(answer: httpx.Response) -> ApiError:
    try:
        problem = schemas.Problem.model_validate_json(answer.content)
    except ValidationError:
        return ApiError("unexpected_answer", f"The service answered {answer.status_code}.")
    reasons = "; ".join(f"{_place(field.loc)} {field.msg}" for field in problem.errors or [])
    return ApiError(problem.code, f"{problem.detail} ({reasons})" if reasons else problem.detail)


def _place(location: Sequence[str | int]) -> str:
    """Where a field is, without the part of the request, which a person at a prompt cannot see."""
    return ".".join(map(str, location[1:])) or "request:"
