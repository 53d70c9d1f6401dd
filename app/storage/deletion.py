"""Deletion: removes from disk what committed deletions left, and counts what remains.

Nothing is removed before the commit that notes it, and a note goes only when what it names is off
the disk for good. Everything may be done twice and by several processes at once.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence

from app import failpoints
from app.catalog import Catalog
from app.catalog.maintenance import REMOVALS_AT_ONCE
from app.catalog.records import PendingRemovals, Removal
from app.storage.backup_lock import removing
from app.storage.composition import Storage
from app.storage.folder_store import sync_path
from app.storage.media_store import content_key, thumbnails_prefix

logger = logging.getLogger(__name__)

# A tensor file that takes less of the disk than this may hold nothing any more: worth a question.
NEARLY_EMPTY_BYTES = 1 << 20


class DeletionRunner:
    """Works pending removals off, some at a time; no tensors are written."""

    def __init__(self, catalog: Catalog, storage: Storage) -> None:
        self._catalog = catalog
        self._layout = storage.layout
        self._media = storage.media
        self._tensors = storage.tensors

    def remove(self, ids: Sequence[int]) -> int:
        """Do these removals; how many of them are left, to be tried again by `work_off`."""
        batches = range(0, len(ids), REMOVALS_AT_ONCE)
        return sum(
            self._do(self._catalog.removals(ids[start : start + REMOVALS_AT_ONCE]))
            for start in batches
        )

    def work_off(self) -> int:
        """Do every removal that is due; how many are left."""
        return sum(map(self._do, self._all()))

    def pending(self) -> PendingRemovals:
        """How much there is to do, and since when."""
        return self._catalog.pending_removals()

    def _all(self) -> Iterator[list[Removal]]:
        last = 0
        while removals := self._catalog.removals_after(last):
            yield removals
            last = removals[-1].id

    def _do(self, removals: Sequence[Removal]) -> int:
        with removing(self._layout) as allowed:
            if not allowed:
                return len(removals)
            done = self._remove_wholes([one for one in removals if one.kind != "tensor"])
            done += self._erase_tensors([one for one in removals if one.kind == "tensor"])
        self._catalog.end_removals(done)
        failpoints.hit("removal_done")
        return len(removals) - len(done)

    def _remove_wholes(self, removals: Sequence[Removal]) -> list[int]:
        done = []
        removed: set[str] = set()
        for removal in removals:
            try:
                removed.update(self._remove_whole(removal))
            except OSError as error:
                _log_failure(removal.target, error)
            else:
                done.append(removal.id)
        self._media.objects.sync(removed)  # a note must not go before the object has
        return done

    def _remove_whole(self, removal: Removal) -> list[str]:
        """Remove it; the keys and prefixes of objects that still have to be synced."""
        if removal.kind == "content":
            return self._remove_content(removal.target)
        if removal.kind == "thumbnails":
            self._media.remove_thumbnails(removal.target)
            failpoints.hit("thumbnails_removed")
            return [thumbnails_prefix(removal.target)]
        self._remove_calibrations(removal.target)
        return []

    def _remove_content(self, sha256: str) -> list[str]:
        """Under the lock of uploads, which may have brought the same bytes again."""
        with self._media.exclusive():
            removed = not self._catalog.is_media_referenced(sha256)
            if removed:
                self._media.remove_content(sha256)
        failpoints.hit("content_removed")
        return [content_key(sha256)] if removed else []

    def _remove_calibrations(self, collection_id: str) -> None:
        paths = list(self._layout.calibrations.glob(f"{collection_id}-*.safetensors"))
        for path in paths:
            path.unlink(missing_ok=True)
        if paths:
            sync_path(self._layout.calibrations)

    def _erase_tensors(self, removals: Sequence[Removal]) -> list[int]:
        by_file: defaultdict[str, list[Removal]] = defaultdict(list)
        for removal in removals:
            by_file[removal.target].append(removal)
        done: list[int] = []
        for file, of_it in by_file.items():
            try:
                self._tensors.erase(file, [(one.offset or 0, one.length or 0) for one in of_it])
                failpoints.hit("tensors_removed")
                self._unlink_if_empty(file)
            except OSError as error:
                _log_failure(file, error)
            else:
                done += [one.id for one in of_it]
        return done

    def _unlink_if_empty(self, file: str) -> None:
        if self._tensors.disk_bytes(file) > NEARLY_EMPTY_BYTES:
            return
        with self._tensors.ended(file) as ended:
            if ended and not self._catalog.is_tensor_file_referenced(file):
                self._tensors.unlink(file)


def _log_failure(target: str, error: OSError) -> None:
    logger.error("%s cannot be removed yet: %s", target, error.strerror)
