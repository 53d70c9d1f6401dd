"""Identifiers: a prefix that names the kind, and 128 bits that sort by creation time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.clock import Clock

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
DIGITS = 26  # of 5 bits, for 48 bits of milliseconds and 80 bits of entropy
ENTROPY_BYTES = 10
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id(prefix: str, clock: Clock, entropy: Callable[[int], bytes]) -> str:
    """A new identifier such as `vid_01hzx3…`; those made in a later millisecond sort later.

    entropy : gives that many unpredictable bytes, as `os.urandom` does
    """
    milliseconds = (clock.now() - EPOCH) // timedelta(milliseconds=1)  # floats would round
    value = (milliseconds << (8 * ENTROPY_BYTES)) | int.from_bytes(entropy(ENTROPY_BYTES), "big")
    digits = (ALPHABET[(value >> (5 * position)) & 31] for position in reversed(range(DIGITS)))
    return f"{prefix}_{''.join(digits)}"
