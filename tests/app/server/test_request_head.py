"""Request heads: what the parser lets pass and HTTP does not is refused, on the wire."""

from __future__ import annotations

import pytest

from app.server.request_head import head_error
from tests.app.server.wire import App, Wire, on_wire

CHUNKS = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("version", "lines", "served"),
    [
        ("1.1", ["Host: x"], True),
        ("1.1", ["HOST: [::1]:8000"], True),
        ("1.1", ["Host:"], True),  # of a target that names no host
        ("1.0", [], True),
        ("1.1", [], False),
        ("1.1", ["Host: x", "Host: x"], False),
        ("1.1", ["Host: x", "hOST: y"], False),
        ("1.0", ["Host: x", "Host: y"], False),
        ("1.1", ["Host: x/y"], False),
        ("1.1", ["Host: x, y"], False),
        ("1.1", ["Host: user@x"], False),
        ("1.1", ["Host: x", CHUNKS], True),
        ("1.1", ["Host: x", "transfer-encoding:  Chunked "], True),
        ("1.1", ["Host: x", "Transfer-Encoding: gzip, chunked"], False),
        ("1.1", ["Host: x", "Transfer-Encoding: gzip"], False),
        ("1.1", ["Host: x", "Transfer-Encoding: identity"], False),
        ("1.1", ["Host: x", "Transfer-Encoding: chunked, chunked"], False),
        ("1.1", ["Host: x", CHUNKS, CHUNKS], False),
        ("1.1", ["Host: x", "Transfer-Encoding: gzip", CHUNKS], False),
        ("1.1", ["Host: x", "Content-Length: 5", CHUNKS], False),
        ("1.1", ["Host: x", "Content-Length: 5", "Content-Length: 6"], False),
        ("1.0", ["Host: x", CHUNKS], False),
    ],
)
def test_a_head_has_one_host_and_one_framing(version: str, lines: list[str], served: bool) -> None:
    """Others get 400 `malformed_request`, and the application never sees them."""
    head = "\r\n".join([f"POST / HTTP/{version}", *lines, "", ""]).encode()
    ends = b"0\r\n\r\n" if "chunked" in head.decode().lower() else b""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            await client.send(head + ends)
            if served:
                assert await client.answer() == (200, b"/ 0")
            else:
                assert await client.refusal() == (400, "malformed_request")
                assert app.begun == []

    on_wire(scenario)


def test_a_refused_head_is_told_what_is_wrong_with_it() -> None:
    """Each refusal names the header."""
    for headers, named in (
        ([], "Host"),
        ([(b"host", b"a b")], "Host"),
        ([(b"host", b"x"), (b"transfer-encoding", b"br")], "Transfer-Encoding"),
    ):
        error = head_error("1.1", headers)
        assert error is not None
        assert named in str(error)
