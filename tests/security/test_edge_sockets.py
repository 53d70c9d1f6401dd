"""Slow clients: the edge against those that speak HTTP slowly, endlessly or not at all.

Raw sockets and the machine's own clock: a timeout that has to pass is short, every other one is
long enough for a machine that is busy. Who is fast enough, to the tick and byte, is tested with a
clock that the test moves, in tests/app/server/test_http_protocol.py.
"""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from queue import Queue
from typing import Any

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from app.server.listener import bind, server_config
from app.settings import Settings

HOST = b"Host: x\r\n"
SHORT_S = 0.6
LONG_S = 120
BIG = 24 << 20


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body unless it is told better, and answers with its length."""
    if scope["type"] != "http":
        return
    length, gone = 0, False
    if scope["path"] == "/slow":
        await asyncio.sleep(2.5 * SHORT_S)
    if scope["path"] == "/held":
        HELD.put(None)
        await asyncio.to_thread(GO.wait, LONG_S)
    while scope["path"] != "/early":
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            gone = True
            break
        length += len(message["body"])
        if scope["path"] == "/sluggish":
            await asyncio.sleep(SHORT_S / 3)
        if not message["more_body"]:
            break
    if gone:
        GONE.put(scope["path"])
        return
    answer = b"x" * BIG if scope["path"] == "/big" else b"%d" % length
    if scope["path"] == "/headers":
        answer = b"%d" % len(scope["headers"])
    declared = [(b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": declared})
    await send({"type": "http.response.body", "body": answer, "more_body": True})
    await send({"type": "http.response.body"})  # waits until the answer is taken, or cut
    SENT.put(scope["path"])


GONE: Queue[str] = Queue()
HELD: Queue[None] = Queue()
SENT: Queue[str] = Queue()
GO = threading.Event()
Connect = Callable[[], socket.socket]


@contextmanager
def serving(**choices: Any) -> Iterator[Connect]:
    """A real server in a thread; only the timeouts that a test names end within its time."""
    deadlines: dict[str, Any] = {
        "head_timeout_s": LONG_S,
        "body_timeout_s": LONG_S,
        "answer_timeout_s": LONG_S,
        "keep_alive_s": LONG_S,
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
        client.settimeout(LONG_S)
        return client

    try:
        yield connect
    finally:
        server.should_exit = True
        thread.join(LONG_S)
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


def wait_until_closed(client: socket.socket) -> None:
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass


def drip_until_answered(client: socket.socket, drops: bytes) -> None:
    """Send `drops` over and over, a byte at a time, until the other side says something."""
    for position in range(20 * LONG_S):
        client.sendall(drops[position % len(drops) :][:1])
        if select.select([client], [], [], SHORT_S / 10)[0]:
            return
    raise AssertionError("the drops bought time")


def bytes_until_cut(client: socket.socket, piece: bytes, pause_s: float = 0.0) -> int:
    """Send without end; how much went out before the other side had enough."""
    sent = 0
    while True:
        try:
            sent += client.send(piece)
        except (ConnectionResetError, BrokenPipeError):
            return sent
        time.sleep(pause_s)


def test_a_silent_connection_is_closed() -> None:
    """Nobody holds a place by saying nothing; browsers that connect ahead are told nothing."""
    with serving(head_timeout_s=SHORT_S) as connect:
        began = time.monotonic()
        with connect() as client:
            assert client.recv(10) == b""
        assert time.monotonic() - began > 0.9 * SHORT_S


@pytest.mark.parametrize("drops", [b"GET / HTTP", b"\r\n"])
def test_a_head_in_drops_has_one_deadline(drops: bytes) -> None:
    """Every further byte, even of nothing but line breaks, buys no more time."""
    with serving(head_timeout_s=SHORT_S) as connect, connect() as client:
        drip_until_answered(client, drops)
        assert_refused(client, 408, "request_timeout")


@pytest.fixture(scope="module")
def brief() -> Iterator[Connect]:
    """Connects to a server that does not wait long for a body."""
    with serving(body_timeout_s=SHORT_S) as connecting:
        yield connecting


def test_a_silent_body_is_a_408(brief: Connect) -> None:
    """What was promised and does not come is not waited for, and the application hears so."""
    with brief() as client:
        client.sendall(request("/silent", "Content-Length: 5000") + b"half")
        assert_refused(client, 408, "request_timeout")
    assert GONE.get(timeout=LONG_S) == "/silent"


def test_a_body_in_drops_is_a_408(brief: Connect) -> None:
    """The rate counts, and 20 bytes a second are too few."""
    with brief() as client:
        client.sendall(request("/", "Content-Length: 5000"))
        drip_until_answered(client, b"x")
        assert_refused(client, 408, "request_timeout")
    assert GONE.get(timeout=LONG_S) == "/"


def test_a_burst_does_not_buy_a_trickle(brief: Connect) -> None:
    """The rate is that of the last period: over a minute the burst alone would be enough."""
    with brief() as client:
        began = time.monotonic()
        client.sendall(request("/", "Content-Length: 100000") + b"x" * 60_000)
        drip_until_answered(client, b"x")
        assert_refused(client, 408, "request_timeout")
        assert time.monotonic() - began < 60_000 / 1000
    assert GONE.get(timeout=LONG_S) == "/"


def test_a_handler_may_take_its_time(brief: Connect) -> None:
    """The clock stands while it is the server's turn: in the handler, and on a body unread."""
    with brief() as client, brief() as pressing:
        client.sendall(request("/slow", "Content-Length: 2") + b"ok")
        body = b"x" * 500_000
        pressing.sendall(request("/sluggish", f"Content-Length: {len(body)}") + body)
        assert read_answer(client)[::2] == (200, b"2")
        assert read_answer(pressing)[::2] == (200, b"500000")


def test_a_reader_that_reads_nothing_is_cut() -> None:
    """What the buffers on the way take does not count as read."""
    with serving(answer_timeout_s=SHORT_S) as connect, connect() as stubborn:
        stubborn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        stubborn.sendall(request("/big", "Content-Length: 0"))
        while SENT.get(timeout=LONG_S) != "/big":  # those of the tests before
            pass
        with pytest.raises(AssertionError, match="half an answer"):
            read_answer(stubborn)


def test_an_early_answer_ends_a_body_that_nobody_reads(connect: Connect) -> None:
    """The client sees the answer, and may finish and go on."""
    with connect() as client:
        client.sendall(request("/early", "Content-Length: 200000") + b"x" * 1000)
        assert read_answer(client)[0] == 200
        client.sendall(b"x" * 199_000 + request("/", "Content-Length: 0"))
        assert read_answer(client)[0] == 200


def test_after_an_early_answer_nobody_sends_for_ever() -> None:
    """The answer that has been sent does not make the rest of the body free."""
    with serving(body_timeout_s=SHORT_S, keep_alive_s=SHORT_S) as connect, connect() as client:
        client.sendall(request("/early", "Content-Length: 99999999"))
        assert read_answer(client)[0] == 200
        assert bytes_until_cut(client, b"x" * 100, pause_s=SHORT_S / 10) < 99_999_999


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


def test_keep_alive_serves_again(connect: Connect) -> None:
    """Five requests on one connection."""
    with connect() as client:
        for _ in range(5):
            client.sendall(request("/", "Content-Length: 1") + b"x")
            assert read_answer(client)[::2] == (200, b"1")


def test_keep_alive_ends_in_silence() -> None:
    """After its answer a connection is kept for a while, and closed then."""
    with serving(keep_alive_s=SHORT_S) as connect, connect() as client:
        began = time.monotonic()
        client.sendall(request("/", "Content-Length: 1") + b"x")
        assert read_answer(client)[::2] == (200, b"1")
        wait_until_closed(client)
        assert time.monotonic() - began > 0.9 * SHORT_S


def test_silent_connections_starve_nobody() -> None:
    """All places are taken by the silent; whoever asks is served, on a place of theirs."""
    with serving(max_connections=8) as connect:
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
            client.sendall(request("/held", "Content-Length: 0"))
        for _ in busy:
            HELD.get(timeout=LONG_S)
        with connect() as client:
            client.sendall(request("/slow", "Content-Length: 0"))  # a probe would be answered
            headers = assert_refused(client, 503, "too_many_connections")
            assert headers["retry-after"] == "1"
        GO.set()
        for client in busy:
            assert read_answer(client)[0] == 200
            client.close()
