"""Cursors: what a position says survives the wire, and nothing else is let in."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.errors import InvalidCursor
from app.errors import CursorExpired
from app.services.search.cursors import Position, Signer, digest, near_end, page_after
from app.services.search.query import Moment
from tests.app.services.search.test_moments import ranked

KEY = b"k" * 32
POSITION = Position("query", "state", 7, 41, -0.1, (3, 5), 1_000)


def moments(scores: list[float]) -> list[list[Moment]]:
    """Entries of one moment each, best first, whose rows count from 0."""
    best = sorted(scores, reverse=True)
    return [
        [Moment(ranked("v", row, row, row + 1, score), row, row + 1, ())]
        for row, score in enumerate(best)
    ]


def read(cursor: str, **choices: object) -> Position:
    values = {"query": "query", "state": "state", "now": 999.0, **choices}
    return Signer(KEY).read(cursor, **values)  # type: ignore[arg-type]


@given(
    st.builds(
        Position,
        st.just("query"),
        st.just("state"),
        st.integers(0, 2**62),
        st.integers(0, 2**62),
        st.floats(allow_nan=False, allow_infinity=False),
        st.lists(st.integers(0, 2**62)).map(tuple),
        st.just(1_000),
    )
)
def test_a_position_survives_the_wire(position: Position) -> None:
    """To the last bit of its score, by another process with the same key."""
    assert read(Signer(KEY).write(position)) == position


def test_a_cursor_of_another_key_is_refused():
    """Another service's cursor names other rows."""
    with pytest.raises(InvalidCursor):
        read(Signer(b"other").write(POSITION))


@given(st.data())
def test_a_changed_cursor_is_refused(data: st.DataObject) -> None:
    """Whichever bit is turned: what a cursor says decides what is shown."""
    cursor = Signer(KEY).write(POSITION)
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidCursor):
        read(base64.urlsafe_b64encode(bytes(raw)).decode())


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    """No exception but InvalidCursor ever leaves the reader."""
    with pytest.raises(InvalidCursor):
        read(text)


def test_a_cursor_belongs_to_its_query():
    """The same position in another ranking means nothing."""
    with pytest.raises(InvalidCursor, match="another query"):
        read(Signer(KEY).write(POSITION), query="another")


@pytest.mark.parametrize("choices", [{"now": 1_000.5}, {"state": "another"}])
def test_a_cursor_expires_with_its_time_and_its_state(choices: dict[str, object]) -> None:
    """The caller is told to begin again, not that it did something wrong."""
    with pytest.raises(CursorExpired):
        read(Signer(KEY).write(POSITION), **choices)
    assert read(Signer(KEY).write(POSITION), now=1_000.0) == POSITION


def test_digests_tell_values_of_other_types_apart():
    """`1`, `1.0`, `"1"` and their order are different queries."""
    parts = [(1,), (1.0,), ("1",), (1, 2), (2, 1), ((1, 2),), ()]
    assert len({digest(*each) for each in parts}) == len(parts)


@given(
    st.lists(st.integers(0, 40).map(lambda step: step / 2_500), min_size=1, max_size=30),
    st.integers(1, 7),
    st.randoms(use_true_random=False),
)
def test_pages_hold_every_entry_once_though_scores_jitter(
    scores: list[float], size: int, random: object
) -> None:
    """Scores that move in their last digits from page to page neither repeat nor lose an entry."""
    entries = moments(scores)
    given_rows: list[int] = []
    position = None
    while True:
        shaken = [
            [replace(moment, best=replace(moment.best, score=moment.best.score + shake))]
            for moment, shake in (
                (entry[0], random.uniform(-1e-5, 1e-5))  # type: ignore[attr-defined]
                for entry in entries
            )
        ]
        shaken.sort(key=lambda entry: -entry[0].best.score)
        rest = page_after(shaken, position)
        page = rest[:size]
        given_rows += [entry[0].best.found.segment.row for entry in page]
        if len(rest) <= size:
            break
        score, given_near = near_end(page, position)
        position = replace(POSITION, score=score, given=given_near)
    assert sorted(given_rows) == list(range(len(entries)))


class OtherVersion(Signer):
    """The signer of a version of the program whose positions have other fields."""

    def write_fields(self, fields: dict[str, object]) -> str:
        body = json.dumps(fields).encode()
        return base64.urlsafe_b64encode(self._sign(body) + body).decode().rstrip("=")


@pytest.mark.parametrize("fields", [{}, {**asdict(POSITION), "new": 1}, {"given": [1]}], ids=str)
def test_a_cursor_of_another_version_has_expired(fields: dict[str, object]) -> None:
    """A client that pages over an upgrade is told to search again, and not shown a failure."""
    with pytest.raises(CursorExpired):
        read(OtherVersion(KEY).write_fields(fields))


def jittered(entries: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.integers(0, 30).map(float), min_size=1, max_size=entries)


@given(jittered(20), st.integers(1, 20))
def test_the_rest_begins_after_what_was_given(scores: list[float], size: int) -> None:
    """Without jitter a page and what comes after it are the list, in its order."""
    entries = moments(scores)
    page = entries[:size]
    score, given_near = near_end(page, None)
    position = replace(POSITION, score=score, given=given_near)
    assert [*page, *page_after(entries, position)] == entries


@given(jittered(20), st.integers(1, 5))
def test_a_cursor_lists_only_the_rows_that_share_the_last_score(
    scores: list[float], size: int
) -> None:
    """A cursor grows with the ties at its end, and not with the pages before it."""
    entries = moments(scores)
    position = None
    given_rows: list[int] = []
    while rest := page_after(entries, position):
        page = rest[:size]
        given_rows += [entry[0].best.found.segment.row for entry in page]
        score, given_near = near_end(page, position)
        ties = {
            entry[0].best.found.segment.row for entry in entries if entry[0].best.score == score
        }
        assert set(given_near) == ties & set(given_rows)
        position = replace(POSITION, score=score, given=given_near)
    assert given_rows == list(range(len(entries)))
