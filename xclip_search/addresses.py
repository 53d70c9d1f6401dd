"""Addresses: which hosts only this machine can reach, and URLs without the secrets they hold."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

# Up to the last @ before host and port; a / in a password is often not written as %2F.
_USERINFO: Final = re.compile(
    r"(?<=://)((?:[^\s/?#'\"<>@]{0,256}@)+|[^\s/@'\"<>\[]{0,256}:(?!\d+[/?#])[^\s'\"<>]{0,256}@)"
)
_SECRET_PARAMETER: Final = re.compile(
    r"([?&;][\w.~-]{0,64}?(?:pass|pwd|secret|token|key|sig|credential|auth)[\w.~-]{0,64}=)"
    r"[^\s&;#'\"<>]+",
    re.IGNORECASE,
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`; of names only localhost is trusted to be so."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def without_secrets(text: str) -> str:
    """A URL, or a text with URLs in it, with `***` for users, passwords and secret parameters."""
    if "://" not in text:
        return text
    return _SECRET_PARAMETER.sub(r"\1***", _USERINFO.sub("***@", text))
