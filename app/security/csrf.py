"""CSRF and DNS rebinding: requests that pages of other sites make a browser send.

Against a service without keys two tricks would work: a page elsewhere that sends requests here, and
a name that is made to point at this machine after its page was loaded (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from xclip_search.addresses import is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD"})


def is_local_host(headers: Headers, allowed: Collection[str]) -> bool:
    """Whether the request was addressed to this machine, or to a name that is allowed."""
    named = headers.getlist("host")
    name = _name(f"//{named[0]}") if len(named) == 1 else None
    return name is not None and (is_loopback(name) or name in allowed)


def is_cross_site(method: str, headers: Headers, allowed: Collection[str]) -> bool:
    """Whether a page of another site is behind the request.

    Other sites may only link here. A browser says so in Sec-Fetch-Site, which no page can forge;
    over plain HTTP to another machine it sends Origin alone.
    """
    fetched_from = headers.get("sec-fetch-site")
    if fetched_from in ("cross-site", "same-site"):  # the latter: another port, or another name
        is_link = method in SAFE_METHODS and headers.get("sec-fetch-mode") == "navigate"
        return not is_link and not _is_allowed(headers.get("origin"), allowed)
    origin = headers.get("origin")
    if origin is None or fetched_from == "same-origin":
        return False
    return origin.partition("://")[2] != headers.get("host") and not _is_allowed(origin, allowed)


def _is_allowed(origin: str | None, allowed: Collection[str]) -> bool:
    return origin is not None and _name(origin) in allowed


def _name(url: str) -> str | None:
    """The host in a URL, in lower case and without its port."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
