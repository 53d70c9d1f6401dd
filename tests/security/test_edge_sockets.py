"""The edge against clients that speak HTTP slowly, endlessly or not at all: raw sockets only."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from app.server.listener import bind, server_config
from app.settings import Settings

HOST = b"Host: x\r\n"
BODY_S = 0.6
HEAD_S = 0.6
BIG = 24 << 20


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body unless it is told better, and answers with its length."""
    if scope["type"] != "http":
        return
    length, gone = 0, False
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5)
    while scope["path"] != "/early":
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            gone = True
            break
        length += len(message["body"])
        if scope["path"] == "/sluggish":
            await asyncio.sleep(0.2)
        if not message["more_body"]:
            break
    if gone:
        GONE.append(scope["path"])
        return
    answer = b"x" * BIG if scope["path"] == "/big" else b"%d" % length
    if scope["path"] == "/headers":
        answer = b"%d" % len(scope["headers"])
    declared = [(b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": declared})
    await send({"type": "http.response.body", "body": answer})


GONE: list[str] = []
Connect = Callable[[], socket.socket]


@contextmanager
def serving(**choices: Any) -> Iterator[Connect]:
    """A real server in a thread, with deadlines of fractions of a second."""
    deadlines: dict[str, Any] = {
        "head_timeout_s": HEAD_S,
        "body_timeout_s": BODY_S,
        "answer_timeout_s": 0.6,
        "keep_alive_s": 1.2,
        "body_bytes_per_s": 1000,
        "shutdown_grace_s": 1,
    }
    settings = Settings(**{**deadlines, **choices})
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(server_config(app, settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.005)
    address = listener.getsockname()

    def connect() -> socket.socket:
        client = socket.create_connection(address)
        client.settimeout(10)
        return client

    try:
        yield connect
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def connect() -> Iterator[Connect]:
    with serving() as connecting:
        yield connecting


def request(path: str = "/", *lines: str, method: str = "POST") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: x", *lines]
    return "\r\n".join([*head, "", ""]).encode()


def read_answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One response: status, headers, body by its declared length."""
    buffer = b""
    while b"\r\n\r\n" not in buffer:
        piece = client.recv(65536)
        assert piece, f"closed after {buffer!r}"
        buffer += piece
    head, _, body = buffer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {
        name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)
    }
    while len(body) < int(headers.get("content-length", 0)):
        piece = client.recv(65536)
        if not piece:
            raise AssertionError("half an answer")
        body += piece
    return int(first.split()[1]), headers, body


def assert_refused(client: socket.socket, status: int, code: str) -> dict[str, str]:
    """The problem that ends a connection, and its end."""
    answered, headers, body = read_answer(client)
    problem = json.loads(body)
    assert (answered, problem["code"], problem["status"]) == (status, code, status)
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == problem["request_id"]
    assert headers["connection"] == "close"
    assert client.recv(10) == b""
    return headers


def seconds_until_closed(client: socket.socket) -> float:
    began = time.monotonic()
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - began


def bytes_until_cut(client: socket.socket, piece: bytes, pause_s: float = 0.0) -> int:
    """Send without end; how much went out before the other side had enough."""
    sent = 0
    while True:
        try:
            sent += client.send(piece)
        except (ConnectionResetError, BrokenPipeError):
            return sent
        time.sleep(pause_s)


def test_a_silent_connection_is_closed(connect: Connect) -> None:
    """Nobody holds a place by saying nothing; browsers that connect ahead are told nothing."""
    with connect() as client:
        began = time.monotonic()
        assert client.recv(10) == b""
        assert HEAD_S * 0.9 < time.monotonic() - began < HEAD_S + 1


@pytest.mark.parametrize("drops", [b"GET / HT", b"\r\n\r\n\r\n\r\n"])
def test_a_head_in_drops_has_one_deadline(connect: Connect, drops: bytes) -> None:
    """Every further byte, even of nothing but line breaks, buys no more time."""
    with connect() as client:
        began = time.monotonic()
        for position in range(len(drops)):
            client.sendall(drops[position : position + 1])
            time.sleep(HEAD_S / 10)
        assert_refused(client, 408, "request_timeout")
        assert time.monotonic() - began < HEAD_S + 1


def test_a_silent_body_is_a_408(connect: Connect) -> None:
    """What was promised and does not come is not waited for, and the application hears so."""
    GONE.clear()
    with connect() as client:
        client.sendall(request("/", "Content-Length: 5000") + b"half")
        assert_refused(client, 408, "request_timeout")
    deadline = time.monotonic() + 120
    while not GONE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert GONE == ["/"]


def test_a_body_in_drops_is_a_408_and_a_steady_one_is_not(connect: Connect) -> None:
    """The rate counts: 20 bytes a second are too few, 4 kB a second are enough."""
    with connect() as slow, connect() as steady:
        slow.sendall(request("/", "Content-Length: 5000"))
        steady.sendall(request("/", "Content-Length: 8000"))
        for step in range(20):
            if step < 10:
                slow.send(b"x")
            steady.sendall(b"x" * 400)
            time.sleep(0.1)
        assert_refused(slow, 408, "request_timeout")
        assert read_answer(steady)[::2] == (200, b"8000")


def test_a_burst_does_not_buy_a_trickle(connect: Connect) -> None:
    """The rate is that of the last period, not the average over everything."""
    with connect() as client:
        client.sendall(request("/", "Content-Length: 100000") + b"x" * 60_000)
        began = time.monotonic()
        assert_refused(client, 408, "request_timeout")
        assert time.monotonic() - began < 2 * BODY_S + 1


def test_a_handler_may_take_its_time(connect: Connect) -> None:
    """The clock stands while it is the server's turn: in the handler, and on a body unread."""
    with connect() as client, connect() as pressing:
        client.sendall(request("/slow", "Content-Length: 2") + b"ok")
        body = b"x" * 500_000
        pressing.sendall(request("/sluggish", f"Content-Length: {len(body)}") + body)
        assert read_answer(client)[::2] == (200, b"2")
        assert read_answer(pressing)[::2] == (200, b"500000")


def test_a_slow_reader_is_left_alone_and_one_that_reads_nothing_is_cut(connect: Connect) -> None:
    """What counts is whether bytes are taken, not whether the buffers have room again."""
    with connect() as reader, connect() as stubborn:
        for client in (reader, stubborn):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            client.sendall(request("/big", "Content-Length: 0"))
        began = time.monotonic()
        taken = 0
        while time.monotonic() - began < 2.2:
            taken += len(reader.recv(1 << 17))
            time.sleep(0.1)
        while piece := reader.recv(1 << 20):
            taken += len(piece)
            if taken > BIG:
                break
        assert taken > BIG
        with pytest.raises(AssertionError, match="half an answer"):
            read_answer(stubborn)


def test_an_early_answer_ends_a_body_that_nobody_reads(connect: Connect) -> None:
    """The client sees the answer, may finish soon and go on, but cannot go on for ever."""
    with connect() as client:
        client.sendall(request("/early", "Content-Length: 200000") + b"x" * 1000)
        assert read_answer(client)[0] == 200
        client.sendall(b"x" * 199_000 + request("/", "Content-Length: 0"))
        assert read_answer(client)[0] == 200
    with connect() as client:
        client.sendall(request("/early", "Content-Length: 99999999"))
        assert read_answer(client)[0] == 200
        assert bytes_until_cut(client, b"x" * 100, pause_s=0.05) < 10_000


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(request("/" + "a" * 70_000, method="GET"), id="target"),
        pytest.param(request("/", "A: " + "b" * 70_000, method="GET"), id="value"),
        pytest.param(request("/", "b" * 70_000 + ": a", method="GET"), id="name"),
        pytest.param(request("/", *["A: b"] * 101, method="GET"), id="lines"),
        pytest.param(
            request("/", "Transfer-Encoding: chunked") + b"0\r\n" + b"A: b\r\n" * 101, id="trailers"
        ),
    ],
)
def test_a_head_too_large_is_a_431(connect: Connect, head: bytes) -> None:
    """In bytes as in lines, in every part of it, before and behind the body."""
    with connect() as client:
        client.sendall(head)
        assert_refused(client, 431, "head_too_large")


def test_an_endless_line_is_cut_while_it_comes(connect: Connect) -> None:
    """The parser shows a line when it is whole; nobody waits for that."""
    with connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nA: ")
        assert bytes_until_cut(client, b"b" * 65536) < 64 << 20


def test_a_large_but_fair_head_passes(connect: Connect) -> None:
    """60 KiB in 99 lines, in small pieces."""
    lines = [f"A{number}: {'b' * 600}" for number in range(98)]
    head = request("/headers", *lines, method="GET")
    assert len(head) > 59_000
    with connect() as client:
        for start in range(0, len(head), 7000):
            client.sendall(head[start : start + 7000])
            time.sleep(0.01)
        assert read_answer(client)[::2] == (200, b"99")


def test_trailers_do_not_become_headers(connect: Connect) -> None:
    """What stands behind a body has been seen by no gate."""
    with connect() as client:
        client.sendall(
            request("/headers", "Transfer-Encoding: chunked")
            + b"3\r\nabc\r\n0\r\nAuthorization: secret\r\n\r\n"
        )
        assert read_answer(client)[::2] == (200, b"2")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_400(connect: Connect, garbage: bytes) -> None:
    """Also the pairs of lengths that two parsers would read in two ways."""
    with connect() as client:
        client.sendall(garbage)
        assert_refused(client, 400, "malformed_request")


def test_expect_continue_waits_for_the_application(connect: Connect) -> None:
    """The body is asked for when it is wanted, and the clock runs from there."""
    head = request("/slow", "Content-Length: 2", "Expect: 100-continue")
    with connect() as client:
        client.sendall(head)
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ok")
        assert read_answer(client)[::2] == (200, b"2")


def test_pipelined_requests_are_answered_in_order(connect: Connect) -> None:
    """Chunked or not, and a refusal waits for its turn."""
    with connect() as client:
        client.sendall(
            request("/slow", "Content-Length: 3")
            + b"abc"
            + request("/", "Transfer-Encoding: chunked")
            + b"4\r\nabcd\r\n0\r\n\r\n"
            + b"not http\r\n\r\n"
        )
        buffer = b""
        while piece := client.recv(65536):
            buffer += piece
        first, second, third = buffer.split(b"HTTP/1.1 ")[1:]
        assert (first[:3], first[-1:], second[:3], second[-1:]) == (b"200", b"3", b"200", b"4")
        assert third.startswith(b"400")


def test_requests_sent_far_ahead_are_refused(connect: Connect) -> None:
    """A thousand requests in one packet are not a thousand requests in memory."""
    with connect() as client:
        client.sendall(request("/", "Content-Length: 0") * 1000)
        with closing(client.makefile("rb")) as answers:
            buffer = answers.read()
        assert buffer.count(b"HTTP/1.1 200") <= 18
        assert b"HTTP/1.1 503" in buffer


def test_keep_alive_serves_again_and_ends(connect: Connect) -> None:
    """Five requests on one connection, then silence."""
    with connect() as client:
        for _ in range(5):
            client.sendall(request("/", "Content-Length: 1") + b"x")
            assert read_answer(client)[::2] == (200, b"1")
        assert 0.8 < seconds_until_closed(client) < 3


def test_silent_connections_starve_nobody() -> None:
    """All places are taken by the silent; whoever asks is served, on a place of theirs."""
    with serving(max_connections=8, head_timeout_s=30) as connect:
        silent = [connect() for _ in range(20)]
        for _ in range(3):
            with connect() as client:
                client.sendall(request("/", "Content-Length: 1") + b"x")
                assert read_answer(client)[0] == 200
        for client in silent:
            client.close()


def test_a_full_house_says_so() -> None:
    """Every place has a request in work: the next one is told when to come again."""
    with serving(max_connections=4) as connect:
        busy = [connect() for _ in range(4)]
        for client in busy:
            client.sendall(request("/slow", "Content-Length: 0"))
        time.sleep(0.2)
        with connect() as client:
            client.sendall(request("/slow", "Content-Length: 0"))  # a probe would be answered
            headers = assert_refused(client, 503, "too_many_connections")
            assert headers["retry-after"] == "1"
        for client in busy:
            assert read_answer(client)[0] == 200
            client.close()
