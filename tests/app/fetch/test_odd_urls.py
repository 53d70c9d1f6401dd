"""Odd URLs: whatever text is given or redirected to, it is fetched by the rules or refused."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import httpcore
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.fetch.download import Downloader, _redirected
from app.fetch.errors import FetchError, InvalidUrl, UrlNotAllowed, UrlUnreachable
from app.fetch.guard import Pace
from app.fetch.rules import UrlRules, is_host

LABELS = st.sampled_from(["a", "b", "example", "org", "xn--a"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


async def unknown(host: str, port: int) -> Sequence[str]:
    """A name server that knows no name; it is asked with hosts only."""
    assert is_host(host)
    assert 0 <= port < 65536
    raise OSError("unknown")


def refused(text: str, setting: str = "public") -> FetchError:
    """The error that a download of this URL ends with, where no name resolves."""

    async def fetch() -> None:
        async with Downloader(UrlRules.parse(setting), unknown, Pace()).open(text):
            raise AssertionError("nothing can be fetched")

    with pytest.raises(FetchError) as error:
        anyio.run(fetch)
    return error.value


@given(st.text(max_size=40) | st.text(max_size=40).map("http://".__add__))
@example("http://[::1")
@example("http://a:99999/")
@example("http://\ud800/")
@example("http://ａ.example/")
@example("http://xn--/")
@example("http://a..b/")
@example("http://" + "a" * 300)
def test_any_text_is_fetched_or_refused(text: str) -> None:
    """In the words of this package, never with an error of a library."""
    assert isinstance(refused(text), InvalidUrl | UrlNotAllowed | UrlUnreachable)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://a.example/clip.mp4", UrlUnreachable),
        ("HTTPS://A.Example/clip.mp4", UrlUnreachable),
        ("http://a.example:443/", UrlUnreachable),
        ("http://a.example:8080/", UrlNotAllowed),
        ("http://user@a.example/", UrlNotAllowed),
        ("http://:@a.example/", UrlNotAllowed),
        ("ftp://a.example/", UrlNotAllowed),
        ("file:///etc/passwd", UrlNotAllowed),
        ("//a.example/", UrlNotAllowed),
        ("a.example/clip.mp4", UrlNotAllowed),
        ("", UrlNotAllowed),
        ("http://", InvalidUrl),
        ("http:///clip.mp4", InvalidUrl),
        ("http://a b/", InvalidUrl),
        ("http://a.example\\@b.example/", UrlNotAllowed),
        ("http://[fe80::1%25eth0]/", InvalidUrl),
    ],
)
def test_what_a_url_says_decides_first(url: str, kind: type[FetchError]) -> None:
    """Scheme, user, host and port, before any name is resolved."""
    assert type(refused(url)) is kind


@given(st.binary(max_size=40))
@example(b"//[::1")
@example(b"http://\xff/")
def test_any_location_is_a_url_or_refused(location: bytes) -> None:
    """A header of arbitrary bytes is followed or refused like a URL that was given."""
    answer = httpcore.Response(302, headers=[(b"location", location)])
    try:
        target = _redirected(httpx.URL("https://a.example/clip.mp4"), answer)
    except (UrlUnreachable, UrlNotAllowed):
        return
    assert target.scheme != "http"


@given(listed=NAMES, named=NAMES, below=st.booleans())
def test_a_listed_host_is_that_host_or_what_lies_below_it(
    listed: str, named: str, below: bool
) -> None:
    """Label by label: `*.` is one label more at least, and without it none."""
    rules = UrlRules.parse(f"*.{listed}" if below else listed)
    ours, theirs = listed.split("."), named.split(".")
    inside = theirs[-len(ours) :] == ours
    allowed = inside and (len(theirs) > len(ours) if below else len(theirs) == len(ours))
    assert rules.allow_host(named, 443) is allowed
    assert not rules.allow_host(named, 8443)


@given(st.text(max_size=20))
@example("public:80")
@example("off,public")
@example("*.")
@example("[]:80")
@example("٣.٣.٣.٣")
def test_a_setting_is_rules_or_a_mistake(setting: str) -> None:
    """Nothing else, and no mistake in it allows everything."""
    try:
        rules = UrlRules.parse(setting)
    except ValueError:
        return
    entries = [entry.strip().lower() for entry in setting.split(",")]
    assert rules.public is ("public" in entries)
    assert rules.off is (entries == ["off"])
