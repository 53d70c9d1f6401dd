"""Client address: what clients are counted by, an IPv4 address or the network of an IPv6 one."""

from __future__ import annotations

import ipaddress

_IPV6_NETWORK_BITS = 64  # one subscriber has all the addresses of such a network


def client_network(address: str) -> str:
    """The name to count a client under.

    A socket for both families shows an IPv4 client as ::ffff:1.2.3.4.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
