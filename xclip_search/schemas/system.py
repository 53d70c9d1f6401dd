"""Wire models of system state: the model, problems (RFC 9457), and readiness."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from xclip_search.schemas.values import Answer


class QueueAnswer(Answer):
    """What is waiting for the model now."""

    jobs_queued: int
    jobs_running: int
    seconds_per_job: float | None = Field(description="average of the latest ingests")
    wait_seconds: float = Field(description="estimated wait of a video uploaded now")
    calls_waiting: int = Field(description="searches and other calls waiting for the model")


class ModelAnswer(Answer):
    """What the worker's model is, and what is waiting for it."""

    name: str
    fingerprint: str
    num_frames: int
    image_size: int
    dim: int
    prompt_shape: tuple[int, int]
    logit_scale: float
    device: str
    dtype: str
    queue: QueueAnswer


class ModelList(Answer):
    """The models that answer."""

    items: list[ModelAnswer]


class ProblemField(Answer):
    """Where a request is wrong, and why."""

    loc: list[str | int]
    msg: str


class Problem(Answer):
    """RFC 9457: why a request was not served."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemField] | None = None


class CheckAnswer(Answer):
    """Whether one dependency works, and what is wrong with it if not."""

    ok: bool
    detail: str


class ReadyAnswer(Answer):
    """Whether the service can do its work, by dependency."""

    ready: bool
    checks: Mapping[str, CheckAnswer]


class RemovalsAnswer(Answer):
    """What deletions still have to remove from the disk; the service keeps trying."""

    pending: int
    oldest: datetime | None = Field(description="when the oldest of them was deleted")


class DeletedAnswer(Answer):
    """Deleted and hidden, but partly still on the disk."""

    pending_removals: int
