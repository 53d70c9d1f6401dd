"""Garbage collection: removes orphans beside a running service (`xclip-search gc`)."""

from __future__ import annotations

from app.catalog import Catalog
from app.maintenance.orphans import Orphan, find_orphans
from app.services.ingest.resumable_uploads import expire_uploads
from app.settings import Settings
from app.storage.backup_lock import removing
from app.storage.deletion import DeletionRunner
from app.storage.media_store import MediaStore
from app.storage.partial_uploads import PartialFiles
from index import PackedTensorStore


def collect(
    catalog: Catalog, media: MediaStore, tensors: PackedTensorStore, settings: Settings
) -> list[Orphan] | None:
    """Work pending removals off and remove all orphans; what was removed.

    None, and nothing is removed, while a backup is being made.
    """
    with removing(media.layout) as allowed:
        if not allowed:
            return None
        DeletionRunner(catalog, media, tensors, settings.layout.calibrations).work_off()
        found = find_orphans(catalog, media, tensors, settings)
        return [orphan for orphan in found if _remove(orphan, catalog, media, tensors, settings)]


def _remove(
    orphan: Orphan,
    catalog: Catalog,
    media: MediaStore,
    tensors: PackedTensorStore,
    settings: Settings,
) -> bool:
    """Remove it unless it has come into use since it was found; whether it is gone."""
    match orphan.kind:
        case "content":
            with media.exclusive():
                if catalog.is_media_referenced(orphan.name):
                    return False
                media.remove_content(orphan.name)
        case "thumbnails":
            media.remove_thumbnails(orphan.name)
        case "tensor file" | "tensors":
            return _remove_tensors(orphan, tensors)
        case "calibration":
            (settings.layout.calibrations / orphan.name).unlink(missing_ok=True)
        case "upload":
            expire_uploads(catalog, PartialFiles(settings.data_dir))
        case "temporary file":
            media.sweep()
    return True


def _remove_tensors(orphan: Orphan, tensors: PackedTensorStore) -> bool:
    with tensors.ended(orphan.name) as ended:
        if not ended:
            return False
        if orphan.runs:
            tensors.erase(orphan.name, orphan.runs)
        else:
            tensors.unlink(orphan.name)
    return True
