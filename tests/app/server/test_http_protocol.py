"""HTTP protocol, requests: timeouts and limits of a head and of a body, to the tick and byte."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.server.limits import (
    LINGER_S,
    MAX_HEAD_BYTES,
    MAX_HEAD_LINES,
)
from tests.app.server.wire import LIMITS, TICK_S, App, Wire, on_wire, request

HEAD_S = LIMITS["head_timeout_s"]
BODY_S = LIMITS["body_timeout_s"]
KEEP_S = LIMITS["keep_alive_s"]
ANSWER_S = LIMITS["answer_timeout_s"]
PERIOD_BYTES = round(BODY_S * LIMITS["body_bytes_per_s"])


# The head


def test_a_silent_connection_is_closed_on_time_and_is_told_nothing() -> None:
    """A browser that connects ahead gets the whole head timeout, and then no answer."""

    async def scenario() -> None:
        async with Wire(App()) as wire:
            client = await wire.connect()
            await wire.pass_time(HEAD_S - TICK_S)
            assert not client.closing
            await wire.pass_time(TICK_S)
            assert await client.rest() == b""

    on_wire(scenario)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.integers(0, 39), st.booleans())
def test_a_head_has_one_deadline_however_it_is_cut(
    pauses: Sequence[int], first: int, blank: bool
) -> None:
    """It is served if its last byte came before the deadline, and a 408 if not."""
    data = (b"\r\n" if blank else b"") + request("/", body=b"")
    cuts = sorted({*range(first + 1, len(data), max(1, (len(data) - first) // len(pauses)))})
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    async def scenario() -> None:
        async with Wire(App()) as wire:
            client = await wire.connect()
            passed = 0.0
            for number, piece in enumerate(pieces):
                await client.send(piece)
                if number == len(pieces) - 1:
                    break
                pause = pauses[number % len(pauses)] * TICK_S
                await wire.pass_time(pause)
                passed += pause
                if passed >= HEAD_S:
                    assert await client.refusal() == (408, "request_timeout")
                    return
            assert await client.answer() == (200, b"/ 0")

    on_wire(scenario)


@pytest.mark.parametrize(("lines", "status"), [(MAX_HEAD_LINES, 200), (MAX_HEAD_LINES + 1, 431)])
def test_a_head_may_have_just_so_many_lines(lines: int, status: int) -> None:
    """The limit itself is let in, one line more is not."""

    async def scenario() -> None:
        async with Wire(App()) as wire:
            client = await wire.connect()
            own = 2  # Host and Content-Length
            await client.send(request("/", *["A: b"] * (lines - own), body=b""))
            assert (await client.answer())[0] == status

    on_wire(scenario)


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 431)])
def test_a_head_may_have_just_so_many_bytes(over: int, status: int) -> None:
    """Target, names, values and separators count; the limit itself is let in."""

    async def scenario() -> None:
        async with Wire(App()) as wire:
            client = await wire.connect()
            counted = len("/") + len("Hostx") + 4 + len("Content-Length0") + 4
            value = "v" * (MAX_HEAD_BYTES + over - counted - len("A") - 4)
            await client.send(request("/", f"A: {value}", body=b""))
            assert (await client.answer())[0] == status

    on_wire(scenario)


def test_a_line_without_an_end_is_refused_before_it_has_one() -> None:
    """The parser shows whole lines only, so bytes are counted before it shows any."""

    async def scenario() -> None:
        async with Wire(App()) as wire:
            client = await wire.connect()
            await client.send(b"POST / HTTP/1.1\r\nA: ")
            for _ in range(MAX_HEAD_BYTES // 8192 + 1):
                await client.send(b"b" * 8192)
            assert await client.refusal() == (431, "head_too_large")

    on_wire(scenario)


def test_names_behind_a_body_never_become_headers() -> None:
    """A trailer has been seen by no check of the request, so the application does not see it."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            await client.send(request("/wait", "Transfer-Encoding: chunked"))
            await client.send(b"2\r\nab\r\n0\r\nAuthorization: x\r\n\r\n")
            app.go.set()
            assert await client.answer() == (200, b"/wait 2")
            assert b"authorization" not in app.headers
            assert b"transfer-encoding" in app.headers

    on_wire(scenario)


@pytest.mark.parametrize("before", [b"0\r\nA: ", b"1;extension="], ids=["trailer", "extension"])
def test_an_endless_line_behind_the_head_is_refused_as_well(before: bytes) -> None:
    """The parser keeps an unfinished trailer in memory, so its bytes count while they come."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            await client.send(request("/", "Transfer-Encoding: chunked") + b"2\r\nab\r\n" + before)
            for _ in range(MAX_HEAD_BYTES // 8192):
                await client.send(b"b" * 8192)
            assert not client.closing
            await client.send(b"b")
            assert await client.refusal() == (431, "head_too_large")
            await wire.until(lambda: app.gone == ["/"])

    on_wire(scenario)


def test_a_body_may_come_in_pieces_much_smaller_than_their_framing() -> None:
    """Only what brings no body adds up: single bytes with long extensions are read to the end."""

    async def scenario() -> None:
        async with Wire(App()) as wire:
            client = await wire.connect()
            await client.send(request("/", "Transfer-Encoding: chunked"))
            for _ in range(4):
                await client.send(b"1;" + b"e" * (MAX_HEAD_BYTES // 2))
                await client.send(b"\r\nx")
                await client.send(b"\r\n")
            await client.send(b"0\r\n\r\n")
            assert await client.answer() == (200, b"/ 4")

    on_wire(scenario)


def test_a_request_to_upgrade_is_answered_and_ends_the_connection() -> None:
    """What would follow an upgrade is parsed by nobody, so it cannot smuggle a request in."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            upgrade = request("/", "Connection: Upgrade", "Upgrade: websocket", body=b"")
            await client.send(upgrade + request("/smuggled", body=b""))
            assert b"/ 0" in await client.rest()
            assert app.begun == ["/"]

    on_wire(scenario)


# The body


def refused_after(steps: Sequence[tuple[int, int]]) -> int | None:
    """The model of a body's speed: the tick at which it is refused; bytes come before each pause.

    Each whole period, from the head on, must bring its bytes.
    """
    period = round(BODY_S / TICK_S)
    tick = received = 0
    for size, pause in steps:
        received += size
        for _ in range(pause):
            tick += 1
            if tick % period == 0:
                if received < PERIOD_BYTES:
                    return tick
                received = 0
    return None


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 30, 50, 99, 100, 150]), st.integers(0, 6)), max_size=10
    )
)
def test_a_body_is_refused_exactly_when_a_period_brings_too_little(
    steps: list[tuple[int, int]],
) -> None:
    """The speed counts in every period by itself, and the refusal comes when the period ends."""
    total = sum(size for size, _ in steps) + 1

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            await client.send(request("/", f"Content-Length: {total}"))
            goal = refused_after(steps)
            tick = 0
            for size, pause in steps:
                if size:
                    await client.send(b"x" * size)
                for _ in range(pause):
                    tick += 1
                    await wire.pass_time(TICK_S)
                    if tick == goal:
                        assert await client.refusal() == (408, "request_timeout")
                        await wire.until(lambda: app.gone == ["/"])
                        return
            await client.send(b"x")
            assert await client.answer() == (200, b"/ %d" % total)

    on_wire(scenario)


def test_a_handler_that_takes_an_hour_is_not_the_clients_fault() -> None:
    """No clock of the client's runs while the server works."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            await client.send(request("/wait", body=b"ab"))
            await wire.pass_time(100)
            app.go.set()
            assert await client.answer() == (200, b"/wait 2")

    on_wire(scenario)


def test_a_body_that_is_not_read_yet_is_not_slow() -> None:
    """While the server does not read the client's time stands still; then a new period begins."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            size = 4 << 20
            sending = asyncio.ensure_future(
                asyncio.get_running_loop().sock_sendall(
                    client.socket, request("/wait", body=b"x" * size)
                )
            )
            await wire.until(lambda: client.protocol.flow.read_paused)
            await wire.pass_time(20 * BODY_S)
            assert not client.closing
            app.go.set()
            await sending
            assert await client.answer() == (200, b"/wait %d" % size)

    on_wire(scenario)


def test_the_time_of_a_client_that_expects_a_100_begins_with_it() -> None:
    """With `Expect: 100-continue` the body's clock starts when the application wants it."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            await client.send(request("/wait", "Expect: 100-continue", "Content-Length: 2"))
            await wire.pass_time(10 * BODY_S)
            app.go.set()
            told = await asyncio.get_running_loop().sock_recv(client.socket, 100)
            assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(b"ab")
            assert await client.answer() == (200, b"/wait 2")

    on_wire(scenario)


def test_a_client_that_leaves_is_reported_to_the_request_in_work() -> None:
    """The application hears of it at its next read, and its answer goes nowhere."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            await client.send(request("/half", "Content-Length: 9") + b"half")
            client.socket.close()
            await wire.until(lambda: app.gone == ["/half"])

    on_wire(scenario)


def test_a_client_that_leaves_is_reported_although_it_has_sent_more_ahead() -> None:
    """The request in work hears of it, not only the last one that has come."""

    async def scenario() -> None:
        app = App()
        async with Wire(app) as wire:
            client = await wire.connect()
            await client.send(request("/listen", body=b"") + request("/behind", body=b""))
            client.socket.close()
            await wire.until(lambda: app.gone == ["/listen"])
            assert app.begun == ["/listen"]

    on_wire(scenario)


def test_an_early_answer_leaves_a_moment_to_finish_and_no_more() -> None:
    """A client that reads its answer before it has sent all may end soon, and go on after that."""

    async def scenario() -> None:
        async with Wire(App(), keep_alive_s=1) as wire:
            client, other = await wire.connect(), await wire.connect()
            for each in (client, other):
                await each.send(request("/early", "Content-Length: 100") + b"x" * 10)
                assert await each.answer() == (200, b"/early 0")
            await wire.pass_time(LINGER_S - TICK_S)
            await client.send(b"x" * 90 + request("/", body=b"abc"))
            assert await client.answer() == (200, b"/ 3")
            await wire.pass_time(TICK_S)
            assert await other.rest() == b""

    on_wire(scenario)
