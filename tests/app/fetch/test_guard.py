"""Where connections go: to checked addresses of one answer of the resolver, or nowhere."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence

import anyio
import pytest

from app.fetch.errors import UrlNotAllowed, UrlTooSlow, UrlUnreachable
from app.fetch.guard import GuardedNetwork, Pace, resolve
from app.fetch.rules import UrlRules
from tests.app.fetch.origin import Origin, serving

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as origin:
        yield origin


def answering(*addresses: str) -> Resolver:
    """A resolver with one answer to everything."""

    async def answer(host: str, port: int) -> Sequence[str]:
        return addresses

    return answer


def connect(resolver: Resolver, port: int, *, rules: str, connect_s: float = 5) -> str:
    """Connect to a host; returns the address that was reached."""

    async def run() -> str:
        network = GuardedNetwork(UrlRules.parse(rules), resolver, Pace(connect_s=connect_s))
        stream = await network.connect_tcp("videos.test", port)
        try:
            return stream.get_extra_info("server_addr")[0]
        finally:
            await stream.aclose()

    return anyio.run(run)


def test_the_first_address_that_answers_is_taken(origin: Origin):
    """A dead one before it costs its share of the time and nothing else."""
    rules = "public,127.0.0.0/8"
    assert connect(answering("127.0.0.1"), origin.port, rules=rules) == "127.0.0.1"
    with socket.socket() as closed:  # bound, so that nobody else listens there
        closed.bind(("127.0.0.2", origin.port))
        found = connect(answering("127.0.0.2", "127.0.0.1"), origin.port, rules=rules)
    assert found == "127.0.0.1"


@pytest.mark.parametrize(
    "answer",
    [
        ("127.0.0.1", "8.8.8.8"),
        ("8.8.8.8", "127.0.0.1"),
        ("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "::1"),
        ("127.0.0.1", "not an address"),
    ],
)
def test_an_answer_that_mixes_is_refused_whole(origin: Origin, answer: tuple[str, ...]):
    """One address that is not allowed, at whatever place: the answer is an attack."""
    with pytest.raises(UrlNotAllowed) as refused:
        connect(answering(*answer), origin.port, rules="public,127.0.0.1:1")
    assert not any(address in str(refused.value) for address in answer)
    assert origin.connections == 0


def test_a_name_without_an_answer_is_unreachable():
    """The resolver fails, or answers with nothing."""

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolver in (unknown, answering()):
        with pytest.raises(UrlUnreachable):
            connect(resolver, 80, rules="public")


def test_a_slow_resolver_is_left():
    """The time to connect begins with the name."""

    async def slow(host: str, port: int) -> Sequence[str]:
        await anyio.sleep_forever()
        return []

    with pytest.raises(UrlTooSlow):
        connect(slow, 80, rules="public", connect_s=0.1)


def test_the_systems_resolver_answers_with_addresses():
    """Each once; literals are their own answer, and without the network."""
    assert anyio.run(resolve, "127.0.0.1", 80) == ["127.0.0.1"]
    assert anyio.run(resolve, "::1", 80) == ["::1"]
    assert set(anyio.run(resolve, "localhost", 80)) <= {"127.0.0.1", "::1"}
    with pytest.raises(OSError, match=r"Name or service|Temporary failure|No address"):
        anyio.run(resolve, "0.0.0.0.0", 80)
