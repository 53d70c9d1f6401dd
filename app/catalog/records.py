"""Records: the immutable values that the catalog takes and returns; no SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from index.protocol import TensorReference

Scalar: TypeAlias = bool | int | float | str | None
Json: TypeAlias = "Scalar | Sequence[Json] | Mapping[str, Json]"
Metadata: TypeAlias = Mapping[str, Json]
Filter: TypeAlias = Mapping[str, Json]  # as it came: filters.py reads it

UNNAMED: Final = "unnamed"
"""The name of a video whose file came without one."""

VideoStatus: TypeAlias = Literal["processing", "ready", "failed"]
JobStatus: TypeAlias = Literal["queued", "running", "succeeded", "failed", "canceled"]
ChangeKind: TypeAlias = Literal["add", "remove"]
RemovalKind: TypeAlias = Literal["content", "thumbnails", "tensor", "calibrations"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class RecordPage(Generic[Item]):
    """One page of a list; `next_cursor` is None on the last one."""

    items: tuple[Item, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of videos under one model and one segmentation.

    `id` is new each time a collection of that name is created, `sequence` counts the changes to
    its segments, `fingerprint` and `dim` are None until the first video is indexed.
    `calibration` names the confidence model fitted to it, `recall_candidates` is the number of
    candidates found to be enough for it; None are the model's own and the service's setting.
    """

    id: str
    name: str
    model: str
    fingerprint: str | None
    dim: int | None
    window_s: float
    stride_s: float
    metadata: Metadata
    sequence: int
    created_at: datetime
    calibration: str | None = None
    recall_candidates: int | None = None


@dataclass(frozen=True, slots=True)
class NewVideo:
    """An upload whose bytes are already safe in the media store."""

    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class UploadKey:
    """An Idempotency-Key under which its owner sent a request of that digest (SHA-256, hex)."""

    owner: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class AnsweredUpload:
    """What an upload was answered: the ids, and whether it had queued the job."""

    digest: str
    collection: str
    video_id: str
    job_id: str
    queued: bool


@dataclass(frozen=True, slots=True)
class NewUpload:
    """An upload announced to come in chunks; `length` in bytes, None if it will be told later."""

    length: int | None
    filename: str
    content_type: str
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class ResumableUpload:
    """An upload that comes in chunks; it has a video and a job once all of it has come.

    length : in bytes; None until it is told
    """

    id: str
    collection: str
    owner: str
    length: int | None
    filename: str
    content_type: str
    metadata: Metadata
    created_at: datetime
    expires_at: datetime
    video_id: str | None
    job_id: str | None


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the decoder learnt about a file: pixels as shown, seconds."""

    container: str
    codec: str
    width: int
    height: int
    duration_s: float
    lost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Video:
    """A video of the library; the facts are None until its first ingest succeeds.

    further_names : what the same bytes were called when they were sent again, in that order
    """

    id: str
    collection: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    status: VideoStatus
    container: str | None
    codec: str | None
    width: int | None
    height: int | None
    duration_s: float | None
    metadata: Metadata
    error_code: str | None
    error_message: str | None
    created_at: datetime
    job_id: str
    lost_s: float | None = None
    further_names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A window of a video, ready to be indexed; `position` counts from 0 in time order."""

    position: int
    start_s: float
    end_s: float
    tensor: TensorReference


@dataclass(frozen=True, slots=True)
class Segment:
    """A searchable window of a video; `row` is its id in the vector index and never reused."""

    id: str
    row: int
    video_id: str
    position: int
    start_s: float
    end_s: float
    tensor: TensorReference


@dataclass(frozen=True, slots=True)
class SegmentOfVideo:
    """A segment beside the video it belongs to, as one moment of the catalog saw them."""

    segment: Segment
    video: Video


@dataclass(frozen=True, slots=True)
class Job:
    """Slow work in the background; `lease_token` proves to the catalog who holds it.

    `revision` counts every change, `not_before` is when a queued one may be begun (again), and the
    seconds are those of the video that are done, and all of them. `owner` is the key that sent the
    video, and `price_s` an estimate of what its ingest takes, once a worker has looked at the file.
    """

    id: str
    kind: Literal["ingest"]
    collection: str
    video_id: str
    status: JobStatus
    stage: str | None
    progress: float
    attempts: int
    error_code: str | None
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    searchable_at: datetime | None
    lease_owner: str | None
    lease_token: str | None
    lease_expires_at: datetime | None
    revision: int = 0
    not_before: datetime | None = None
    seconds_done: float | None = None
    seconds_total: float | None = None
    owner: str = ""
    price_s: float | None = None


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels to classify with under a name, and the templates to put them in, if any."""

    name: str
    labels: tuple[str, ...]
    templates: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class LabelSetListing:
    """A label set without its labels; `size` is how many they are."""

    name: str
    size: int
    templates: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Removal:
    """Something on disk that a committed deletion has left without an owner.

    target : of `content` a SHA-256, of `thumbnails` a video's id, of `tensor` a file and a run of
        bytes in it, of `calibrations` a collection's id
    """

    id: int
    kind: RemovalKind
    target: str
    offset: int | None
    length: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PendingRemovals:
    """How much is still to be taken off the disk, and since when the oldest of it is."""

    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class TensorRun:
    """Bytes of a tensor file that one or several adjoining segments refer to."""

    file: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment and the vector kept with it, as the bytes they are; None where there is none."""

    segment: Segment
    vector: bytes | None


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """Rows that do not fit each other; `video_id` is the video's whose rows they are, if one's."""

    subject: str
    message: str
    video_id: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One step of a collection's sequence. `vector` is float32 of shape (D,) for an `add`.

    An `add` without one is of a row whose stored vector cannot be one.
    """

    sequence: int
    kind: ChangeKind
    row: int
    vector: npt.NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class VectorBatch:
    """Rows and their vectors, ready for an index.

    rows : int64, shape = (N,)
    vectors : float32, shape = (N, D)
    damaged : rows that are among them in the catalog, but without a vector that can be one
    last_row : the highest of all these rows
    """

    rows: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    damaged: tuple[int, ...]
    last_row: int
