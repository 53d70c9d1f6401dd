"""The parts of an operation: paths, bodies, answers, refusals and how long to wait after one."""

from __future__ import annotations

import json
import math
import os
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import JsonValue

from xclip_search import ApiError, schemas
from xclip_search.addresses import is_loopback
from xclip_search.sources import Source
from xclip_search.steps import (
    Call,
    FileChunk,
    FormBody,
    content_of,
    credentials,
    label,
    parse,
    part,
    refusal,
    within,
)

SERVICE = httpx.URL("http://service/behind/a/proxy/")
PROBLEM = {"type": "", "title": "", "detail": "Busy.", "code": "overloaded", "request_id": "req_1"}


def answer(
    status: int, content: bytes = b"", method: str = "GET", **headers: str
) -> httpx.Response:
    """An answer as a connection gives it, with the request that it answers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = httpx.Request(method, SERVICE)
    return httpx.Response(status, content=content, headers=named, request=request)


def busy(retry_after: str) -> ApiError:
    """The error of a refusal for now with that header."""
    content = json.dumps({**PROBLEM, "status": 503}).encode()
    return refusal(answer(503, content, retry_after=retry_after))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("007", 7),
        ("999999999", 999_999_999),
        ("1000000000", 1_000_000_000),
        ("9" * 400, math.inf),
        ("-1", None),
        ("1.5", None),
        ("5, 7", None),
        ("soon", None),
        ("", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
        ("Sun Nov  6 08:49:37 1994", 0),
        ("Sun, 32 Nov 1994 08:49:37 GMT", None),
        ("1 Jan 99999999999999999999 00:00:00 GMT", None),
        ("1 Jan 2030 00:00:00 +99999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(said: str, seconds: float | None) -> None:
    """A past date is now, and what is neither a count nor a date says nothing."""
    assert busy(said).retry_after_s == seconds


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"])
def test_a_date_is_in_gmt_wherever_the_client_is(
    form: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the form of asctime, which names no zone."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        said = (datetime.now(UTC) + timedelta(seconds=90)).strftime(form)
        assert 30 < (busy(said).retry_after_s or 0) <= 90
    finally:
        monkeypatch.undo()
        time.tzset()


@given(said=st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=60))
@example("Mon, 01 Jan 0001 00:00:00 -0000")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
def test_no_header_breaks_a_refusal(said: str) -> None:
    """Whatever stands in it, the wait is unknown or a number that is not negative."""
    seconds = busy(said).retry_after_s
    assert seconds is None or seconds >= 0


@given(seconds=st.integers(1, 10**8))
def test_a_date_to_come_is_as_far_away_as_it_says(seconds: int) -> None:
    """To the second, which is all that the header holds."""
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    assert busy(format_datetime(at, usegmt=True)).retry_after_s == pytest.approx(seconds, abs=2)


@given(status=st.integers(300, 599), content=st.binary(max_size=200))
@example(500, b"[" * 100_000)
@example(500, b'{"detail": "\\ud800"}')
@example(500, json.dumps(PROBLEM).encode())  # no status
def test_any_body_of_a_refusal_is_an_error_with_the_status(status: int, content: bytes) -> None:
    """Of what is no problem document, only the status is believed."""
    error = refusal(answer(status, content))
    assert (error.code, error.status) == ("unexpected_answer", status)
    assert str(status) in error.message


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        (None, "Busy."),
        ([], "Busy."),
        ([(["body", "top_k"], "too large")], "top_k: too large"),
        ([(["body", "queries", 3, "text"], "empty")], "queries.3.text: empty"),
        ([(["body"], "no JSON")], "no JSON"),
        ([([], "no JSON")], "no JSON"),
        ([(["query", "q"], "Value error, must be text")], "q: must be text"),
        ([(["body", "a"], "one"), (["body", "b"], "two")], "a: one; b: two"),
    ],
)
def test_a_refusal_says_each_reason_with_its_place(
    errors: list[tuple[list[str | int], str]] | None, message: str
) -> None:
    """Where the field is, without the part of the request; else the service's own sentence."""
    listed = None if errors is None else [{"loc": loc, "msg": msg} for loc, msg in errors]
    content = json.dumps({**PROBLEM, "status": 422, "errors": listed}).encode()
    assert refusal(answer(422, content)).message == message


@pytest.mark.parametrize(("method", "headers"), [("HEAD", {}), ("PATCH", {"tus_resumable": "1"})])
def test_a_refusal_that_can_have_no_body_is_told_by_its_status(
    method: str, headers: dict[str, str]
) -> None:
    """Answers to HEAD, and of tus, are ours though they hold no problem."""
    error = refusal(answer(404, method=method, **headers))
    assert (error.code, error.message, error.status) == ("refused", "Not Found", 404)


@given(content=st.binary(max_size=200))
@example(b'{"video_id": "vid_1", "model": "m", "items": ')
def test_an_answer_that_cannot_be_read_is_an_error_with_a_code(content: bytes) -> None:
    """A truncated or foreign body is never a half-filled answer."""
    with pytest.raises(ApiError) as refused:
        parse(answer(200, content), schemas.VideoEmbeddings)
    assert (refused.value.code, refused.value.status) == ("unexpected_answer", 200)


@pytest.fixture(scope="module")
def sender() -> httpx.Client:
    """What puts an address together as the client does; it sends nothing."""
    return httpx.Client(base_url=SERVICE)


@given(
    name=st.text(st.characters(codec="utf-8"), min_size=1).filter(
        lambda name: name not in (".", "..")
    )
)
@example(name="../..")
@example(name="a/b?c#d")
@example(name="%2F")
@example(name="ü \0")
def test_a_name_is_one_part_of_a_path_whatever_it_holds(name: str, sender: httpx.Client) -> None:
    """The service, below whatever prefix, decodes the very name from the part where it belongs."""
    path = sender.build_request("GET", f"{within(name)}/videos").url.raw_path.decode()
    *before, found, last = path.split("/")
    assert ("/".join(before), last) == ("/behind/a/proxy/v1/collections", "videos")
    assert unquote(found) == name


@pytest.mark.parametrize("name", ["", ".", "..", "\udcff"])
def test_a_name_that_would_address_something_else_is_refused(name: str) -> None:
    """Nothing is sent: `..` in place of a video would be its collection."""
    with pytest.raises(ApiError) as refused:
        part(name)
    assert refused.value.code == "invalid_request"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_printable_key_is_sent_as_it_is(key: str) -> None:
    """Letters, digits and signs, and nothing around them."""
    assert credentials(key) == {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "a\0", "a\x7f", "ключ"])
def test_what_no_header_can_hold_is_no_key(key: str) -> None:
    """It is refused here, before anything is sent."""
    with pytest.raises(ApiError) as refused:
        credentials(key)
    assert refused.value.code == "key_invalid"


@pytest.mark.parametrize(
    ("offset", "length", "read"),
    [(0, 10, b"0123456789"), (3, 4, b"3456"), (8, 5, b"89"), (10, 1, b""), (99, 1, b"")],
)
def test_a_chunk_ends_where_the_file_ends(
    offset: int, length: int, read: bytes, tmp_path: Path
) -> None:
    """One that lies behind the end is empty: the file has become shorter."""
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    assert FileChunk(Source("file", file), offset, length).read() == read


@pytest.mark.parametrize(
    ("body", "content", "kind"),
    [
        (None, b"", None),
        (b"\0\xff", b"\0\xff", None),
        ({"text": "ü"}, '{"text":"ü"}'.encode(), "application/json"),
        ([], b"[]", "application/json"),
        (0, b"0", "application/json"),
        (False, b"false", "application/json"),
        ("", b'""', "application/json"),
    ],
)
def test_a_body_is_sent_as_what_it_is(body: Any, content: bytes, kind: str | None) -> None:
    """Bytes unchanged, everything else but nothing as JSON: also what counts as false."""
    with content_of(Call("POST", "/", body=body)) as given:
        request = httpx.Request("POST", SERVICE, **given)
    assert (request.read(), request.headers.get("content-type")) == (content, kind)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(value=JSON_VALUES)
def test_fields_beside_a_file_are_json(
    value: JsonValue, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each field reads back as it was; the file keeps its name and its bytes."""
    file = tmp_path_factory.getbasetemp() / "clip ü.mp4"
    file.write_bytes(b"bytes of a video\r\n--")
    with content_of(
        Call("POST", "/", body=FormBody(Source(file.name, file), {"metadata": value}))
    ) as given:
        request = httpx.Request("POST", SERVICE, **given)
        content = request.read()
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    parts = [each.strip(b"-") for each in content.split(b"--" + boundary)]
    written = {}
    for each in filter(bytes.strip, parts):
        head, _, payload = each.partition(b"\r\n\r\n")
        written["file" if b"filename=" in head else "metadata"] = payload.removesuffix(b"\r\n")
    assert json.loads(written["metadata"]) == value
    assert "clip ü.mp4".encode() in content
    assert b"bytes of a video\r\n" in content


def test_a_file_name_of_any_bytes_can_be_sent(tmp_path: Path) -> None:
    """What is no UTF-8 is replaced; the rest of the name stays."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xc3\xbc.mp4"))
    assert label(path.name) == "caf? ü.mp4"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.255.255.255", True),
        ("128.0.0.0", False),
        ("::1", True),
        ("::2", False),
        ("0.0.0.0", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("127.1", False),
        ("", False),
    ],
)
def test_only_this_machine_itself_is_loopback(host: str, loopback: bool) -> None:
    """A name that only looks like it goes through the proxy, as any other host."""
    assert is_loopback(host) is loopback
