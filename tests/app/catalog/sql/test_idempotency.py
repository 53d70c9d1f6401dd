"""Idempotency: an answer given under a key counts until it is purged or its video is gone."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.catalog.records import AnsweredUpload, UploadKey
from app.catalog.sql import idempotency, videos
from tests.app.catalog.sql.rows import at, put_collection, put_video

KEY = UploadKey("owner", "key", "digest")


def answer(video_id: str = "vid_1", digest: str = "digest") -> AnsweredUpload:
    return AnsweredUpload(digest, "default", video_id, "job_1", queued=True)


@pytest.fixture(autouse=True)
def two_videos(connection: Connection) -> None:
    put_collection(connection)
    put_video(connection, "vid_1")
    put_video(connection, "vid_2")


def test_an_answer_comes_back_as_it_was_given(connection: Connection) -> None:
    """Also for a request with another digest: the caller compares them."""
    idempotency.put(connection, KEY, answer(), at(0))
    other = UploadKey("owner", "key", "another")
    assert idempotency.find(connection, other) == answer()


def test_a_key_belongs_to_its_owner(connection: Connection) -> None:
    """Two owners may use the same key for different uploads."""
    other = UploadKey("other", "key", "digest")
    idempotency.put(connection, KEY, answer(), at(0))
    assert idempotency.find(connection, other) is None
    idempotency.put(connection, other, answer("vid_2"), at(0))
    assert idempotency.find(connection, KEY) == answer()
    assert idempotency.find(connection, other) == answer("vid_2")


@pytest.mark.parametrize(("before", "found"), [(-1, True), (0, False), (1, False)])
def test_an_answer_counts_until_a_purge_of_its_time(
    connection: Connection, before: float, found: bool
) -> None:
    """One of exactly that time has expired."""
    idempotency.put(connection, KEY, answer(), at(0))
    assert (idempotency.expire(connection, at(before)) == 0) is found
    assert (idempotency.find(connection, KEY) is not None) is found


def test_the_answer_about_a_deleted_video_does_not_count(connection: Connection) -> None:
    """The same upload under the same key makes the video again."""
    idempotency.put(connection, KEY, answer(), at(0))
    videos.remove(connection, "vid_1")
    assert idempotency.find(connection, KEY) is None
    idempotency.put(connection, KEY, answer("vid_2"), at(1))
    assert idempotency.find(connection, KEY) == answer("vid_2")


def test_an_answer_that_counts_is_not_replaced(connection: Connection) -> None:
    """Of two requests at once the second fails instead of answering something else."""
    idempotency.put(connection, KEY, answer(), at(0))
    with pytest.raises(IntegrityError):
        idempotency.put(connection, KEY, answer("vid_2"), at(1))


def test_a_purge_says_how_many_answers_it_forgot(connection: Connection) -> None:
    """Later answers stay."""
    for number in range(5):
        key = UploadKey("owner", f"key {number}", "digest")
        idempotency.put(connection, key, answer(), at(number))
    assert idempotency.expire(connection, at(2)) == 3
    assert idempotency.expire(connection, at(2)) == 0
    kept = UploadKey("owner", "key 3", "digest")
    assert idempotency.find(connection, kept) is not None
