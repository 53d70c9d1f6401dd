"""The setting `url_ingest` and what it allows."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from app.fetch.rules import UrlRules, is_host
from app.settings import SettingsError, load_settings

# setting → the hosts and ports a URL may name
HOSTS = {
    "off": [],
    "public": [("a.example", 80), ("a.example", 443), ("1.1.1.1", 443), ("10.0.0.5", 80)],
    "example.org": [("example.org", 80), ("example.org", 443), ("example.org.", 443)],
    "Example.ORG:8443": [("example.org", 8443)],
    "*.example.org": [("a.example.org", 80), ("a.b.example.org", 443)],
    "10.0.0.5": [("10.0.0.5", 80), ("10.0.0.5", 443)],
    "10.0.0.5:8080": [("10.0.0.5", 8080)],
    "10.1.0.0/16": [("10.1.0.0", 80), ("10.1.255.255", 443)],
    "10.1.0.0/16:81": [("10.1.2.3", 81)],
    "fd00::5": [("fd00::5", 80)],
    "[fd00::5]:8080": [("fd00::5", 8080)],
    "[fd00::/8]:81": [("fd12::1", 81)],
    " nas.lan:81 , 10.0.0.5:90": [("nas.lan", 81), ("10.0.0.5", 90)],
    "public, nas.lan:5000": [("a.example", 80), ("nas.lan", 5000)],
}


@pytest.mark.parametrize("setting", HOSTS)
def test_what_is_listed_may_be_named_and_nothing_else(setting: str):
    """The hosts and ports of the entry, by exactly that name."""
    rules = UrlRules.parse(setting)
    named = {pair for pairs in HOSTS.values() for pair in pairs}
    for host, port in named:
        allowed = rules.allow_host(host, port)
        if (host, port) in HOSTS[setting]:
            assert allowed, (host, port)
        elif setting.startswith("public"):
            assert allowed == (port in (80, 443)), (host, port)
        else:
            assert not allowed, (host, port)


@pytest.mark.parametrize(
    ("setting", "host"),
    [
        ("*.example.org", "example.org"),
        ("*.example.org", "evilexample.org"),
        ("*.example.org", "a.example.org.evil.example"),
        ("example.org", "a.example.org"),
        ("example.org", "example.org.evil.example"),
        ("10.0.0.5", "10.0.0.5.evil.example"),
        ("10.0.0.5", "0xa.0.0.5"),
        ("10.0.0.5", "167772165"),
        ("10.0.0.5", "::ffff:10.0.0.5"),
        ("10.0.0.5", "name-of-10.0.0.5"),
    ],
)
def test_what_only_looks_listed_is_not(setting: str, host: str):
    """Neighbours in the name space, and other spellings of a listed address."""
    assert not UrlRules.parse(setting).allow_host(host, 80)


def test_only_listed_addresses_may_be_internal():
    """A host's entry says nothing about its addresses, an address's entry does, with its port."""
    internal, elsewhere = ip_address("10.0.0.5"), ip_address("8.8.8.8")
    for setting in ("off", "public", "nas.lan", "*.lan:5000"):
        rules = UrlRules.parse(setting)
        assert rules.allow_address(elsewhere, 5000)
        assert not rules.allow_address(internal, 5000)
    for setting in ("nas.lan:5000,10.0.0.5", "public,10.0.0.0/8", "10.0.0.5:5000"):
        rules = UrlRules.parse(setting)
        assert rules.allow_address(internal, 5000)
        assert not rules.allow_address(ip_address("127.0.0.1"), 5000)
    assert not UrlRules.parse("10.0.0.5:5000").allow_address(internal, 80)


@pytest.mark.parametrize(
    "setting",
    [
        "",
        ",",
        "off,public",
        "example.org,off",
        "public:8080",
        "http://example.org",
        "example.org/path",
        "user@example.org",
        "*",
        "*.",
        "*.*.org",
        "a.*.org",
        "example..org",
        "bücher.example",
        "example.org:0",
        "example.org:65536",
        "example.org:http",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "*.10.0.0.5",
        "[fd00::5",
        "fe80::1%eth0",
        "a" * 64,
    ],
)
def test_an_entry_without_a_meaning_is_refused(setting: str):
    """Rather than one that silently allows nothing, or more than was meant."""
    with pytest.raises(ValueError, match=r"no host|port"):
        UrlRules.parse(setting)


def test_a_service_with_such_a_setting_does_not_start():
    """The variable is named, and the entry."""
    with pytest.raises(SettingsError, match=r"XCLIP_URL_INGEST.*http://example\.org"):
        load_settings({"XCLIP_URL_INGEST": "public,http://example.org"})
    assert load_settings({"XCLIP_URL_INGEST": "public"}).url_ingest == "public"
    assert load_settings({}).url_ingest == "off"


def test_hosts_are_told_from_other_texts():
    """Addresses and names, underscores and a last dot included; zones and blanks are none."""
    assert all(map(is_host, ["a.example", "a_b.example.", "127.1", "::1", "xn--bcher-kva.example"]))
    assert not any(map(is_host, ["", ".", "a..b", "a b", "a%20b", "fe80::1%25eth0", "-a.example"]))
