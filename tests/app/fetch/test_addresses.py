"""Which addresses are public."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from app.fetch.addresses import SPECIAL_IPV4, SPECIAL_IPV6, is_own, is_public

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2600:1f18::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
]
# What each is, or who answers there.
NOT_PUBLIC = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "this network",
    "10.0.0.1": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.100.100.200": "metadata of Alibaba Cloud",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "host of Azure",
    "169.254.0.1": "link-local",
    "169.254.169.254": "metadata of most clouds",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.1": "protocol assignments",
    "192.0.0.8": "dummy address",
    "192.0.0.170": "NAT64 discovery",
    "192.0.0.192": "metadata of Oracle Cloud",
    "192.0.2.1": "documentation",
    "192.31.196.1": "AS112",
    "192.52.193.1": "AMT",
    "192.88.99.1": "6to4 relay",
    "192.168.1.1": "private",
    "192.175.48.1": "AS112",
    "198.18.0.1": "benchmark",
    "198.19.255.255": "benchmark",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "IPv4-compatible",
    "::8.8.8.8": "IPv4-compatible",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:8.8.8.8": "IPv4-mapped",
    "::ffff:0:127.0.0.1": "IPv4-translated",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b::808:808": "NAT64",
    "64:ff9b:1::7f00:1": "NAT64 of one's own",
    "100::1": "discard",
    "100:0:0:1::1": "dummy prefix",
    "1fff:ffff::1": "not assigned",
    "2001::7f00:1": "Teredo",
    "2001:1::1": "port control",
    "2001:2::1": "benchmark",
    "2001:3::1": "AMT",
    "2001:10::1": "ORCHID",
    "2001:20::1": "ORCHIDv2",
    "2001:30::1": "drone ids",
    "2001:db8::1": "documentation",
    "2002:7f00:1::1": "6to4 of loopback",
    "2002:808:808::1": "6to4",
    "2600::5efe:7f00:1": "ISATAP",
    "2600::200:5efe:808:808": "ISATAP",
    "2620:4f:8000::1": "AS112",
    "3fff::1": "documentation",
    "4000::1": "not assigned",
    "5f00::1": "SRv6",
    "fc00::1": "private",
    "fd00:ec2::254": "metadata of AWS",
    "fd20:ce::254": "metadata of Google Cloud",
    "fe80::1": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
}


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str):
    """Servers may live there, also right beside what is special."""
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_not_public(text: str):
    """No server of the internet lives there, or the address can carry one that none has."""
    assert not is_public(ip_address(text))


def test_networks_are_special_to_their_ends():
    """The first and the last address of each network in the table."""
    for network in (*SPECIAL_IPV4, *SPECIAL_IPV6):
        assert not is_public(network[0])
        assert not is_public(network[-1])


def test_this_machines_own_addresses_are_known():
    """Whatever range they are of; to find out, nothing is sent."""
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("192.0.2.1"))
