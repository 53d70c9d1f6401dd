"""Composition of storage: opens the stores that are behind ports, for every program alike.

Another object store, tensor store or partial upload store is opened here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.data_layout import DataLayout
from app.storage.folder_partial_uploads import FolderPartialUploads
from app.storage.folder_store import FolderObjectStore
from app.storage.media_store import MediaStore
from app.storage.object_store import ObjectStore
from app.storage.partial_uploads import PartialUploadStore
from index import PackedTensorStore
from index.protocol import TensorStore


@dataclass(frozen=True, slots=True)
class Storage:
    """Everything that is stored outside the catalog; `layout` is its data folder."""

    layout: DataLayout
    media: MediaStore
    tensors: TensorStore
    partial_uploads: PartialUploadStore

    def close(self) -> None:
        """Sync the tensors and close their files; the other stores hold nothing open."""
        self.tensors.close()


def open_storage(layout: DataLayout, *, writer_id: str, min_free_bytes: int = 0) -> Storage:
    """Open the stores of a data folder, and make its folders.

    writer_id : names the tensor files that this process writes; no two living processes share one
    min_free_bytes : what files being received must leave free on the disk
    """
    for folder in (layout.media, layout.thumbnails, layout.tmp, layout.uploads):
        folder.mkdir(parents=True, exist_ok=True)
    return Storage(
        layout,
        MediaStore(layout, open_objects(layout), min_free_bytes=min_free_bytes),
        PackedTensorStore(layout.tensors, writer_id=writer_id),
        FolderPartialUploads(layout.uploads),
    )


def open_objects(layout: DataLayout) -> ObjectStore:
    """The object store of a data folder; makes nothing."""
    return FolderObjectStore(layout.root, trash=layout.tmp)
