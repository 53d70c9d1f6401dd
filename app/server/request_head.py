"""Request head rules (RFC 9112): one Host, and no framing but a length or plain chunks.

The parser is lenient. What it lets pass, a proxy in front of the service may read in another way:
as a request to another host, or with its end at another place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.errors import HeadTooLarge, MalformedRequest
from app.server.limits import MAX_HEAD_BYTES, MAX_HEAD_LINES

_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")  # the characters of a name and a port


def head_error(version: str, headers: Iterable[tuple[bytes, bytes]]) -> MalformedRequest | None:
    """What is wrong with a head that HTTP does not allow; None if nothing is.

    version : of HTTP, such as `1.1`
    headers : names in lower case, and their values
    """
    hosts, codings = [], []
    for name, value in headers:
        if name == b"host":
            hosts.append(value.strip())
        elif name == b"transfer-encoding":
            codings.append(value.strip().lower())
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        return MalformedRequest(f"A request has one Host header; this one has {len(hosts)}.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        return MalformedRequest("The Host header holds characters that no host name has.")
    if codings and (codings != [b"chunked"] or version == "1.0"):
        return MalformedRequest("The only Transfer-Encoding is chunked, once, in HTTP/1.1.")
    return None


def head_too_large() -> HeadTooLarge:
    """The head has more lines or bytes than it may have."""
    return HeadTooLarge(
        f"The head of a request may have {MAX_HEAD_LINES} lines and {MAX_HEAD_BYTES} bytes."
    )
