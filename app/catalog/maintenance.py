"""Maintenance of the catalog: pending removals, rebuilds, and records to compare files with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, select, update

from app.catalog.errors import NotFound
from app.catalog.records import (
    Inconsistency,
    PendingRemovals,
    Removal,
    StoredSegment,
    TensorRun,
    Video,
)
from app.catalog.sql import collections, invariants, jobs, removals, segments, tables, videos
from app.catalog.transactions import Transactions

REMOVALS_AT_ONCE = removals.CHUNK


class CatalogMaintenance(Transactions):
    """What keeps rows and files true to each other."""

    def removals(self, ids: Sequence[int]) -> list[Removal]:
        """Those of up to REMOVALS_AT_ONCE removals that are still due."""
        with self._read() as connection:
            return removals.by_ids(connection, ids)

    def removals_after(self, removal_id: int) -> list[Removal]:
        """The next REMOVALS_AT_ONCE that are due after that one, the oldest first."""
        with self._read() as connection:
            return removals.after(connection, removal_id, REMOVALS_AT_ONCE)

    def end_removals(self, ids: Sequence[int]) -> None:
        """Forget up to REMOVALS_AT_ONCE removals: what they name is off the disk."""
        with self._write() as connection:
            removals.end(connection, ids)

    def pending_removals(self) -> PendingRemovals:
        """How much is still to be taken off the disk."""
        with self._read() as connection:
            return removals.pending(connection)

    def queue_rebuild(self, video_id: str, *, after_failure: bool = False) -> str | None:
        """Queue a new ingest of a video, whose rows stay until it replaces them; the job's id.

        None, and nothing changes, when a job of it waits or runs, it failed before it ever was
        ready, or it is gone; and unless `after_failure`, when its latest job did not succeed:
        another would hardly.
        """
        with self._write() as connection:
            video = videos.by_ids(connection, [video_id]).get(video_id)
            if video is None or video.status == "failed":
                return None
            collections.get(connection, video.collection, lock=True)
            latest = _latest_status(connection, video)
            if latest in ("queued", "running"):
                return None
            if latest != "succeeded" and not after_failure:
                return None
            job_id = self._new_id("job")
            jobs.put(connection, job_id, video.collection, video.id, self._now())
            videos.set_processing(connection, video.id, job_id)
            return job_id

    def existing_segments(self, rows: Sequence[int]) -> dict[int, str]:
        """The video of each of these segment rows that is (still) there."""
        with self._read() as connection:
            return segments.video_of(connection, rows)

    def videos_after(self, video_id: str, limit: int) -> list[Video]:
        """The next videos of all collections after that id, the oldest first."""
        with self._read() as connection:
            return videos.after(connection, video_id, limit)

    def stored_segments(self, video_id: str) -> list[StoredSegment]:
        """A video's segments in time order, with their vectors as bytes; of none, none."""
        with self._read() as connection:
            return segments.stored(connection, video_id)

    def tensor_runs(self) -> list[TensorRun]:
        """Every run of bytes in tensor files that segments refer to, by file and offset."""
        with self._read() as connection:
            return list(removals.tensor_runs(connection))

    def is_tensor_file_referenced(self, file: str) -> bool:
        """Whether any segment's tensor lies in the file."""
        named = select(tables.segments.c.row).where(tables.segments.c.tensor_file == file)
        with self._read() as connection:
            return connection.execute(named.limit(1)).first() is not None

    def known_videos(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids that are a video's."""
        wanted = list(ids)
        known: set[str] = set()
        with self._read() as connection:
            for start in range(0, len(wanted), segments.CHUNK):
                some = tables.videos.c.id.in_(wanted[start : start + segments.CHUNK])
                known.update(connection.execute(select(tables.videos.c.id).where(some)).scalars())
        return known

    def media_in_use(self) -> set[str]:
        """The SHA-256 of every video's bytes."""
        with self._read() as connection:
            return set(connection.execute(select(tables.videos.c.sha256)).scalars())

    def collection_ids(self) -> set[str]:
        """The id of every collection."""
        with self._read() as connection:
            return set(connection.execute(select(tables.collections.c.id)).scalars())

    def calibrations_in_use(self) -> set[str]:
        """The names of the calibrations that collections use."""
        column = tables.collections.c.calibration
        with self._read() as connection:
            found = connection.execute(select(column).where(column.is_not(None)))
            return set(found.scalars())

    def inconsistencies(self) -> list[Inconsistency]:
        """Rows that do not fit each other, as one moment of the database sees them."""
        with self._read() as connection:
            return invariants.broken(connection)

    def damaged_file(self) -> list[str]:
        """What is wrong with the database's own file, in its words; nothing on PostgreSQL."""
        with self._read() as connection:
            return invariants.damaged_file(connection)

    def settle_copy(self) -> None:
        """Make a copied catalog one that begins anew beside copied files.

        What was on its way when it was copied is not in the copy: half-sent uploads are forgotten,
        files that were to be removed have not been copied, and running jobs wait again.
        """
        unfinished = tables.uploads.c.video_id.is_(None)
        with self._write() as connection:
            connection.execute(delete(tables.removals))
            connection.execute(delete(tables.uploads).where(unfinished))
            running = select(tables.jobs.c.id).where(tables.jobs.c.status == "running")
            for job_id in connection.execute(running).scalars().all():
                job = jobs.get(connection, job_id)
                jobs.queue_again(connection, job, self._now(), job.attempts - 1)
            waiting = tables.jobs.c.status == "queued"
            connection.execute(update(tables.jobs).where(waiting).values(not_before=None))


def _latest_status(connection: Connection, video: Video) -> str | None:
    try:
        return jobs.get(connection, video.job_id, lock=True).status
    except NotFound:
        return None
