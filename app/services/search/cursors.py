"""Cursor: a signed position in a list of results, pinned to a state of the index.

The service keeps nothing for a cursor, so that it holds over restarts and on every process. What it
says is signed, because it decides what is shown. Later pages leave out segments that were added
after the first page; segments deleted meanwhile are gone at once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.catalog.errors import InvalidCursor
from app.errors import CursorExpired
from app.services.search.query import Moment

LIFETIME_S = 900

# The score of a segment differs in the last digits from one batch to another. The cursor lists the
# rows that were given within this distance of the last score; beyond it, the score alone decides.
_JITTER = 1e-3


@dataclass(frozen=True, slots=True)
class Position:
    """The end of a page.

    query : digest of all that the ranking depends on; state : digest of the collection and its
        model
    snapshot, last_row : the sequence that was searched, and the highest row then
    score : of the last entry; given : first rows of the entries of nearly that score
    expires_at : seconds since the epoch
    """

    query: str
    state: str
    snapshot: int
    last_row: int
    score: float
    given: tuple[int, ...]
    expires_at: int


def digest(*parts: object) -> str:
    """A short hash of the values; equal for values of equal `repr`."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def page_after(
    entries: Sequence[Sequence[Moment]], position: Position | None
) -> list[Sequence[Moment]]:
    """The entries that were not given up to `position`; each entry begins with its best moment."""
    if position is None:
        return list(entries)
    given = set(position.given)
    return [
        entry
        for entry in entries
        if entry[0].best.score < position.score - _JITTER
        or (
            entry[0].best.score <= position.score + _JITTER
            and entry[0].best.found.segment.row not in given
        )
    ]


def near_end(
    page: Sequence[Sequence[Moment]], position: Position | None
) -> tuple[float, tuple[int, ...]]:
    """The score of a page's last entry, and the rows given so far of nearly that score."""
    score = page[-1][0].best.score
    earlier = position.given if position and position.score <= score + _JITTER else ()
    rows = [
        entry[0].best.found.segment.row for entry in page if entry[0].best.score <= score + _JITTER
    ]
    return score, (*earlier, *rows)


class Signer:
    """Turns positions into opaque text and back; `key` is the same in every process."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, position: Position) -> str:
        """The cursor of a position."""
        body = json.dumps(asdict(position), separators=(",", ":")).encode()
        return _text(self._sign(body) + body)

    def read(self, cursor: str, *, query: str, state: str, now: float) -> Position:
        """The position of a cursor.

        Raises InvalidCursor when this service did not sign it or it belongs to another query,
        CursorExpired when it is too old or the collection's model has changed.
        """
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (UnicodeError, binascii.Error):
            raise InvalidCursor("This service did not issue the cursor.") from None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(body)):
            raise InvalidCursor("This service did not issue the cursor.")
        position = _position(json.loads(body))
        if position is None:
            raise CursorExpired(_EXPIRED)
        if position.query != query:
            raise InvalidCursor(
                "The cursor belongs to another query; send it with the request it came from."
            )
        if now > position.expires_at or position.state != state:
            raise CursorExpired(_EXPIRED)
        return position

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_SIGNATURE_BYTES]


_SIGNATURE_BYTES = 16
_EXPIRED = "The cursor has expired; search again without it."


def _position(fields: dict[str, Any]) -> Position | None:
    """The position of these fields; None when another version of the program wrote them."""
    try:
        return Position(**{**fields, "given": tuple(fields["given"])})
    except (KeyError, TypeError):
        return None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
