"""A stranger's URL never makes the service connect to what only the service can reach.

A canary listens on this machine and counts connections: it must not hear of any. It is reached by
every spelling in here when nobody stands guard, which is tested too.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from app.data_layout import DataLayout
from app.fetch.errors import FetchError, InvalidUrl, UrlNotAllowed
from app.fetch.guard import GuardedNetwork, Pace, Resolve, resolve
from app.fetch.rules import UrlRules
from app.services.ingest.url_fetch import UrlFetcher
from app.storage.composition import open_storage
from tests.app.fetch.origin import Origin, redirect, serving, whole
from tests.app.fetch.test_addresses import NOT_PUBLIC

# Texts that the system's resolver takes for this machine, without asking a name server.
LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0X7F.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "00000177.0.0.1",
    "0",
    "0.0.0.0",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "0:0:0:0:0:ffff:127.0.0.1",
    "localhost",
    "LocalHost",
    "①②⑦.⓪.⓪.①",
    "１２７.０.０.１",
    "127。0。0。1",
]


def _has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return socket.has_dualstack_ipv6()
    return False


HAS_IPV6 = _has_ipv6()


@dataclass
class Canary:
    """Somebody who must not be reached."""

    port: int
    accepted: int = 0

    @property
    def connections(self) -> int:
        """How many connections were made; one of our own flushes those not yet accepted."""
        with socket.create_connection(("127.0.0.1", self.port), 2) as own:
            own.recv(1)  # until it is closed, in the order of connecting
        self.accepted -= 1
        return self.accepted


@pytest.fixture
def canary() -> Iterator[Canary]:
    """Listens on every address of this machine, IPv4 and, where there is that, IPv6."""
    family = socket.AF_INET6 if HAS_IPV6 else socket.AF_INET
    with socket.create_server(("", 0), family=family, dualstack_ipv6=HAS_IPV6) as listening:
        canary = Canary(listening.getsockname()[1])

        def listen() -> None:
            with suppress(OSError):
                while True:
                    accepted = listening.accept()[0]
                    canary.accepted += 1
                    accepted.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield canary
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A server that the operator has listed."""
    with serving() as origin:
        yield origin


async def as_the_system_does(host: str, port: int) -> Sequence[str]:
    """The system's resolver, given texts that the service's own would not even pass on."""
    found = await anyio.to_thread.run_sync(socket.getaddrinfo, host, port)
    return [str(answer[4][0]) for answer in found]


def fetch(
    tmp_path: Path, url: str, rules: UrlRules, resolver: Resolve = resolve
) -> bytes | FetchError:
    """Fetch a URL as the service does; what came, or what it was refused with."""
    media = open_storage(DataLayout(tmp_path), writer_id="test").media
    patience = Pace(connect_s=60)
    service = UrlFetcher(
        media, rules, max_bytes=1000, timeout_s=60, resolve=resolver, pace=patience
    )
    try:
        with anyio.run(service.fetch, url, None).incoming as incoming:
            return incoming.path.read_bytes()
    except FetchError as refusal:
        return refusal


def public(*ports: int, also: str = "") -> UrlRules:
    """Every public address, on these ports too, so that not the port is what refuses."""
    rules = UrlRules.parse(f"public,{also}" if also else "public")
    return replace(rules, web_ports=rules.web_ports | set(ports))


def assert_not_allowed(found: bytes | FetchError) -> None:
    """Refused for what it is, in words that do not tell what was found there."""
    assert isinstance(found, UrlNotAllowed), found
    assert "127" not in str(found)
    assert "::" not in str(found)


def test_without_a_guard_every_spelling_reaches_the_canary(canary: Canary):
    """Else the tests below would prove nothing."""
    hosts = [host for host in [*LOOPBACK, "::1"] if HAS_IPV6 or ":" not in host]
    for number, host in enumerate(hosts, start=1):
        socket.create_connection((host, canary.port), 60).close()
        assert canary.connections == number, host


def test_no_spelling_connects(canary: Canary):
    """The guard judges the address that a text leads to, so it need not know the spellings."""
    for host in [*LOOPBACK, "::1", "::"]:
        network = GuardedNetwork(public(), as_the_system_does, Pace(connect_s=60))
        with pytest.raises(UrlNotAllowed):
            anyio.run(network.connect_tcp, host, canary.port)
    assert canary.connections == 0


@pytest.mark.parametrize("host", [*LOOPBACK, "[::1]", "[::]", "[0:0:0:0:0:0:0:1]"])
def test_no_url_connects(canary: Canary, tmp_path: Path, host: str):
    """Each spelling as the host of a URL, on a port that would be allowed."""
    bracketed = f"[{host}]" if ":" in host and host[0] != "[" else host
    found = fetch(tmp_path, f"http://{bracketed}:{canary.port}/", public(canary.port))
    assert isinstance(found, UrlNotAllowed | InvalidUrl), found
    assert canary.connections == 0


@pytest.mark.parametrize("host", [*LOOPBACK, "[::1]"])
def test_no_redirect_connects(canary: Canary, origin: Origin, tmp_path: Path, host: str):
    """Nor does a server that may be fetched from lead there."""
    bracketed = f"[{host}]" if ":" in host and host[0] != "[" else host
    target = f"http://{bracketed}:{canary.port}/"
    origin.answers["/"] = redirect(target.encode().decode("latin-1"))
    rules = public(canary.port, also=f"127.0.0.1:{origin.port}")
    found = fetch(tmp_path, origin.url("/"), rules)
    assert isinstance(found, FetchError), found
    assert (origin.connections, canary.connections) == (1, 0)


def test_no_name_leads_into_a_special_network(tmp_path: Path):
    """Whatever a name server answers, alone or beside addresses that are public."""
    for address in NOT_PUBLIC:
        for answer in ([address], ["1.1.1.1", address], [address, "2606:4700:4700::1111"]):

            async def lie(host: str, port: int, answer: list[str] = answer) -> Sequence[str]:
                return answer

            found = fetch(tmp_path, "http://videos.example.org/a.mp4", public(), lie)
            assert isinstance(found, UrlNotAllowed), address
            assert address not in str(found)


def test_no_literal_leads_into_a_special_network(tmp_path: Path):
    """The same addresses as the host of a URL."""
    for address in NOT_PUBLIC:
        host = f"[{address}]" if ":" in address else address
        assert isinstance(fetch(tmp_path, f"http://{host}/", public()), UrlNotAllowed), address


def test_a_listed_name_does_not_make_its_address_public(canary: Canary, tmp_path: Path):
    """The operator trusts a host, not whatever its name server says today."""
    for setting in ("localhost", "*.localhost", "0x7f.1", "public"):
        rules = UrlRules.parse(f"{setting},localhost:{canary.port}")
        assert_not_allowed(fetch(tmp_path, f"http://localhost:{canary.port}/", rules))
    assert canary.connections == 0


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    canary: Canary, origin: Origin, tmp_path: Path
):
    """Rebinding: a name that leads elsewhere when it is asked a second time is asked once."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    origin.answers["/"] = whole(b"film")
    # 127.0.0.1 stands for the public address here: nothing but it is allowed
    rules = UrlRules.parse(f"films.test:{origin.port},127.0.0.1:{origin.port}")
    assert fetch(tmp_path, origin.url("/", "films.test"), rules, rebinding) == b"film"
    assert asked == ["films.test"]
    assert_not_allowed(fetch(tmp_path, origin.url("/", "films.test"), rules, rebinding))
    assert (origin.connections, canary.connections) == (1, 0)


def test_a_redirect_to_the_same_name_is_resolved_and_checked_again(
    canary: Canary, origin: Origin, tmp_path: Path
):
    """Rebinding between two hops: the second connection is judged like the first."""
    asked: list[int] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(port)
        return ["127.0.0.1"] if len(asked) == 1 else ["::1"]

    origin.answers["/"] = redirect(f"http://films.test:{canary.port}/")
    rules = replace(
        UrlRules.parse(f"films.test,127.0.0.1:{origin.port}"),
        web_ports=frozenset({origin.port, canary.port}),
    )
    assert_not_allowed(fetch(tmp_path, origin.url("/", "films.test"), rules, rebinding))
    assert asked == [origin.port, canary.port]
    assert (origin.connections, canary.connections) == (1, 0)


def test_a_listed_address_opens_one_port(canary: Canary, origin: Origin, tmp_path: Path):
    """Not the machine: what else listens there stays out of reach."""
    origin.answers["/"] = redirect(f"http://127.0.0.1:{canary.port}/")
    rules = public(canary.port, also=f"127.0.0.1:{origin.port}")
    assert_not_allowed(fetch(tmp_path, origin.url("/"), rules))
    assert (origin.connections, canary.connections) == (1, 0)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1#@1.1.1.1/",
        "http://1.1.1.1@127.0.0.1/",
        "http://1.1.1.1:80@127.0.0.1/",
        "http://1.1.1.1\\@127.0.0.1/",
        "http://1.1.1.1%2f@127.0.0.1/",
        "http://127.0.0.1%00.example.org/",
        "http://127.0.0.1%0d%0a/",
        "http://127.0.0.1\t/",
        "http://127.0.0.1\r\nHost: a/",
        "//127.0.0.1/",
        "http:127.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_PING",
        "ftp://127.0.0.1/",
        "data:video/mp4;base64,AAAA",
        "unix:///run/docker.sock",
    ],
)
def test_urls_that_parsers_disagree_about_are_refused(tmp_path: Path, url: str):
    """There is one parser, and what it makes of a URL is what is checked and connected to."""
    assert isinstance(fetch(tmp_path, url, public()), UrlNotAllowed | InvalidUrl)


def test_nothing_is_fetched_by_default(canary: Canary, tmp_path: Path):
    """Off is the default, and off is off."""
    found = fetch(tmp_path, f"http://127.0.0.1:{canary.port}/", UrlRules.parse("off"))
    assert isinstance(found, FetchError)
    assert canary.connections == 0
