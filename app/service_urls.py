"""Base URL: the http(s) address of a service that this one calls, checked as the settings are read.

The reason of a refusal names the part that is wrong and never repeats a user or a password.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

KEY_VARIABLE: Final = "XCLIP_API_KEY"  # what clients send; the service itself has no use for one
URL_VARIABLE: Final = "XCLIP_URL"  # where clients find the service
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000

_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_.])?")
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MOST_PORT: Final = 65535


def base_url(host: str, port: int | str) -> str:
    """The http URL a client on this machine uses; a wildcard address is reached by loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  nothing binds
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def parse_base_urls(setting: str) -> tuple[str, ...]:
    """The addresses in a list joined by commas, each once, in one spelling each.

    Raises ValueError, with a sentence for the operator, if one is no base URL or there is none.
    """
    if "@" in setting:  # first of all, for a password may hold commas
        after = setting.rpartition("@")[2].partition(",")[0]
        raise ValueError(f"the address of {after!r} must not hold a user or a password")
    parts = [part.strip() for part in setting.split(",")]
    found = tuple(dict.fromkeys(parse_base_url(part) for part in parts if part))
    if not found:
        raise ValueError("it names no address; leave it empty for the default")
    return found


def check_url(setting: str) -> None:
    """Raise ValueError unless host and port of a URL are valid; it may hold a user and a path."""
    from xclip_search.addresses import without_secrets  # late: it brings the client with it

    scheme, _, rest = setting.partition("://")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in place and "://***@" in without_secrets(setting):
        raise ValueError("its user or password holds /, ? or #: write %2F, %3F or %23 for it")
    place = place.rpartition("@")[2]
    parse_base_url(f"{scheme}://{place}" if rest else place)


def parse_base_url(part: str) -> str:
    """`scheme://host` or `scheme://host:port` in lower case, without what goes without saying."""
    if _PRINTABLE.fullmatch(part) is None:
        raise ValueError(f"{part!r} holds blanks or characters that no address has")
    try:
        url = urlsplit(part)
        port = url.port
    except ValueError:
        raise ValueError(f"{part!r} has no valid host and port") from None
    if url.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"{part!r} does not begin with http:// or https://")
    if url.path not in ("", "/") or "?" in part or "#" in part:
        raise ValueError(f"the address of {url.netloc!r} must end after host and port")
    if port == 0 or (port is None and url.netloc.endswith(":")):
        raise ValueError(f"{part!r} has a port that is not one of 1 to {_MOST_PORT}")
    default = port in (None, _DEFAULT_PORTS[url.scheme])
    return f"{url.scheme}://{_host(url, part)}" + ("" if default else f":{port}")


def _host(url: SplitResult, part: str) -> str:
    host = url.hostname or ""
    if "[" in url.netloc:
        try:
            return f"[{ipaddress.IPv6Address(host).compressed}]"
        except ValueError:
            raise ValueError(f"{part!r} has no valid IPv6 address in its brackets") from None
    if _HOST.fullmatch(host) is None or ".." in host:
        raise ValueError(f"{part!r} has no valid host")
    return host
