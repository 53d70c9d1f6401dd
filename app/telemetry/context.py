"""Context variables: the request and the job that work is done for.

The ids follow a request through threads and, in a header, to the worker; every log line that is
written on the way carries them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

REQUEST_ID_HEADER = "x-request-id"

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_job_id: ContextVar[str | None] = ContextVar("job_id", default=None)


@contextmanager
def for_request(request_id: str | None) -> Iterator[None]:
    """What happens within the block happens for this request."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


@contextmanager
def for_job(job_id: str) -> Iterator[None]:
    """What happens within the block happens for this job."""
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)


def current_request_id() -> str | None:
    """The id of the request that is being served here, if one is."""
    return _request_id.get()


def current_ids() -> dict[str, str]:
    """The ids there are, by name: `request_id`, `job_id`."""
    ids = {"request_id": _request_id.get(), "job_id": _job_id.get()}
    return {name: value for name, value in ids.items() if value is not None}
