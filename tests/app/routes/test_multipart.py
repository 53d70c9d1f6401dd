"""Multipart bodies, however they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from app.data_layout import DataLayout
from app.errors import AppError
from app.routes.multipart import MultipartForm, receive_form
from app.server.body_limit import BodyAllowance
from app.storage.composition import open_storage
from app.storage.media_store import ContentTooLarge, IncomingFile
from xclip_search.schemas import UploadFields

BOUNDARY = b"frontier"


def part(head: bytes, content: bytes) -> bytes:
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def file_part(content: bytes, filename: bytes = b"a.mp4") -> bytes:
    head = b'Content-Disposition: form-data; name="file"; filename="' + filename + b'"'
    return part(head + b"\r\nContent-Type: video/mp4", content)


def field_part(name: bytes, content: bytes) -> bytes:
    return part(b'Content-Disposition: form-data; name="' + name + b'"', content)


END = b"--" + BOUNDARY + b"--\r\n"


def receive(
    pieces: list[bytes],
    incoming: IncomingFile,
    content_type: bytes = b"multipart/form-data; boundary=" + BOUNDARY,
) -> MultipartForm:
    """Hand `pieces` over as the server would, one message each."""
    messages: Iterator[dict[str, object]] = iter(
        [
            *({"type": "http.request", "body": piece, "more_body": True} for piece in pieces),
            {"type": "http.request", "body": b"", "more_body": False},
        ]
    )

    async def next_message() -> dict[str, object]:
        return next(messages)

    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(b"content-type", content_type)],
        "state": {"body": BodyAllowance(0)},
    }
    request = Request(scope, next_message)
    return asyncio.run(receive_form(request, incoming, fields=UploadFields))


@pytest.fixture
def incoming(tmp_path: Path) -> Iterator[IncomingFile]:
    media = open_storage(DataLayout(tmp_path), writer_id="test").media
    with media.receive(1 << 20) as opened:
        yield opened


nasty = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"--", b"\r\n--", b"\r\n--front", b"x", b"\0"]),
    max_size=12,
).map(b"".join)


@given(content=nasty, cuts=st.lists(st.integers(0, 400), max_size=6), field_first=st.booleans())
def test_however_a_body_is_cut_the_same_bytes_arrive(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int], field_first: bool
):
    """File and field survive every cut, and every content that looks like a boundary."""
    parts = [file_part(content), field_part(b"metadata", b'{"a": 1}')]
    body = b"".join(parts[::-1] if field_first else parts) + END
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    media = open_storage(DataLayout(tmp_path_factory.mktemp("media")), writer_id="test").media
    with media.receive(1 << 20) as opened:
        form = receive(pieces, opened)
        assert opened.path.read_bytes() == content
    assert (form.filename, form.content_type) == ("a.mp4", "video/mp4")
    assert form.fields == {"metadata": '{"a": 1}'}


@pytest.mark.parametrize(
    ("sent", "label"),
    [
        (b"../../etc/passwd", "passwd"),
        (b"C:\\videos\\cat.mp4", "cat.mp4"),
        ("Übergröße 猫.mp4".encode(), "Übergröße 猫.mp4"),
        (b"a\0b\x1b[31m\x7f.mp4", "ab[31m.mp4"),
        (b"\xff\xfe", "ÿþ"),  # no UTF-8, so the code page of old clients
        (b"", "unnamed"),
        (b"/", "unnamed"),
        (b"x" * 999, "x" * 255),
    ],
)
def test_a_file_name_is_only_a_printable_label(incoming: IncomingFile, sent: bytes, label: str):
    """No folder, no control character, no length of the sender's survives."""
    assert receive([file_part(b"x", sent) + END], incoming).filename == label


@pytest.mark.parametrize(
    "body",
    [
        b"",
        END,
        b"no boundary at all",
        file_part(b"x"),
        file_part(b"x") + END[:-4],
        field_part(b"metadata", b"{}") + END,
        field_part(b"surprise", b"1") + file_part(b"x") + END,
        file_part(b"x") + file_part(b"y") + END,
        file_part(b"x") + field_part(b"metadata", b"{}") * 2 + END,
        file_part(b"x") + field_part(b"metadata", b"\xff") + END,
        file_part(b"x") + field_part(b"metadata", b"x" * 600_000) + END,
        part(b"X-Nothing: here", b"x") + END,
        part(b"X: y\r\n" * 500, b"x") + END,
        part(b"X: " + b"y" * 100_000, b"x") + END,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_broken_forms_are_refused(incoming: IncomingFile, body: bytes):
    """Cut off, doubled, unknown, oversized or headless parts are a 422."""
    with pytest.raises(AppError) as refusal:
        receive([body], incoming)
    assert refusal.value.status == 422


@pytest.mark.parametrize(
    "content_type",
    [b"", b"application/json", b"multipart/form-data", b"multipart/mixed; boundary=frontier"],
)
def test_other_bodies_than_forms_are_refused(incoming: IncomingFile, content_type: bytes):
    """Anything but multipart/form-data with a boundary is a 415."""
    with pytest.raises(AppError) as refusal:
        receive([file_part(b"x") + END], incoming, content_type)
    assert refusal.value.status == 415


def test_an_endless_boundary_is_refused(incoming: IncomingFile):
    """The parser's own limit on boundaries is a 422, not a crash."""
    with pytest.raises(AppError) as refusal:
        receive([b"x"], incoming, b"multipart/form-data; boundary=" + b"b" * 1000)
    assert refusal.value.status == 422


def test_a_file_over_its_limit_is_refused_as_it_arrives(incoming: IncomingFile):
    """The limit counts the file's bytes, and what was written stays below it."""
    with pytest.raises(ContentTooLarge):
        receive([file_part(b"x" * ((1 << 20) + 1)) + END], incoming)
    assert incoming.path.stat().st_size <= 1 << 20
