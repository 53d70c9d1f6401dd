"""Resumable uploads: found by their owner until their time is over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection

from app.catalog.errors import UploadNotFound
from app.catalog.sql import uploads
from tests.app.catalog.sql.rows import at, put_collection, upload


@pytest.fixture(autouse=True)
def collection(connection: Connection) -> None:
    put_collection(connection)


def test_an_upload_comes_back_as_it_was_announced(connection: Connection) -> None:
    """A length beyond 32 bits and nested metadata survive."""
    uploads.put(connection, upload("upl_1"))
    assert uploads.get(connection, "upl_1", "owner") == upload("upl_1")


@pytest.mark.parametrize(("upload_id", "owner"), [("upl_1", "other"), ("upl_2", "owner")])
def test_anothers_upload_is_not_found(connection: Connection, upload_id: str, owner: str) -> None:
    """The answer is the same as for an id that does not exist."""
    uploads.put(connection, upload("upl_1"))
    with pytest.raises(UploadNotFound, match=upload_id):
        uploads.get(connection, upload_id, owner)


def test_an_upload_that_became_a_video_is_finished(connection: Connection) -> None:
    """It stays to answer with its video, and is no longer in progress."""
    for name in ("upl_1", "upl_2"):
        uploads.put(connection, upload(name))
    uploads.set_admitted(connection, "upl_1", "vid_1", "job_1", at(900))
    expected = replace(upload("upl_1"), video_id="vid_1", job_id="job_1", expires_at=at(900))
    assert uploads.get(connection, "upl_1", "owner") == expected
    assert [each.id for each in uploads.unfinished(connection)] == ["upl_2"]


def test_an_upload_that_was_removed_meanwhile_becomes_no_video(connection: Connection) -> None:
    """A commit after the deletion would point at nothing."""
    uploads.put(connection, upload("upl_1"))
    uploads.remove(connection, "upl_1")
    with pytest.raises(UploadNotFound):
        uploads.set_admitted(connection, "upl_1", "vid_1", "job_1", at(900))


def test_expired_uploads_are_those_whose_time_has_come(connection: Connection) -> None:
    """The last moment of an upload is no longer part of it."""
    for seconds in (1, 2, 3):
        uploads.put(connection, upload(f"upl_{seconds}", seconds=seconds))
    assert sorted(uploads.expired_ids(connection, at(2))) == ["upl_1", "upl_2"]
    assert uploads.expired_ids(connection, at(0)) == []


def test_an_upload_that_goes_on_is_not_removed(connection: Connection) -> None:
    """Bytes that arrive between the list and the removal save the upload."""
    uploads.put(connection, upload("upl_1", seconds=1))
    assert uploads.prolong(connection, "upl_1", at(60)) == at(60)
    assert not uploads.remove_expired(connection, "upl_1", at(2))
    assert uploads.get(connection, "upl_1", "owner").expires_at == at(60)
    assert uploads.remove_expired(connection, "upl_1", at(60))
    assert not uploads.remove_expired(connection, "upl_1", at(60))
