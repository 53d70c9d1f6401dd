"""tus 1.0.0 resumable uploads: the headers of every response, and those that clients send.

https://tus.io/protocols/resumable-upload
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Header
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from app.catalog.records import NewUpload, ResumableUpload
from app.errors import InvalidChecksum, InvalidRequest, TusVersionUnsupported
from app.routes.json_bodies import parse_json
from app.services.ingest.chunk import CHECKSUMS, Checksum
from app.storage.filenames import MAX_LABEL_LENGTH, file_label
from xclip_search import schemas

VERSION: Final = "1.0.0"
TAG: Final = "uploads"
CHUNK_TYPE: Final = "application/offset+octet-stream"
_UNKNOWN_TYPE: Final = "application/octet-stream"
_VERSION_HEADER = {
    "description": "version of the protocol",
    "schema": {"type": "string", "enum": [VERSION]},
}
_HEADERS = {
    "Location": "path of the upload, on the address of the service",
    "Tus-Version": "versions of the protocol that are spoken",
    "Tus-Extension": "extensions of the protocol that are spoken, separated by commas",
    "Tus-Max-Size": "how many bytes an upload may have",
    "Tus-Checksum-Algorithm": "algorithms of Upload-Checksum, separated by commas",
    "Upload-Offset": "how many bytes of the file are here",
    "Upload-Length": "size of the file in bytes, once it is told",
    "Upload-Defer-Length": "1 while the size of the file is not told",
    "Upload-Expires": "when the upload is forgotten unless more of it comes, as an HTTP date",
    "Upload-Metadata": "what the upload was announced with",
    "X-Video-Id": "id of the video, once the upload is complete",
    "X-Job-Id": "id of the job that ingests the video, once the upload is complete",
}
PROGRESS_HEADERS: Final = (
    "Upload-Offset",
    "Upload-Length",
    "Upload-Defer-Length",
    "Upload-Expires",
    "X-Video-Id",
    "X-Job-Id",
)
MAX_METADATA_LENGTH: Final = 32_768  # of the whole header


class TusRoute(APIRoute):
    """A route whose every answer, refusals included, names the version of the protocol."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["tus-resumable"] = VERSION
            await send(message)

        await super().handle(scope, receive, send_with_version)


TusVersion = Annotated[str | None, Header(description=f"version of the protocol, always {VERSION}")]


def document_tus(schema: dict[str, Any]) -> None:
    """Say in an OpenAPI document which headers the requests and answers of the protocol carry."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            if TAG not in operation.get("tags", ()):
                continue
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "tus-resumable":
                    parameter |= {"required": True, "schema": {"type": "string", "enum": [VERSION]}}
            for answer in operation["responses"].values():
                answer["headers"] = {"Tus-Resumable": _VERSION_HEADER} | answer.get("headers", {})


def headers_of(*names: str) -> dict[str, dict[str, Any]]:
    """The OpenAPI `headers` of an answer with these."""
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}


async def speaks_tus(tus_resumable: TusVersion = None) -> None:
    """A dependency: the request is of the version spoken here."""
    if tus_resumable != VERSION:
        raise TusVersionUnsupported(f"The header Tus-Resumable must say {VERSION}.")


def abilities(max_bytes: int) -> Mapping[str, str]:
    """What the service says of itself."""
    return {
        "tus-version": VERSION,
        "tus-extension": "creation,creation-defer-length,expiration,checksum,termination",
        "tus-max-size": str(max_bytes),
        "tus-checksum-algorithm": ",".join(CHECKSUMS),
    }


def parse_checksum(header: str | None) -> Checksum | None:
    """`Upload-Checksum: sha256 BASE64`; raises InvalidChecksum."""
    if header is None:
        return None
    algorithm, _, digest = header.partition(" ")
    try:
        return Checksum(algorithm.lower(), base64.b64decode(digest, validate=True))
    except binascii.Error:
        raise InvalidChecksum("Upload-Checksum must be an algorithm and a base64 digest.") from None


def parse_metadata(header: str | None, length: int | None) -> NewUpload:
    """`Upload-Metadata: filename BASE64,filetype BASE64,metadata BASE64`, each of which may lack.

    `metadata` is JSON as of any upload. What else clients of the protocol add is ignored. Raises
    InvalidRequest.
    """
    pairs = _pairs(header or "")
    try:
        fields = schemas.UploadFields.model_validate(
            {"metadata": parse_json((pairs.get("metadata") or "{}").encode())}
        )
    except (ValidationError, ValueError, RecursionError):
        raise InvalidRequest(
            "`metadata` in Upload-Metadata must be a JSON object as of any upload."
        ) from None
    return NewUpload(
        length=length,
        filename=file_label(pairs.get("filename", "")),
        content_type=pairs.get("filetype", "")[:MAX_LABEL_LENGTH] or _UNKNOWN_TYPE,
        metadata=fields.metadata,
    )


def metadata_header(upload: ResumableUpload) -> str:
    """The same, for clients that ask."""
    pairs = {
        "filename": upload.filename,
        "filetype": upload.content_type,
        "metadata": json.dumps(dict(upload.metadata)),
    }
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items()
    )


def _pairs(header: str) -> dict[str, str]:
    if len(header) > MAX_METADATA_LENGTH:
        raise InvalidRequest("Upload-Metadata is too long.")
    pairs: dict[str, str] = {}
    for pair in filter(None, header.split(",")):
        key, _, value = pair.strip().partition(" ")
        if not key or key in pairs:
            raise InvalidRequest("Upload-Metadata must be pairs of different keys and base64.")
        try:
            pairs[key] = base64.b64decode(value, validate=True).decode()
        except ValueError:
            raise InvalidRequest(f"{key!r} in Upload-Metadata is not UTF-8 in base64.") from None
    return pairs
