"""Garbage collection: removes orphans beside a running service (`xclip-search gc`)."""

from __future__ import annotations

from app.catalog import Catalog
from app.maintenance.orphans import Orphan, find_orphans
from app.services.ingest.resumable_uploads import remove_unneeded_bytes
from app.storage.backup_lock import removing
from app.storage.composition import Storage
from app.storage.deletion import DeletionRunner
from index.protocol import TensorStore


def collect(catalog: Catalog, storage: Storage) -> list[Orphan] | None:
    """Run the pending removals and remove all orphans; returns what was removed.

    None, and nothing is removed, while a backup is being made.
    """
    with removing(storage.layout) as allowed:
        if not allowed:
            return None
        DeletionRunner(catalog, storage).work_off()
        found = find_orphans(catalog, storage)
        return [orphan for orphan in found if _remove(orphan, catalog, storage)]


def _remove(orphan: Orphan, catalog: Catalog, storage: Storage) -> bool:
    """Remove it unless it has come into use since it was found; whether it is gone."""
    media = storage.media
    match orphan.kind:
        case "content":
            with media.exclusive():
                if catalog.is_media_referenced(orphan.name):
                    return False
                media.remove_content(orphan.name)
        case "thumbnails":
            media.remove_thumbnails(orphan.name)
        case "tensor file" | "tensors":
            return _remove_tensors(orphan, storage.tensors)
        case "calibration":
            (storage.layout.calibrations / orphan.name).unlink(missing_ok=True)
        case "upload":
            remove_unneeded_bytes(catalog, storage.partial_uploads)
        case "temporary file":
            media.sweep()
    return True


def _remove_tensors(orphan: Orphan, tensors: TensorStore) -> bool:
    with tensors.ended(orphan.name) as ended:
        if not ended:
            return False
        if orphan.runs:
            tensors.erase(orphan.name, orphan.runs)
        else:
            tensors.unlink(orphan.name)
    return True
