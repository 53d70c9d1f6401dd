"""Multipart parser: the file goes to disk as it arrives, small text fields beside it.

The form parsers of the web framework spool the whole file before a route runs. Here memory stays
flat: chunks of about a mebibyte are parsed, hashed and written by one worker thread call each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import anyio.to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from app.errors import InvalidRequest, UnsupportedMediaType
from app.routes.content_disposition import client_filename
from app.routes.json_bodies import parse_json_field
from app.routes.request_bodies import declared_length, receive_body, validating_body
from app.server.body_limit import FORM_OVERHEAD_BYTES
from app.storage.filenames import MAX_LABEL_LENGTH, file_label
from app.storage.media_store import IncomingFile
from xclip_search.schemas import Accepted

Fields = TypeVar("Fields", bound=Accepted)

COMPONENT = "#/components/schemas/{model}"  # what FastAPI names them in the OpenAPI document
_FILE = {"type": "string", "format": "binary", "description": "the video, as its bytes are"}
_MAX_FIELD_BYTES = 512 << 10  # ten thousand labels of fifty characters


@dataclass(frozen=True, slots=True)
class MultipartForm:
    """What came beside the bytes; `filename` and `content_type` are labels, nothing more."""

    filename: str
    content_type: str
    fields: Mapping[str, str]


@dataclass(slots=True)
class _Part:
    header_name: bytes = b""
    header_value: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    is_file: bool = False
    text: bytearray = field(default_factory=bytearray)


class _FormReceiver:
    """The callbacks of the parser; `feed` blocks on the disk and belongs in a thread."""

    def __init__(self, boundary: bytes, incoming: IncomingFile, allowed: Collection[str]) -> None:
        self._incoming = incoming
        self._allowed = allowed
        self._part = _Part()
        self._seen: set[str] = set()
        self._fields: dict[str, str] = {}
        self._file_headers: dict[bytes, bytes] = {}
        self._file_chunks: list[bytes] = []
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._open_part,
                "on_part_data": self._part_bytes,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Parse one chunk of the body and write what belongs to the file."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequest("The multipart body is malformed.") from error
        self._incoming.write(b"".join(self._file_chunks))
        self._file_chunks.clear()

    def finish(self) -> MultipartForm:
        """Check that the body was whole; returns what came beside the file."""
        if not self._ended:
            raise InvalidRequest("The multipart body ended before its closing boundary.")
        if "file" not in self._seen:
            raise InvalidRequest("The part `file` is missing.")
        content_type = self._file_headers.get(b"content-type", b"").strip().decode("latin-1")
        return MultipartForm(
            filename=file_label(client_filename(self._file_headers[b"content-disposition"])),
            content_type=content_type[:MAX_LABEL_LENGTH] or "application/octet-stream",
            fields=self._fields,
        )

    def _begin_part(self) -> None:
        self._part = _Part()

    def _header_name(self, buffer: bytes, start: int, end: int) -> None:
        self._part.header_name += buffer[start:end]

    def _header_value(self, buffer: bytes, start: int, end: int) -> None:
        self._part.header_value += buffer[start:end]

    def _end_header(self) -> None:
        part = self._part
        part.headers[part.header_name.lower()] = part.header_value
        part.header_name = part.header_value = b""

    def _open_part(self) -> None:
        part = self._part
        _, options = parse_options_header(part.headers.get(b"content-disposition"))
        part.name = options.get(b"name", b"").decode("utf-8", "replace")
        part.is_file = part.name == "file"
        if not part.is_file and part.name not in self._allowed:
            raise InvalidRequest(f"Unknown form field {file_label(part.name)!r}.")
        if part.name in self._seen:
            raise InvalidRequest(f"The form field {part.name!r} came twice.")
        self._seen.add(part.name)
        if part.is_file:
            self._file_headers = part.headers

    def _part_bytes(self, buffer: bytes, start: int, end: int) -> None:
        if self._part.is_file:
            self._file_chunks.append(buffer[start:end])
            return
        self._part.text += buffer[start:end]
        if len(self._part.text) > _MAX_FIELD_BYTES:
            raise InvalidRequest(f"The form field {self._part.name!r} is too long.")

    def _end_part(self) -> None:
        if not self._part.is_file:
            try:
                self._fields[self._part.name] = self._part.text.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InvalidRequest(f"The field {self._part.name!r} is not UTF-8.") from error

    def _end(self) -> None:
        self._ended = True


async def receive_form(
    request: Request, incoming: IncomingFile, *, fields: type[Accepted]
) -> MultipartForm:
    """Stream the request's multipart body: part `file` into `incoming`, the rest as text.

    `fields` names the parts that may come beside the file. Raises UnsupportedMediaType,
    InvalidRequest (broken body, unknown, doubled or missing part), ContentTooLarge and StorageFull
    (from `incoming`; the latter unread if the length is declared) and ClientDisconnect.
    """
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise UnsupportedMediaType("Send the file as multipart/form-data with a boundary.")
    try:
        receiver = _FormReceiver(options[b"boundary"], incoming, fields.model_fields)
    except FormParserError as error:
        raise InvalidRequest("The multipart boundary is malformed.") from error
    request.state.body.max_bytes = incoming.max_bytes + FORM_OVERHEAD_BYTES
    await anyio.to_thread.run_sync(incoming.expect, declared_length(request))
    await receive_body(request, receiver.feed)
    return receiver.finish()


def parse_fields(form: MultipartForm, kind: type[Fields]) -> Fields:
    """The fields beside the file, each of which is JSON; raises RequestValidationError."""
    values = {
        name: parse_json_field(text.encode(), "body", name) for name, text in form.fields.items()
    }
    with validating_body():
        return kind.model_validate(values)


def form_body(kind: type[Accepted]) -> dict[str, object]:
    """The OpenAPI `requestBody` of a route that takes such a form.

    Rules between fields are left out: schemathesis cannot judge a file by them.
    """
    schema = kind.model_json_schema(ref_template=COMPONENT)
    properties = {"file": _FILE, **schema["properties"]}
    required = ["file", *schema.get("required", [])]
    body = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    encoding = {name: {"contentType": "application/json"} for name in schema["properties"]}
    content = {"multipart/form-data": {"schema": body, "encoding": encoding}}
    return {"requestBody": {"required": True, "content": content}}
