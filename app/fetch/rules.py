"""Allow rules for URLs: the setting `url_ingest`, parsed once.

    off                            nowhere
    public                         every public address, ports 80 and 443
    videos.example.org             that host, ports 80 and 443
    videos.example.org:8443        that host, that port
    *.example.org                  every host below it, not itself
    10.0.0.5, [fd00::5]:8080       that address, which then need not be public
    10.1.0.0/16, fd00::/8          the addresses of a network, likewise

Entries are joined by commas. A host that is listed must still have public addresses, unless those
are listed as well: the operator chose the name, but not what it resolves to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, Self

from app.fetch.addresses import Address, Network, is_own, is_public

WEB_PORTS: Final = frozenset({80, 443})
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_MAX_HOST_LENGTH: Final = 253


@dataclass(frozen=True, slots=True)
class HostEntry:
    """A host, or with `subdomains` those below it; without a port the web's own ones."""

    name: str
    subdomains: bool
    port: int | None


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """Addresses that may be fetched from though they are not public."""

    network: Network
    port: int | None


@dataclass(frozen=True, slots=True)
class UrlRules:
    """What the operator allows; `web_ports` are those of entries that name none."""

    public: bool
    hosts: Sequence[HostEntry]
    networks: Sequence[NetworkEntry]
    web_ports: frozenset[int] = WEB_PORTS

    @classmethod
    def parse(cls, setting: str) -> Self:
        """The rules that a text describes; ValueError for an entry that means nothing."""
        entries = [entry.strip().lower() for entry in setting.split(",")]
        if entries == ["off"]:
            return cls(public=False, hosts=(), networks=())
        found = [_parse_entry(entry) for entry in entries if entry != "public"]
        return cls(
            public="public" in entries,
            hosts=[entry for entry in found if isinstance(entry, HostEntry)],
            networks=[entry for entry in found if isinstance(entry, NetworkEntry)],
        )

    @property
    def off(self) -> bool:
        """Whether nothing may be fetched."""
        return not (self.public or self.hosts or self.networks)

    def allow_host(self, host: str, port: int) -> bool:
        """Whether a URL may name this host (lower case) and port."""
        if self.public and port in self.web_ports:
            return True
        address = as_address(host)
        if address is not None:
            return any(
                address in entry.network and self._fits(entry.port, port) for entry in self.networks
            )
        name = host.rstrip(".")
        return any(_names(entry, name) and self._fits(entry.port, port) for entry in self.hosts)

    def allow_address(self, address: Address, port: int) -> bool:
        """Whether a connection may be made to what a host resolved to.

        The host's own entry has restricted the port already; a listed address does so again only
        if it was listed with one.
        """
        if any(address in entry.network and entry.port in (None, port) for entry in self.networks):
            return True
        return is_public(address) and not is_own(address)

    def _fits(self, listed: int | None, port: int) -> bool:
        return port in self.web_ports if listed is None else port == listed


def as_address(host: str) -> Address | None:
    """The address that `host` spells in the one usual way, or None: then it is a name.

    With a zone (fe80::1%eth0) it is neither: zones are this machine's own matter.
    """
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


def is_host(host: str) -> bool:
    """Whether `host` (lower case) is an address or could be the name of a host."""
    name = host.removesuffix(".")
    return as_address(host) is not None or (
        len(name) <= _MAX_HOST_LENGTH and _HOST.fullmatch(name) is not None
    )


def _names(entry: HostEntry, name: str) -> bool:
    return name.endswith(f".{entry.name}") if entry.subdomains else name == entry.name


def _parse_entry(entry: str) -> HostEntry | NetworkEntry:
    target, port = _split_port(entry)
    with suppress(ValueError):
        if "%" not in target:
            return NetworkEntry(ip_network(target), port)
    name = target.removeprefix("*.")
    if not is_host(name) or as_address(name) or name in ("off", "public"):
        raise ValueError(
            f"{entry!r} is no host, *.host, address or network, nor one with :port; "
            "a network ends in its prefix with no bits beyond it, and off stands alone"
        )
    return HostEntry(name.removesuffix("."), name != target, port)


def _split_port(entry: str) -> tuple[str, int | None]:
    """`host:port` and `[IPv6]:port` cut in two; an IPv6 address without brackets has no port."""
    bracketed = re.fullmatch(r"\[(.+)\](?::(\d{1,5}))?", entry)
    plain = re.fullmatch(r"([^:]+):(\d{1,5})", entry)
    found = bracketed or plain
    if found is None:
        return entry, None
    port = None if found[2] is None else int(found[2])
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"{entry!r} names a port that is none")
    return found[1], port
