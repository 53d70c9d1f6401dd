"""A thin, blocking client of the REST API, for the commands of this command line.

ApiError            the service refused; carries the problem's code and sentence
└── ServiceAway     nobody answers at the URL, or not in time (code service_away)
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
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
# Decoding a long video, or scoring a library, takes as long as the service lets it.
_LONG_TIMEOUT = httpx.Timeout(None, connect=5.0)


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
    """The service at `url`, spoken to with `key` if there is one.

    `transport` replaces the network in tests of this class.
    """

    def __init__(
        self, url: str, key: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        try:
            host = httpx.URL(self.url).host
            self._http = httpx.Client(
                base_url=self.url,
                headers=_credentials(key),
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

    def upload_url(
        self, collection: str, url: str, metadata: dict[str, JsonValue]
    ) -> tuple[schemas.UploadAnswer, bool]:
        """Have the service fetch a video; answers when it has, like `upload`."""
        answer = self._send(
            "POST",
            f"/v1/collections/{quote(collection, safe='')}/videos",
            json={"url": url, "metadata": metadata},
            timeout=_LONG_TIMEOUT,
        )
        accepted = answer.status_code == httpx.codes.ACCEPTED
        return self._parse(answer, schemas.UploadAnswer), accepted

    def job(self, job_id: str) -> schemas.JobAnswer:
        """The state of a job."""
        return self._parse(self._send("GET", f"/v1/jobs/{job_id}"), schemas.JobAnswer)

    def search(self, collection: str, asked: Mapping[str, JsonValue]) -> schemas.SearchAnswer:
        """Ranked moments: `asked` as SearchRequest has it."""
        path = f"/v1/collections/{quote(collection, safe='')}/search"
        return self._parse(self._send("POST", path, json=asked), schemas.SearchAnswer)

    def search_clip(
        self, collection: str, clip: Path, asked: Mapping[str, JsonValue]
    ) -> schemas.SearchAnswer:
        """Ranked moments like a file that the service does not keep: SearchOptions beside it.

        Raises OSError if the file cannot be read.
        """
        path = f"/v1/collections/{quote(collection, safe='')}/search:clip"
        return self._parse(self._send_file(path, clip, asked), schemas.SearchAnswer)

    def classify(
        self, collection: str, part: Mapping[str, JsonValue], asked: Mapping[str, JsonValue]
    ) -> schemas.ClassifyAnswer:
        """Probabilities for a part of a collection: both are fields of ClassifyRequest."""
        path = f"/v1/collections/{quote(collection, safe='')}/classify"
        answer = self._send("POST", path, json={**part, **asked}, timeout=_LONG_TIMEOUT)
        return self._parse(answer, schemas.ClassifyAnswer)

    def classify_video(
        self, collection: str, video_id: str, labels: Sequence[str]
    ) -> schemas.ClassifiedVideo:
        """Probabilities of the labels for a stored video."""
        asked: dict[str, JsonValue] = {"labels": list(labels)}
        return self.classify(collection, {"video_ids": [video_id]}, asked).videos[0]

    def classify_file(self, path: Path, asked: Mapping[str, JsonValue]) -> schemas.ClipAnswer:
        """Probabilities for a file that the service does not keep: `asked` as ClipRequest has it.

        Raises OSError if the file cannot be read.
        """
        return self._parse(self._send_file("/v1/classify", path, asked), schemas.ClipAnswer)

    def _send_file(self, path: str, file: Path, asked: Mapping[str, JsonValue]) -> httpx.Response:
        """Send a file with fields beside it, each of which is JSON."""
        with file.open("rb") as reader:
            return self._send(
                "POST",
                path,
                files={"file": (_label(file), reader)},
                data={name: json.dumps(value) for name, value in asked.items()},
                timeout=_LONG_TIMEOUT,
            )

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


def _credentials(key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    if not re.fullmatch(r"[!-~]+", key):
        raise ApiError("key_invalid", "What was given as a key is none: it has other letters.")
    return {"authorization": f"Bearer {key}"}


def _label(path: Path) -> str:
    """The file's name as text that can be sent, whatever bytes it is made of."""
    return path.name.encode("utf-8", "replace").decode("utf-8")


def _refusal(answer: httpx.Response) -> ApiError:
    try:
        problem = schemas.Problem.model_validate_json(answer.content)
    except ValidationError:
        return ApiError("unexpected_answer", f"The service answered {answer.status_code}.")
    reasons = "; ".join(_reason(field) for field in problem.errors or [])
    return ApiError(problem.code, reasons or problem.detail)


def _reason(field: schemas.ProblemField) -> str:
    """What is wrong, and where: without the part of the request, which nobody sees at a prompt."""
    place = ".".join(map(str, field.loc[1:]))
    why = field.msg.removeprefix("Value error, ")
    return f"{place}: {why}" if place else why
