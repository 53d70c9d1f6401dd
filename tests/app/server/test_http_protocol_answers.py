"""HTTP protocol, answers: their order, clients that do not take them, and the connection limit."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.server.limits import (
    LINGER_BYTES,
    LINGER_S,
    MAX_LINGERING,
    MAX_PIPELINED,
    PROBE_CONNECTIONS,
)
from tests.app.server.wire import LIMITS, TICK_S, App, Client, Wire, on_wire, request

HEAD_S = LIMITS["head_timeout_s"]
BODY_S = LIMITS["body_timeout_s"]
KEEP_S = LIMITS["keep_alive_s"]
ANSWER_S = LIMITS["answer_timeout_s"]
PERIOD_BYTES = round(BODY_S * LIMITS["body_bytes_per_s"])


@settings(max_examples=40)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=12), st.integers(1, 400), st.booleans())
def test_requests_sent_ahead_are_answered_in_order_however_they_are_cut(
    sizes: list[int], step: int, chunked: bool
) -> None:
    """The bytes' borders mean nothing: each request gets its own answer, in turn."""
    data = b""
    for number, size in enumerate(sizes):
        if chunked and number % 2:
            framed = (b"%x\r\n%b\r\n" % (size, b"y" * size) if size else b"") + b"0\r\n\r\n"
            data += request(f"/{number}", "Transfer-Encoding: chunked") + framed
        else:
            data += request(f"/{number}", body=b"x" * size)

    async def scenario() -> None:
        async with Wire(App()) as wire:
            client = await wire.connect()
            for start in range(0, len(data), step):
                await asyncio.get_running_loop().sock_sendall(
                    client.socket, data[start : start + step]
                )
            answers = [await client.answer() for _ in sizes]
            assert answers == [(200, b"/%d %d" % pair) for pair in enumerate(sizes)]
            assert not client.closing

    on_wire(scenario)


@pytest.mark.parametrize("over", [0, 1])
def test_only_so_many_requests_may_wait_on_one_connection(over: int) -> None:
    """One in work and the limit behind it are answered; one more is told so after them."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            count = 1 + MAX_PIPELINED + over
            await client.send(request("/wait", body=b"") * count)
            app.go.set()
            answered = [(await client.answer())[0] for _ in range(count - over)]
            assert answered == [200] * (1 + MAX_PIPELINED)
            if over:
                assert await client.refusal() == (503, "too_many_connections")
            else:
                assert not client.closing

    on_wire(scenario)


def test_a_refusal_waits_for_the_answers_before_it() -> None:
    """Two good requests are answered before the problem, although what follows is no HTTP."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            asked = request("/wait1", body=b"a") + request("/wait2", body=b"bc")
            await client.send(asked + b"\x16\x03\x01\r\n\r\n")
            app.go.set()
            assert [await client.answer() for _ in range(2)] == [
                (200, b"/wait1 1"),
                (200, b"/wait2 2"),
            ]
            assert await client.refusal() == (400, "malformed_request")

    on_wire(scenario)


def test_a_body_refused_behind_another_request_never_reaches_the_application() -> None:
    """Its time ends while it waits in the pipeline, and the answer before it is still sent."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            await client.send(request("/listen", body=b"") + request("/late", "Content-Length: 5"))
            await wire.pass_time(BODY_S)
            app.go.set()
            assert await client.answer() == (200, b"/listen 0")
            assert await client.refusal() == (408, "request_timeout")
            assert app.begun == ["/listen"]

    on_wire(scenario)


def test_a_connection_is_kept_for_a_while_after_each_answer() -> None:
    """The time starts anew with every answer, and ends the connection to the tick."""

    async def scenario() -> None:
        async with Wire(App(), head_timeout_s=60) as wire:
            client = await wire.connect()
            for _ in range(3):
                await client.send(request("/", body=b"a"))
                assert await client.answer() == (200, b"/ 1")
                await wire.pass_time(KEEP_S - TICK_S)
                assert not client.closing
            await wire.pass_time(TICK_S)
            assert await client.rest() == b""

    on_wire(scenario)


# The answer


@pytest.mark.parametrize("line", ["Connection: keep-alive", "Connection: close"])
def test_an_answer_that_nobody_takes_is_cut_and_a_slow_reader_is_not(line: str) -> None:
    """Any byte acknowledged within each timeout is enough, and none is cut, kept alive or not."""

    async def scenario() -> None:
        async with Wire(App(), keep_alive_s=60) as wire:
            client = await wire.connect(buffer_bytes=1 << 16)
            await client.send(request("/big", line, body=b""))
            buffered = client.protocol.transport.get_write_buffer_size
            await wire.until(lambda: buffered() > 0)
            for _ in range(3):
                goal = client.protocol._taken() + 1
                assert await client.take(1 << 18) >= 1 << 18
                while client.protocol._taken() < goal:
                    await wire.settle()
                await wire.pass_time(ANSWER_S)
                assert buffered() > 0
            await wire.pass_time(ANSWER_S)
            assert buffered() == 0
            assert client.closing

    on_wire(scenario)


# The connection limit


def test_at_the_limit_the_longest_silent_connection_is_closed() -> None:
    """The new connection is served, and no request is lost."""

    async def scenario() -> None:
        app = App()
        async with Wire(app, max_connections=3, head_timeout_s=60) as wire:
            busy, old, young = [await wire.connect() for _ in range(3)]
            await busy.send(request("/wait", body=b""))
            newcomer = await wire.connect()
            assert (old.closing, young.closing, busy.closing) == (True, False, False)
            await newcomer.send(request("/", body=b""))
            assert await newcomer.answer() == (200, b"/ 0")
            app.go.set()
            assert await busy.answer() == (200, b"/wait 0")

    on_wire(scenario)


def test_a_new_connection_is_refused_while_all_others_are_at_work() -> None:
    """Its request gets a problem, and its client a moment to read it."""

    async def scenario() -> None:
        app = App()
        async with Wire(app, max_connections=2) as wire:
            await occupy(wire, 2)
            refused = await wire.connect()
            await refused.send(request("/", body=b""))
            assert await refused.refusal() == (503, "too_many_connections")
            await wire.pass_time(LINGER_S - TICK_S)
            assert not refused.closing
            await wire.pass_time(TICK_S)
            assert refused.closing
            assert app.begun == ["/wait", "/wait"]

    on_wire(scenario)


async def occupy(wire: Wire, count: int) -> None:
    """So many connections that each have a request at work."""
    for client in [await wire.connect() for _ in range(count)]:
        await client.send(request("/wait", body=b""))


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
@pytest.mark.parametrize("path", ["/livez", "/readyz?x=1"])
def test_a_health_check_is_answered_beyond_the_limit(limit: str, path: str) -> None:
    """Once a connection; however many silent ones are opened for it."""

    async def scenario() -> None:
        async with Wire(App(), **{limit: 2}) as wire:
            await occupy(wire, 2)
            silent = [await wire.connect() for _ in range(PROBE_CONNECTIONS + 2)]
            assert [client.closing for client in silent[:3]] == [True, True, False]
            probe = await wire.connect()
            await probe.send(request(path, body=b""))
            assert (await probe.answer())[0] == 200
            assert await probe.rest() == b""

    on_wire(scenario)


def test_one_address_has_only_so_many_connections() -> None:
    """Another address is served, and silent connections of others are left alone."""

    async def scenario() -> None:
        async with Wire(App(), max_connections_per_address=2, head_timeout_s=60) as wire:
            other = await wire.connect(source="127.0.0.2")
            await occupy(wire, 2)
            refused = await wire.connect()
            await refused.send(request("/", body=b""))
            assert await refused.refusal() == (503, "too_many_connections")
            assert not other.closing
            await other.send(request("/", body=b""))
            assert await other.answer() == (200, b"/ 0")

    on_wire(scenario)


def test_a_connection_that_ends_makes_room_for_the_next_of_its_address() -> None:
    async def scenario() -> None:
        async with Wire(App(), max_connections_per_address=1) as wire:
            for _ in range(3):
                client = await wire.connect()
                await client.send(request("/", "Connection: close", body=b""))
                assert await client.answer() == (200, b"/ 0")
                client.socket.close()
                await wire.until(lambda: client.closing)  # noqa: B023
                await wire.settle()

    on_wire(scenario)


def test_an_answer_that_is_taken_too_slowly_is_cut() -> None:
    """A few bytes in each timeout would hold the connection for ever."""

    async def scenario() -> None:
        async with Wire(App(), answer_bytes_per_s=1 << 20) as wire:
            client = await wire.connect(buffer_bytes=1 << 16)
            await client.send(request("/big", body=b""))
            buffered = client.protocol.transport.get_write_buffer_size
            await wire.until(lambda: buffered() > 0)
            for _ in range(3 * round(ANSWER_S)):
                if not client.closing:
                    await client.take(1 << 14)
                    await wire.pass_time(1.0)
            assert client.closing

    on_wire(scenario)


def test_a_reader_that_takes_nothing_is_cut_after_the_timeout_and_not_twice_that() -> None:
    """What the buffers of two sockets still take at the beginning is not reading."""

    async def scenario() -> None:
        async with Wire(App(), keep_alive_s=60) as wire:
            client = await wire.connect()
            await client.send(request("/big", body=b""))
            await wire.until(lambda: client.protocol.transport.get_write_buffer_size() > 0)
            await wire.pass_time(ANSWER_S + 3 * TICK_S)
            assert client.closing

    on_wire(scenario)


def test_only_so_many_refused_connections_linger() -> None:
    """Beyond the limit a refused connection gets no answer, until another one has left."""

    async def scenario() -> None:
        async with Wire(App(), max_connections=1) as wire:
            await occupy(wire, 1)
            lingering = [await refuse(wire) for _ in range(MAX_LINGERING)]
            assert not any(client.closing for client in lingering)
            assert await (await refuse(wire)).rest() == b""
            assert (await lingering[0].refusal())[0] == 503
            lingering[0].socket.close()  # one that has read its answer makes room
            await wire.until(lambda: lingering[0].closing)
            assert (await (await refuse(wire)).refusal())[0] == 503

    on_wire(scenario)


async def refuse(wire: Wire) -> Client:
    """A connection too many, with its request."""
    client = await wire.connect()
    await client.send(request("/", body=b""))
    return client


def test_what_a_refused_client_still_sends_is_dropped_up_to_a_limit() -> None:
    """The limit itself is read, and one byte more ends the connection."""

    async def scenario() -> None:
        async with Wire(App()) as wire:
            client: Client = await wire.connect()
            await client.send(b"no http\r\n\r\n")
            piece = b"x" * (1 << 20)
            for _ in range(LINGER_BYTES // len(piece)):
                await client.send(piece)
            assert not client.closing
            await client.send(b"x")
            assert client.closing

    on_wire(scenario)
