"""Public IP addresses: which addresses belong to the public internet.

The table is IANA's special-purpose registries, each network of them, with the multicast and
reserved blocks: no site serves a video from one. `ipaddress.is_global` follows an older reading of
the same registries and calls some of these global.
https://www.iana.org/assignments/iana-ipv4-special-registry/
https://www.iana.org/assignments/iana-ipv6-special-registry/
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

SPECIAL_IPV4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba Cloud's metadata is 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # not IANA's: the host of every virtual machine in Azure
        "169.254.0.0/16",  # link-local; the clouds' metadata is 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle Cloud's metadata is 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, with the broadcast address
    )
)
# Of IPv6 only this much is given out. Loopback, mapped and translated IPv4 (::/8, 64:ff9b::/96,
# 64:ff9b:1::/48), discard, SRv6 (5f00::/16), private, link-local and multicast lie outside it.
ASSIGNED_IPV6: Final = IPv6Network("2000::/3")
SPECIAL_IPV6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID and others
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_ISATAP: Final = 0x5EFE  # RFC 5214: the interface id carries any IPv4 address
_LOCAL_BIT: Final = 0x0200


def is_public(address: Address) -> bool:
    """Whether the address may belong to a server on the internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in SPECIAL_IPV4)
    return (
        address in ASSIGNED_IPV6
        and not any(address in network for network in SPECIAL_IPV6)
        and int(address) >> 32 & 0xFFFFFFFF & ~(_LOCAL_BIT << 16) != _ISATAP
    )


def is_own(address: Address) -> bool:
    """Whether the address is this machine's, which a public one may be as well.

    Asks the kernel where packets to it would come from; none is sent.
    """
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return bool(probe.getsockname()[0] == str(address))
    except OSError:  # no route, so nothing of ours
        return False
