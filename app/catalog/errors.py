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
├── VectorsOfAnotherModel    model_mismatch
├── LeaseLost                lease_lost
├── DatabaseUrlInvalid       database_url_invalid
└── SchemaUnknown            schema_unknown
"""

from __future__ import annotations

import errno

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app.errors import InvalidField, ServiceError

DATABASE_ERRORS: tuple[type[Exception], ...] = (SQLAlchemyError,)
DATABASE_UNAVAILABLE: type[Exception] = OperationalError  # it does not answer, or not in time


_SQLITE_FULL = 13  # SQLITE_FULL, the low byte of each of its kinds
_POSTGRES_FULL = "53100"  # disk_full


def is_disk_full(error: BaseException) -> bool:
    """Whether it is the database's, or the file system's, word for a disk that is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    cause = getattr(error, "orig", None)
    sqlite = getattr(cause, "sqlite_errorcode", None)
    is_sqlite = sqlite is not None and sqlite & 0xFF == _SQLITE_FULL
    return is_sqlite or getattr(cause, "sqlstate", None) == _POSTGRES_FULL


class CatalogError(ServiceError):
    """Root of the catalog's errors."""

    code = "catalog_error"


class NotFound(CatalogError):
    """No such row; the message says which."""

    code = "not_found"
    status = 404


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

    `path` leads from the filter to the value that is wrong, `inside` from the body to the filter.
    """

    code = "invalid_filter"
    status = 422

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path
        self.inside: tuple[str | int, ...] = ("filter",)

    def invalid_fields(self) -> tuple[InvalidField]:
        """The value that is wrong, by its path in the body."""
        return (InvalidField(("body", *self.inside, *self.path), str(self)),)


class InvalidMetadata(CatalogError, ValueError):
    """Metadata that is not a JSON object (for example because of NaN)."""

    code = "invalid_metadata"
    status = 422


class InvalidCursor(CatalogError, ValueError):
    """A page cursor that this catalog did not hand out."""

    code = "invalid_cursor"
    status = 422


class JobStateConflict(CatalogError):
    """The job's state does not allow the requested change."""

    code = "job_state_conflict"
    status = 409


class KeyAnswered(CatalogError):
    """An upload with that Idempotency-Key was answered before; `find_answer` returns the answer."""

    code = "key_answered"
    status = 409


class VectorsOfAnotherModel(CatalogError):
    """Vectors from another model than the one the collection was built with."""

    code = "model_mismatch"
    status = 409


class LeaseLost(CatalogError):
    """The job was cancelled, or another worker holds it now; its result is not wanted."""

    code = "lease_lost"


class DatabaseUrlInvalid(CatalogError):
    """The URL of the catalog's database is not one that can be opened here."""

    code = "database_url_invalid"


class SchemaUnknown(CatalogError):
    """The database was written by a newer version of the program."""

    code = "schema_unknown"
