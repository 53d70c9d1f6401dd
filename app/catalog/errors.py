"""Errors of the catalog, each leaf with a stable `code`.

CatalogError
├── NotFound
│   ├── CollectionNotFound   collection_not_found
│   ├── VideoNotFound        video_not_found
│   ├── SegmentNotFound      segment_not_found
│   ├── JobNotFound          job_not_found
│   ├── UploadNotFound       upload_not_found
│   ├── LabelSetNotFound     label_set_not_found
│   └── KeyNotFound          key_not_found
├── InvalidFilter            invalid_filter
├── InvalidMetadata          invalid_metadata
├── InvalidCursor            invalid_cursor
├── JobStateConflict         job_state_conflict
├── KeyAnswered              key_answered
├── ModelMismatch            model_mismatch
├── LeaseLost                lease_lost
└── SchemaUnknown            schema_unknown
"""

from __future__ import annotations

from typing import ClassVar


class CatalogError(Exception):
    """Root of the catalog's errors; `code` never changes once published."""

    code: ClassVar[str] = "catalog_error"


class NotFound(CatalogError):
    """No such row; the message says which."""

    code = "not_found"


class CollectionNotFound(NotFound):
    """No collection of that name (or id)."""

    code = "collection_not_found"


class VideoNotFound(NotFound):
    """No video of that id in the collection."""

    code = "video_not_found"


class SegmentNotFound(NotFound):
    """No segment of that id in the collection."""

    code = "segment_not_found"


class JobNotFound(NotFound):
    """No job of that id."""

    code = "job_not_found"


class UploadNotFound(NotFound):
    """The owner has no resumable upload of that id."""

    code = "upload_not_found"


class LabelSetNotFound(NotFound):
    """No label set of that name."""

    code = "label_set_not_found"


class KeyNotFound(NotFound):
    """No key of that id."""

    code = "key_not_found"


class InvalidFilter(CatalogError, ValueError):
    """A filter that the language does not know.

    `path` leads to the place in the filter, `inside` to the filter in what holds it.
    """

    code = "invalid_filter"

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path
        self.inside: tuple[str | int, ...] = ("filter",)


class InvalidMetadata(CatalogError, ValueError):
    """Metadata that is not a JSON object (for example because of NaN)."""

    code = "invalid_metadata"


class InvalidCursor(CatalogError, ValueError):
    """A page cursor that this catalog did not hand out."""

    code = "invalid_cursor"


class JobStateConflict(CatalogError):
    """The job's state does not allow the change asked for."""

    code = "job_state_conflict"


class KeyAnswered(CatalogError):
    """An upload under that Idempotency-Key was answered before; `find_answer` has what."""

    code = "key_answered"


class ModelMismatch(CatalogError):
    """Vectors from another model than the one the collection was built with."""

    code = "model_mismatch"


class LeaseLost(CatalogError):
    """The job was cancelled, or another worker holds it now; its result is not wanted."""

    code = "lease_lost"


class SchemaUnknown(CatalogError):
    """The database was written by a newer version of the program."""

    code = "schema_unknown"
