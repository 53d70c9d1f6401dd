"""Error hierarchy: each class carries the HTTP status and the code that it is answered with.

ServiceError
AppError
├── InvalidRequest         422 invalid_request
├── IdempotencyInFlight    409 idempotency_in_flight
├── IdempotencyKeyReused   422 idempotency_key_reused
├── TusVersionUnsupported  412 tus_version_unsupported
├── UploadOffsetMismatch   409 upload_offset_mismatch
├── UploadExpired          410 upload_expired
├── InvalidChecksum        400 invalid_checksum
├── ChecksumMismatch       460 checksum_mismatch
├── UnsupportedMediaType   415 unsupported_media_type
├── CollectionDiffers      409 collection_exists_differs
├── CollectionProtected    409 collection_protected
├── VideoNotReady          409 video_not_ready
├── ModelMismatch          409 model_mismatch
├── NotCalibrated          409 not_calibrated
├── JobDidNotSucceed       409 job_did_not_succeed
├── DeadlineExceeded       504 deadline_exceeded
├── CursorExpired          410 cursor_expired
├── ContentNotFound        404 content_not_found
├── ModelNotFound          404 model_not_found
├── MalformedRequest       400 malformed_request
├── RequestTimeout         408 request_timeout
├── HeadTooLarge           431 head_too_large
├── TooManyConnections     503 too_many_connections
├── TooManyStreams         503 too_many_streams
├── Overloaded             503 overloaded
├── QueueFull              429 queue_full
├── TooManyUploads         429 too_many_uploads
├── QuotaExceeded          507 quota_exceeded
├── CatalogUnavailable     503 catalog_unavailable
├── GpuOutOfMemory         503 gpu_oom
├── OutOfMemory            503 out_of_memory
├── PreconditionFailed     412 precondition_failed
├── RangeNotSatisfiable    416 range_not_satisfiable
└── ThumbnailNotFound      404 thumbnail_not_found

Errors of the catalog, the files, the downloads, the worker and of access are defined in their own
packages, as classes of ServiceError too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


class ServiceError(Exception):
    """Root of every error that the API answers with a status; the message is for the caller.

    A class that leaves `status` at 500 must not reach a client: it is logged, and the caller
    reads neither its code nor its message.

    code          : never changes once published
    status        : of the HTTP response
    headers       : what the response says beside Retry-After
    retry_after_s : seconds before which trying again makes no sense; None if it never does
    """

    code: str = "internal_error"
    status: int = 500
    headers: Mapping[str, str] = MappingProxyType({})
    retry_after_s: float | None = None

    def __init__(
        self,
        message: str,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s
        if headers is not None:
            self.headers = headers

    def invalid_fields(self) -> Sequence[InvalidField] | None:
        """What of the request is invalid, where the error says so."""
        return None


@dataclass(frozen=True, slots=True)
class InvalidField:
    """One value in a request, as the path that leads to it, and what is wrong with it."""

    path: tuple[str | int, ...]
    message: str


class AppError(ServiceError):
    """Root of the errors that belong to no package of their own."""

    code = "app_error"


class InvalidRequest(AppError):
    """The request is malformed in a way the schemas do not catch."""

    code = "invalid_request"
    status = 422


class IdempotencyInFlight(AppError):
    """A request under the same Idempotency-Key is being served at this moment."""

    code = "idempotency_in_flight"
    status = 409
    retry_after_s = 1.0


class IdempotencyKeyReused(AppError):
    """The Idempotency-Key was used before, with another request."""

    code = "idempotency_key_reused"
    status = 422


class TusVersionUnsupported(AppError):
    """The request names a version of the tus protocol that is not supported."""

    code = "tus_version_unsupported"
    status = 412
    headers = MappingProxyType({"tus-version": "1.0.0"})


class UploadOffsetMismatch(AppError):
    """A chunk does not begin at the upload's current offset."""

    code = "upload_offset_mismatch"
    status = 409


class UploadExpired(AppError):
    """No byte of the upload has arrived for too long."""

    code = "upload_expired"
    status = 410


class InvalidChecksum(AppError):
    """A checksum of an unknown kind, or none at all; the status is the tus protocol's."""

    code = "invalid_checksum"
    status = 400


class ChecksumMismatch(AppError):
    """A chunk's checksum does not match its bytes; the status is the tus protocol's."""

    code = "checksum_mismatch"
    status = 460


class UnsupportedMediaType(AppError):
    """The body is not of the kind the route takes."""

    code = "unsupported_media_type"
    status = 415


class CollectionDiffers(AppError):
    """A collection of that name exists with other properties than the requested ones."""

    code = "collection_exists_differs"
    status = 409


class CollectionProtected(AppError):
    """The default collection cannot be deleted."""

    code = "collection_protected"
    status = 409


class VideoNotReady(AppError):
    """The video has no segments yet, or its ingest failed."""

    code = "video_not_ready"
    status = 409


class ModelMismatch(AppError):
    """The collection was built with another model than the one that answers."""

    code = "model_mismatch"
    status = 409


class NotCalibrated(AppError):
    """A least confidence was requested, but nothing is fitted to the collection's model."""

    code = "not_calibrated"
    status = 409


class JobDidNotSucceed(AppError):
    """The job that a search waits for has failed or was canceled."""

    code = "job_did_not_succeed"
    status = 409


class DeadlineExceeded(AppError):
    """The job that a search waits for has not ended within the request's deadline."""

    code = "deadline_exceeded"
    status = 504


class CursorExpired(AppError):
    """The state that a cursor refers to no longer exists."""

    code = "cursor_expired"
    status = 410


class ContentNotFound(AppError):
    """The video's bytes are not in the media store."""

    code = "content_not_found"
    status = 404


class ThumbnailNotFound(AppError):
    """No thumbnail of that moment exists (yet)."""

    code = "thumbnail_not_found"
    status = 404


class ModelNotFound(AppError):
    """Another model was named than the one that answers."""

    code = "model_not_found"
    status = 404


class MalformedRequest(AppError):
    """The bytes received are not HTTP."""

    code = "malformed_request"
    status = 400


class RequestTimeout(AppError):
    """The head or the body of a request arrives too slowly."""

    code = "request_timeout"
    status = 408


class HeadTooLarge(AppError):
    """The head of a request has too many lines or bytes."""

    code = "head_too_large"
    status = 431


class TooManyConnections(AppError):
    """The limit of open connections is reached, and none of them is idle."""

    code = "too_many_connections"
    status = 503
    retry_after_s = 1.0


class TooManyStreams(AppError):
    """The limit of open event streams is reached."""

    code = "too_many_streams"
    status = 503
    retry_after_s = 5.0


class Overloaded(AppError):
    """An answer would take too long, because of the requests that came before."""

    code = "overloaded"
    status = 503


class QueueFull(AppError):
    """The limit of videos that wait to be indexed is reached."""

    code = "queue_full"
    status = 429


class TooManyUploads(AppError):
    """The key has announced too many uploads without finishing them."""

    code = "too_many_uploads"
    status = 429


class QuotaExceeded(AppError):
    """What the key keeps on the disk without use has reached its limit."""

    code = "quota_exceeded"
    status = 507


class CatalogUnavailable(AppError):
    """The database does not answer."""

    code = "catalog_unavailable"
    status = 503
    retry_after_s = 5.0


class GpuOutOfMemory(AppError):
    """The GPU has too little free memory for the model's work; other work may end and free some."""

    code = "gpu_oom"
    status = 503
    retry_after_s = 5.0


class OutOfMemory(AppError):
    """The worker was refused memory; other work may end and free some."""

    code = "out_of_memory"
    status = 503
    retry_after_s = 5.0


class PreconditionFailed(AppError):
    """The file is not the one that the request's conditions name."""

    code = "precondition_failed"
    status = 412


class RangeNotSatisfiable(AppError):
    """The file has none of the requested bytes; `headers` say how many it has."""

    code = "range_not_satisfiable"
    status = 416
