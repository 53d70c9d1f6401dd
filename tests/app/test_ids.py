"""Identifiers sort by time, say what they name, and do not repeat."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.ids import new_id


class At:
    """A clock that shows one time."""

    def __init__(self, time: datetime) -> None:
        self._time = time

    def now(self) -> datetime:
        return self._time

    def monotonic(self) -> float:
        return 0.0


times = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(time=times, later=st.integers(1, 10**9))
def test_a_later_millisecond_sorts_later(time: datetime, later: int) -> None:
    """Whatever the random bits, the time decides."""
    first = new_id("vid", At(time), lambda count: b"\xff" * count)
    second = new_id("vid", At(time + timedelta(milliseconds=later)), bytes)
    assert first < second


def test_looks_as_promised() -> None:
    """A prefix, an underscore and 26 lower-case digits without i, l, o and u."""
    moment = At(datetime(2026, 5, 4, tzinfo=UTC))
    prefix, digits = new_id("vid", moment, os.urandom).split("_")
    assert (prefix, len(digits)) == ("vid", 26)
    assert set(digits) <= set("0123456789abcdefghjkmnpqrstvwxyz")
    assert new_id("vid", moment, bytes) == "vid_01kqr4hq00" + "0" * 16


def test_the_same_millisecond_gives_different_ids() -> None:
    """80 random bits keep them apart."""
    moment = At(datetime(2026, 5, 4, tzinfo=UTC))
    assert len({new_id("seg", moment, os.urandom) for _ in range(1000)}) == 1000
