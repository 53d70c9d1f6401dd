"""Security headers: on every response, and a route's own word stands."""

from __future__ import annotations

import asyncio

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from app.security.headers import SecurityHeaders

ALWAYS = {
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "cross-origin-resource-policy",
    "cross-origin-opener-policy",
    "content-security-policy",
}


def sent_with(*own: tuple[bytes, bytes]) -> list[Message]:
    """The messages that leave the layer when the application sends these headers."""
    messages: list[Message] = [
        {"type": "http.response.start", "status": 200, "headers": list(own)},
        {"type": "http.response.body", "body": b"{", "more_body": True},
        {"type": "http.response.body", "body": b"}"},
    ]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async def receive() -> Message:
        raise AssertionError

    seen: list[Message] = []

    async def send(message: Message) -> None:
        seen.append(dict(message))

    asyncio.run(SecurityHeaders(app)({"type": "http"}, receive, send))
    assert seen[1:] == messages[1:]
    return seen


def test_an_answer_without_headers_gets_all_of_them() -> None:
    """And no caching rule, since it may be a file."""
    assert {*Headers(raw=sent_with()[0]["headers"]).keys()} == ALWAYS


@pytest.mark.parametrize("name", sorted(ALWAYS))
def test_what_a_route_has_set_itself_stands_alone(name: str) -> None:
    """And once: of two policies a browser would take both."""
    headers = Headers(raw=sent_with((name.encode(), b"own"))[0]["headers"])
    assert headers.getlist(name) == ["own"]
    assert {*headers.keys()} == ALWAYS


@pytest.mark.parametrize(
    ("kind", "kept_out"),
    [
        (b"application/json", True),
        (b"application/problem+json", True),
        (b"application/json; charset=utf-8", True),
        (b"text/html", False),
        (b"video/mp4", False),
    ],
)
def test_json_is_kept_out_of_every_cache(kind: bytes, kept_out: bool) -> None:
    """It is somebody's data; pages and videos say for themselves how long they hold."""
    headers = Headers(raw=sent_with((b"content-type", kind))[0]["headers"])
    assert headers.get("cache-control") == ("no-store" if kept_out else None)


def test_json_that_says_how_long_it_holds_is_believed() -> None:
    """A route's own rule for caches stands."""
    own = (b"content-type", b"application/json"), (b"cache-control", b"max-age=60")
    headers = Headers(raw=sent_with(*own)[0]["headers"])
    assert headers.getlist("cache-control") == ["max-age=60"]
