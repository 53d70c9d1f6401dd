"""Cursor: a signed position in a list of results, pinned to a state of the index.

The service keeps nothing for a cursor, so that it holds over restarts and on every process. What it
says is signed, because it decides what is shown. A page after the first sees no segment that came
later; segments deleted meanwhile are gone at once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from app.catalog.errors import InvalidCursor
from app.errors import CursorExpired
from app.services.search.query import Moment

LIFETIME_S = 900

# Scores of the same segment differ in the last digits from one batch to another. Within this
# much of a page's last score the cursor lists what was given, beyond it order alone tells.
_JITTER = 1e-3


@dataclass(frozen=True, slots=True)
class Position:
    """The end of a page.

    question : digest of all that the ranking depends on; state : of the collection and its model
    snapshot, last_row : the sequence that was searched, and the highest row then
    score : of the last entry; given : first rows of the entries of nearly that score
    expires_at : seconds since the epoch
    """

    question: str
    state: str
    snapshot: int
    last_row: int
    score: float
    given: tuple[int, ...]
    expires_at: int


def digest(*parts: object) -> str:
    """A short name for values that are equal exactly when their `repr` is."""
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

    def read(self, cursor: str, *, question: str, state: str, now: float) -> Position:
        """The position of a cursor.

        Raises InvalidCursor when it is not one of ours or belongs to another question,
        CursorExpired when its time is over or the collection's model is not what it was.
        """
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (UnicodeError, binascii.Error):
            raise InvalidCursor("The cursor is not one that a search has given.") from None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(body)):
            raise InvalidCursor("The cursor is not one that a search has given.")
        fields = json.loads(body)
        position = Position(**{**fields, "given": tuple(fields["given"])})
        if position.question != question:
            raise InvalidCursor(
                "The cursor belongs to another question; send it with the request it came from."
            )
        if now > position.expires_at or position.state != state:
            raise CursorExpired("The cursor has expired; ask again without it.")
        return position

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_SIGNATURE_BYTES]


_SIGNATURE_BYTES = 16


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
