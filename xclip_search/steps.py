"""Sans-I/O steps: an operation as requests and pauses, described and not yet carried out.

An operation is a generator (a `Flow`) that yields steps and is sent the answers, so it is written
once and carried out by a blocking client and by an asynchronous one alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from io import BytesIO
from os import PathLike
from pathlib import Path
from tempfile import TemporaryFile
from time import time
from typing import IO, Any, TypeAlias, TypeVar, cast
from urllib.parse import quote

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from xclip_search import schemas
from xclip_search.errors import ApiError
from xclip_search.sources import (
    UNNAMED,
    Readable,
    Source,
    VideoFile,
    can_seek,
    checked,
    name_of,
)

T = TypeVar("T")
AnswerT = TypeVar("AnswerT", bound=BaseModel)

_COPIED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FileChunk:
    """A chunk of a file that is a request's body; at most a few mebibytes."""

    source: Source
    offset: int
    length: int

    def read(self) -> bytes:
        """Its bytes, fewer if the file has become shorter."""
        return self.source.read(self.offset, self.length)


@dataclass(frozen=True, slots=True)
class FormBody:
    """A file with fields beside it, each of which is JSON."""

    source: Source
    fields: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    repeatable : whether it may be sent again when it is unknown if it was served; one that was
        refused for now may always be
    unhurried : whether the answer may take as long as the service lets it
    """

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: JsonValue | bytes | FileChunk | FormBody = None
    repeatable: bool = True
    unhurried: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing, for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Copy:
    """Read a file that can be read once, such as a pipe, into one that can be read again."""

    file: Readable
    into: IO[bytes]

    def run(self) -> None:
        """Copy it; raises OSError."""
        while chunk := self.file.read(_COPIED_BYTES):
            self.into.write(chunk)


Flow: TypeAlias = Generator[Call | Pause | Copy, httpx.Response | None, T]


def source_of(file: VideoFile, filename: str | None) -> Flow[Source]:
    """What is to be sent, under its name; raises TypeError for what is no video.

    An open file is sent as a whole, wherever it stands; one that cannot seek is copied to the disk
    first, since its size has to be known, and what was lost on the way has to be sent again.
    """
    checked(file)
    if isinstance(file, str | PathLike):
        path = Path(file)
        return Source(filename or path.name, path)
    if isinstance(file, bytes | bytearray | memoryview):
        return Source(filename or UNNAMED, BytesIO(file))
    name = filename or name_of(file)
    if can_seek(file):
        return Source(name, cast("IO[bytes]", file))
    copy = Source(name, TemporaryFile(), is_copy=True)  # noqa: SIM115  closed by `close`
    try:
        yield Copy(file, cast("IO[bytes]", copy.file))
    except BaseException:
        copy.close()
        raise
    return copy


def ask(call: Call) -> Flow[httpx.Response]:
    """The answer to a call, as an expression: `answer = yield from ask(call)`."""
    answer = yield call
    assert answer is not None  # of a call; a pause has none
    return answer


def get(path: str, kind: type[AnswerT], **params: str | int | None) -> Flow[AnswerT]:
    """Look something up; what is None is left out of the query."""
    given = {name: value for name, value in params.items() if value is not None}
    return parse((yield from ask(Call("GET", path, params=given))), kind)


def json_body(fields: Mapping[str, object]) -> dict[str, JsonValue]:
    """The fields of a request as JSON has them; what is None is left out.

    A text in place of a list stays one: the service says that it is none, its letters would be
    a list of texts.
    """
    return {name: _json(value) for name, value in fields.items() if value is not None}


def _json(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return list(value)
    return cast("JsonValue", value)  # what the parameters of operations are else


@contextmanager
def content_of(call: Call) -> Iterator[dict[str, Any]]:
    """The body as httpx takes it; raises OSError if a file cannot be read."""
    match call.body:
        case None:
            yield {}
        case bytes(read):
            yield {"content": read}
        case FileChunk():
            yield {"content": call.body.read()}
        case FormBody(source, fields):
            with source.opened() as reader:
                texts = {name: json.dumps(value) for name, value in fields.items()}
                yield {"files": {"file": (label(source.name), reader)}, "data": texts}
        case body:
            yield {"json": body}


def parse(answer: httpx.Response, kind: type[AnswerT]) -> AnswerT:
    """The body as that kind of answer; fields that a newer service adds are ignored."""
    try:
        return kind.model_validate_json(answer.content, extra="ignore")
    except ValidationError:
        raise not_ours(answer) from None


def refusal(answer: httpx.Response) -> ApiError:
    """The error that an unsuccessful answer describes."""
    try:
        problem = schemas.Problem.model_validate_json(answer.content, extra="ignore")
    except ValidationError:
        if answer.headers.get("tus-resumable") or answer.request.method == "HEAD":
            return ApiError("refused", answer.reason_phrase, status=answer.status_code)
        return not_ours(answer)
    reasons = "; ".join(_reason(field) for field in problem.errors or [])
    return ApiError(
        problem.code,
        reasons or problem.detail,
        status=answer.status_code,
        retry_after_s=_retry_after(answer),
        request_id=problem.request_id or None,
        errors=problem.errors or (),
    )


def label(name: str) -> str:
    """A file's name as text that can be sent, whatever bytes it is made of."""
    return name.encode("utf-8", "replace").decode("utf-8")


def within(collection: str) -> str:
    """The path of a collection."""
    return f"/v1/collections/{part(collection)}"


def part(name: str) -> str:
    """A name as one part of a path; raises ApiError for one that would address something else.

    httpx resolves "." and ".." before it sends a path: a video called ".." would be its collection.
    """
    if name in ("", ".", ".."):
        raise ApiError("invalid_request", f"{name!r} is neither a name nor an id.")
    try:
        return quote(name, safe="")
    except UnicodeEncodeError:
        raise unsendable() from None


def unsendable() -> ApiError:
    """The error of text with lone surrogates: bytes at a prompt that are no UTF-8 become such."""
    return ApiError("invalid_request", "A text that was given is not UTF-8, and cannot be sent.")


def credentials(key: str | None) -> dict[str, str]:
    """The header that carries a key; raises ApiError for what cannot be one."""
    if key is None:
        return {}
    if not re.fullmatch(r"[!-~]+", key):
        raise ApiError("key_invalid", "This is not an API key: it contains invalid characters.")
    return {"authorization": f"Bearer {key}"}


def not_ours(answer: httpx.Response) -> ApiError:
    """The error of an answer that cannot be read."""
    return ApiError(
        "unexpected_answer",
        f"The service answered {answer.status_code} with something that X-CLIP Search does not "
        "say; is the URL right?",
        status=answer.status_code,
        retry_after_s=_retry_after(answer),
    )


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds, whether the header tells seconds or a date (RFC 9110, 10.2.3)."""
    said = answer.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+", said):
        return float(said)
    try:
        when = parsedate_to_datetime(said)
    except (ValueError, OverflowError):  # OverflowError: a number that no date can hold
        return None
    if when.tzinfo is None:  # the form of asctime has no zone; every date of HTTP is in GMT
        when = when.replace(tzinfo=UTC)
    return max(0.0, when.timestamp() - time())


def _reason(field: schemas.ProblemField) -> str:
    """What is wrong and in which field, without the part of the request that it lies in."""
    location = ".".join(map(str, field.loc[1:]))
    why = field.msg.removeprefix("Value error, ")
    return f"{location}: {why}" if location else why
