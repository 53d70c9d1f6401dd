"""Addresses: what is shown of a URL holds no secret, and everything else."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip_search import Client, ServiceAway
from xclip_search.addresses import without_secrets

SHOWN = {
    "http://user:secret@host:80/x": "http://***@host:80/x",
    "http://user:se@cret@host/x?y=1": "http://***@host/x?y=1",
    "http://user:se/cret@host": "http://***@host",
    "http://user:se?cr#et@host": "http://***@host",
    "http://secret@host": "http://***@host",
    "postgresql+psycopg://u:secret@h/db?password=secret&sslmode=require": (
        "postgresql+psycopg://***@h/db?password=***&sslmode=require"
    ),
    "https://h/x?X-Amz-Signature=secret&part=2": "https://h/x?X-Amz-Signature=***&part=2",
    "not at 'http://u:secret@h', http://a:secret@c.": "not at 'http://***@h', http://***@c.",
    "http://host:8000/@me": "http://host:8000/@me",
    "http://[::1]:80/x@y": "http://[::1]:80/x@y",
    "sqlite:////a/b.sqlite": "sqlite:////a/b.sqlite",
    "u:p@h is no URL": "u:p@h is no URL",
}


@pytest.mark.parametrize("text", SHOWN)
def test_a_secret_is_replaced_and_the_rest_stays(text: str) -> None:
    """The host, the port and the path tell an operator what is wrong."""
    assert without_secrets(text) == SHOWN[text]


@given(
    st.text("abcXYZ019!$%&*+,-.;=_~:@", min_size=1, max_size=40),
    st.sampled_from(["http", "socks5"]),
)
def test_no_user_and_no_password_stays(login: str, scheme: str) -> None:
    """Whatever characters they are of that a URL may hold there."""
    assert without_secrets(f"{scheme}://{login}@host:81/x") == f"{scheme}://***@host:81/x"


def test_neither_client_nor_error_nor_log_repeats_a_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The host and the port are told."""
    caplog.set_level(logging.DEBUG)
    with Client("http://user:secret@127.0.0.1:1", patience_s=0) as client:
        assert repr(client) == "Client('http://127.0.0.1:1')"
        with pytest.raises(ServiceAway, match=r"at http://127\.0\.0\.1:1") as refused:
            list(client.collections())
    assert "secret" not in f"{refused.value} {caplog.text}"


def test_the_sentence_about_a_url_that_is_none_holds_no_part_of_its_password() -> None:
    """What the parser takes for a port is one."""
    with pytest.raises(ServiceAway, match="%2F") as refused:
        Client("http://user:hid/den@127.0.0.1:1/")
    assert "hid" not in str(refused.value)


@pytest.mark.parametrize("proxy", ["foo://user:secret@proxy", "http://user:sec/ret@proxy"])
def test_a_proxy_that_cannot_be_used_is_a_sentence(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the variables and not the password."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(ServiceAway, match="HTTP_PROXY") as refused:
        Client("http://search.test")
    assert "sec" not in str(refused.value)
