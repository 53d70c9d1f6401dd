"""Wire models of system state: the model, problems (RFC 9457), and readiness."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from xclip_search.schemas.fields import ModelName
from xclip_search.schemas.values import Answer


class QueueAnswer(Answer):
    """What is waiting for the model now."""

    jobs_queued: int = Field(description="jobs that no worker has begun")
    jobs_running: int = Field(description="jobs that a worker works on")
    seconds_per_job: float | None = Field(description="average of the latest ingests")
    wait_seconds: float = Field(
        description="estimated seconds until a slot is free for a video uploaded now: by what is "
        "left of the jobs that run, and what those that wait take"
    )
    calls_waiting: int = Field(description="searches and other calls waiting for the model")


class ModelAnswer(Answer):
    """What the worker's model is, and what is waiting for it."""

    name: ModelName
    fingerprint: str = Field(description="hash of the checkpoint: tells two of one name apart")
    num_frames: int = Field(description="frames that the model sees of a segment")
    image_size: int = Field(description="width and height of such a frame in pixels")
    dim: int = Field(description="numbers in a vector")
    prompt_shape: tuple[int, int] = Field(
        description="rows and columns of what is stored of a segment beside its vector"
    )
    logit_scale: float = Field(
        description="by how much the model multiplies a cosine to get its score"
    )
    device: str = Field(description="what it runs on, such as cpu or cuda")
    dtype: str = Field(description="the type of its numbers, such as float32")
    queue: QueueAnswer = Field(description="what is waiting for the model")


class ModelList(Answer):
    """The models that answer."""

    items: list[ModelAnswer] = Field(description="one model for each kind that the workers run")


class ProblemField(Answer):
    """Where a request is wrong, and why."""

    loc: list[str | int] = Field(
        description="path to the value: body, query, path or header, then names and places"
    )
    msg: str = Field(description="what is wrong there")


class Problem(Answer):
    """RFC 9457: why a request was not served."""

    type: str = Field(description="URN of the code")
    title: str = Field(description="words for the status")
    status: int = Field(description="the HTTP status of the answer")
    detail: str = Field(description="what went wrong, for people")
    code: str = Field(
        description="what went wrong, for programs; it stays the same in later versions"
    )
    request_id: str = Field(description="under which the service has logged the request")
    errors: list[ProblemField] | None = Field(
        default=None,
        description="where the request is wrong, at most 20 places; null for other problems",
    )


class CheckAnswer(Answer):
    """Whether one dependency works, and what is wrong with it if not."""

    ok: bool = Field(description="whether it works")
    detail: str = Field(description="how it is, for people")


class ReadyAnswer(Answer):
    """Whether the service can do its work, by dependency."""

    ready: bool = Field(description="whether all of them work")
    checks: Mapping[str, CheckAnswer] = Field(
        description="the dependencies by name; empty for callers without a key"
    )


class RemovalsAnswer(Answer):
    """What deletions still have to remove from the disk; the service keeps trying."""

    pending: int = Field(description="how many of them are still to be taken off the disk")
    oldest: datetime | None = Field(description="when the oldest of them was deleted")


class DeletedAnswer(Answer):
    """Deleted and hidden, but partly still on the disk."""

    pending_removals: int = Field(description="how many of them are still to be taken off the disk")
