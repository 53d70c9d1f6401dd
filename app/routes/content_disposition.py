"""Content-Disposition: the file name of a form's part, in every form that clients write one.

Browsers write UTF-8 between quotes, with `%22`, `%0D`, `%0A` for a quote and the ends of lines
(WHATWG, RFC 7578). Others write `filename*=UTF-8''…` in percent-encoding (RFC 5987, in pieces RFC
2231), or words such as `=?utf-8?B?…?=` (RFC 2047); old ones their own code page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any

from python_multipart.multipart import parse_options_header

_HEADER = "content-disposition"
_ENCODED_WORDS = re.compile(r"(=\?[^?\s]+\?[BbQq]\?[^?]*\?=\s*)+")
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}


def client_filename(disposition: bytes) -> str:
    """The name that the client's file has, as in its folder; empty where the header has none."""
    extended = _extended_name(disposition)
    if extended is not None:
        return extended
    _, options = parse_options_header(disposition)
    raw = options.get(b"filename", b"")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = raw.decode("cp1252", "replace")
    if _ENCODED_WORDS.fullmatch(name):
        return _decoded_words(name)
    return re.sub("%22|%0D|%0A", lambda found: _ESCAPED[found[0]], name)


def _extended_name(disposition: bytes) -> str | None:
    """The value of `filename*`, which has precedence; None where it is missing or unreadable."""
    message = Message()
    message[_HEADER] = " ".join(disposition.decode("latin-1").split())
    parameters: Iterable[tuple[str, Any]]  # a tuple of charset, language and text where extended
    try:
        parameters = message.get_params([], _HEADER)
    except (ValueError, TypeError):  # a piece numbered beyond all bounds, or numbered twice
        return None
    for key, value in parameters:
        if key == "filename" and isinstance(value, tuple) and value[0]:
            return collapse_rfc2231_value(value, "replace", "utf-8") or None
    return None


def _decoded_words(name: str) -> str:
    try:
        parts = [
            part if isinstance(part, str) else part.decode(charset or "ascii")
            for part, charset in decode_header(name)
        ]
    except (HeaderParseError, LookupError, ValueError):
        return name  # as it was sent: it only looks like one
    return "".join(parts) or name
