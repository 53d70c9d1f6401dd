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
from typing import Any

from python_multipart.multipart import parse_options_header

_HEADER = "content-disposition"
_LANGUAGE = re.compile(r"(=\?[^?*\s]+)\*[^?\s]*(?=\?[BbQq]\?)")  # which RFC 2231 lets follow
_ENCODED_WORDS = re.compile(r"(=\?[^?\s]+\?[BbQq]\?[^?]*\?=)(\s*=\?[^?\s]+\?[BbQq]\?[^?]*\?=)*")
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}


def client_filename(disposition: bytes) -> str:
    """The name that the client's file has, as in its folder; empty where the header has none."""
    named = _extended_names(disposition)
    for charset, content in named:
        if charset is not None and content:
            return _decoded(content, charset or "utf-8")
    _, options = parse_options_header(disposition)
    # `filename*` without a charset, or in pieces without one, counts where nothing else is there
    raw = options.get(b"filename", b"") or next((content for _, content in named), b"")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        name = raw.decode("cp1252", "replace")
    plain = _LANGUAGE.sub(r"\1", name)
    if _ENCODED_WORDS.search(plain):
        return _ENCODED_WORDS.sub(lambda found: _decoded_words(found[0]), plain)
    return re.sub("%22|%0D|%0A", lambda found: _ESCAPED[found[0]], name)


def _extended_names(disposition: bytes) -> list[tuple[str | None, bytes]]:
    """The values of `filename*`, or of its pieces, each with its charset if it has one.

    None where they cannot be read. A plain `filename` is among them, without a charset.
    """
    message = Message()
    message[_HEADER] = re.sub(r"[\r\n\t ]+", " ", disposition.decode("latin-1"))
    parameters: Iterable[tuple[str, Any]]  # a tuple of charset, language and text where extended
    try:
        parameters = message.get_params([], _HEADER)
    except (ValueError, TypeError):  # a piece numbered beyond all bounds, or numbered twice
        return []
    values = (value for key, value in parameters if key == "filename")
    triples = (value if isinstance(value, tuple) else (None, None, value) for value in values)
    return [(charset, text.encode("latin-1", "replace")) for charset, _, text in triples]


def _decoded(content: bytes, charset: str) -> str:
    """The text of bytes that a client says are of that charset, some of which are no charset."""
    for name in (charset, "utf-8"):
        try:
            return content.decode(name)
        except (LookupError, ValueError):
            continue
    return content.decode("utf-8", "replace")


def _decoded_words(name: str) -> str:
    try:
        parts = [
            part if isinstance(part, str) else part.decode(charset or "ascii")
            for part, charset in decode_header(name)
        ]
    except (HeaderParseError, LookupError, ValueError):
        return name  # as it was sent: it only looks like one
    return "".join(parts) or name
