"""One download, from a real server: redirects, refusals, and what is sent on the way."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
import trustme

from app.fetch.download import Download, Downloader
from app.fetch.errors import FetchError, InvalidUrl, UrlNotAllowed, UrlTooSlow, UrlUnreachable
from app.fetch.guard import Pace
from app.fetch.rules import UrlRules
from tests.app.fetch.origin import Origin, drip, head, redirect, serving, whole

BODY = bytes(range(256)) * 4


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as origin:
        yield origin


async def to_loopback(host: str, port: int) -> Sequence[str]:
    """A resolver for which every host is this machine."""
    return ["127.0.0.1"]


def get(
    origin: Origin, url: str, *, rules: str | None = None, pace: Pace | None = None
) -> tuple[Download, bytes]:
    """Download with the origin's port allowed for 127.0.0.1 and for videos.test."""
    allowed = rules or f"127.0.0.1:{origin.port},videos.test:{origin.port}"
    downloader = Downloader(UrlRules.parse(allowed), to_loopback, pace or Pace())

    async def read() -> tuple[Download, bytes]:
        async with downloader.open(url) as download:
            return download, b"".join([piece async for piece in download.chunks])

    return anyio.run(read)


def refusal(origin: Origin, url: str, **choices: object) -> FetchError:
    """What a download is refused with."""
    with pytest.raises(FetchError) as refused:
        get(origin, url, **choices)
    assert "127.0.0.1" not in str(refused.value)
    return refused.value


def test_a_file_arrives_with_what_its_server_calls_it(origin: Origin):
    """Bytes, declared length, type, and the last part of the path without its escapes."""
    origin.answers["/films/a%20b.mp4?v=1"] = whole(BODY, "content-type: video/mp4")
    download, body = get(origin, origin.url("/films/a%20b.mp4?v=1#part"))
    assert body == BODY
    assert (download.name, download.content_type, download.length) == (
        "a b.mp4",
        "video/mp4",
        len(BODY),
    )


def test_nothing_is_sent_but_the_request(
    origin: Origin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """No proxy, no credentials from the environment, no cookie, no compression asked for."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    origin.answers["/a"] = redirect("/b").replace(b"\r\n\r\n", b"\r\nset-cookie: a=b\r\n\r\n")
    origin.answers["/b"] = whole(BODY)
    assert get(origin, origin.url("/a"))[1] == BODY
    lines = origin.heads[1].decode().lower().split("\r\n")
    assert lines[0] == "get /b http/1.1"
    assert dict(line.split(": ") for line in lines[1:] if line) == {
        "host": f"127.0.0.1:{origin.port}",
        "user-agent": "xclip-search",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
    }


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(origin: Origin, status: int):
    """Relative and absolute ones, to the name that the last URL ends in."""
    origin.answers["/a/b"] = redirect("../c", status)
    origin.answers["/c"] = redirect(origin.url("/d.mp4"), status)
    origin.answers["/d.mp4"] = whole(BODY)
    download, body = get(origin, origin.url("/a/b"))
    assert (download.name, body) == ("d.mp4", BODY)


def test_redirects_end(origin: Origin):
    """Five are followed, a sixth is not."""
    for number in range(6):
        origin.answers[f"/{number}"] = redirect(f"/{number + 1}")
    origin.answers["/6"] = whole(BODY)
    assert get(origin, origin.url("/1"))[1] == BODY
    assert isinstance(refusal(origin, origin.url("/0")), UrlUnreachable)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("ftp://127.0.0.1/a", UrlNotAllowed),
        ("file:///etc/passwd", UrlNotAllowed),
        ("http://elsewhere.test/a", UrlNotAllowed),
        ("http://me:secret@videos.test/a", UrlNotAllowed),
        ("http://videos.test:1/a", UrlNotAllowed),
        ("http://[::1/a", UrlUnreachable),
    ],
)
def test_each_hop_is_checked_like_the_first(origin: Origin, target: str, kind: type[FetchError]):
    """Scheme, host, port and user name of what a redirect leads to."""
    origin.answers["/"] = redirect(target)
    assert isinstance(refusal(origin, origin.url("/")), kind)
    assert origin.connections == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/a",
        "videos.test/a",
        "http://",
        "http:///a",
        "http://a b/",
        "http://a..b/",
        "http://-a/",
        "http://" + "a" * 64 + "/",
        "http://[::1/",
        "http://[fe80::1%25lo]/",
        "http://①②⑦.⓪.⓪.①/",
        "http://videos.test:99999999/",
        "http://videos.test%00/",
        "http://\ud800/",
    ],
)
def test_what_is_no_url_is_refused(origin: Origin, url: str):
    """As invalid, or as not allowed where it reads as a URL of another kind."""
    assert isinstance(refusal(origin, url, rules="public"), InvalidUrl | UrlNotAllowed)


@pytest.mark.parametrize("status", [201, 204, 206, 304, 401, 404, 500])
def test_only_200_is_a_file(origin: Origin, status: int):
    """Whatever else comes is said, not stored."""
    origin.answers["/"] = head(status, "content-length: 0")
    refused = refusal(origin, origin.url("/"))
    assert isinstance(refused, UrlUnreachable)
    assert str(status) in str(refused)


@pytest.mark.parametrize(
    "answer",
    [
        whole(BODY, "content-encoding: gzip"),
        head(200, "content-length: 2000") + BODY,
        head(200, "transfer-encoding: chunked") + b"400\r\n" + BODY,
        head(200, "content-length: nine") + BODY,
        head(200, "content-length: 4", "content-length: 5") + BODY,
        head(200, *(f"x-{number}: {'a' * 1000}" for number in range(200))) + BODY,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
    ],
)
def test_broken_answers_are_refused(origin: Origin, answer: bytes):
    """Compressed though not asked for, cut off, contradictory, endless heads, no HTTP."""
    origin.answers["/"] = answer
    assert isinstance(refusal(origin, origin.url("/")), UrlUnreachable)


def test_chunks_and_a_closed_connection_delimit_too(origin: Origin):
    """Then no length is known beforehand, whatever a header beside the chunks says."""
    origin.answers["/chunks"] = (
        head(200, "transfer-encoding: chunked", "content-length: 9")
        + b"400\r\n" + BODY + b"\r\n3\r\nend\r\n0\r\n\r\n"
    )  # fmt: skip
    origin.answers["/closed"] = head(200) + BODY
    download, body = get(origin, origin.url("/chunks"))
    assert (download.length, body) == (None, BODY + b"end")
    download, body = get(origin, origin.url("/closed"))
    assert (download.length, body) == (None, BODY)


@pytest.mark.parametrize("before", [b"HTTP/1.1 200 OK\r\nx-slow: ", head(200), b""])
def test_a_dripping_server_is_left(origin: Origin, before: bytes):
    """In its head, in its body: bytes that come too slowly are no progress."""
    pace = Pace(window_s=0.3, window_bytes=500)
    origin.answers["/"] = drip(b"a", 0.02, before=before)
    assert isinstance(refusal(origin, origin.url("/"), pace=pace), UrlTooSlow)


def test_a_server_that_never_begins_tls_is_left(origin: Origin):
    """The time to connect covers the handshake."""
    url = origin.url("/").replace("http:", "https:")
    assert isinstance(refusal(origin, url, pace=Pace(connect_s=0.2)), UrlTooSlow)


def test_a_slow_server_is_waited_for(origin: Origin, monkeypatch: pytest.MonkeyPatch):
    """Longer than a window, as long as enough comes in each: by the clock every read takes one."""
    pace = Pace(window_s=100.0, window_bytes=100)
    now = count(0.0, pace.window_s)
    monkeypatch.setattr("app.fetch.guard.time", SimpleNamespace(monotonic=lambda: next(now)))
    answer = head(200, "content-length: 20000")
    origin.answers["/"] = drip(b"a" * 1000, 0.01, before=answer)
    assert len(get(origin, origin.url("/"), pace=pace)[1]) == 20_000


@pytest.fixture
def tls_origin(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Origin:
    """An origin that speaks TLS as videos.test, whose certificate is trusted."""
    authority = trustme.CA()
    origin.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("videos.test").configure_cert(origin.tls)
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    return origin


def test_tls_verifies_the_name_though_the_address_is_pinned(tls_origin: Origin):
    """The connection goes to an address, the certificate is for the host."""
    tls_origin.answers["/a.mp4"] = whole(BODY)
    assert get(tls_origin, tls_origin.url("/a.mp4", "videos.test"))[1] == BODY
    assert isinstance(refusal(tls_origin, tls_origin.url("/a.mp4")), UrlUnreachable)


def test_a_certificate_that_nobody_trusts_is_refused(
    tls_origin: Origin, monkeypatch: pytest.MonkeyPatch
):
    """No file comes over a connection that may be anybody's."""
    monkeypatch.delenv("SSL_CERT_FILE")
    refused = refusal(tls_origin, tls_origin.url("/a.mp4", "videos.test"))
    assert isinstance(refused, UrlUnreachable)
    assert tls_origin.heads == []


def test_https_is_not_left_for_http(tls_origin: Origin):
    """A redirect may not strip the encryption off."""
    tls_origin.answers["/"] = redirect(f"http://videos.test:{tls_origin.port}/a")
    refused = refusal(tls_origin, tls_origin.url("/", "videos.test"))
    assert isinstance(refused, UrlNotAllowed)
    assert tls_origin.connections == 1
