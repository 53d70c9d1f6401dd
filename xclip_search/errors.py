"""Client errors: what may go wrong between a client and the service.

ApiError            the service refused; carries the problem's code, status and sentence
├── ServiceAway     nothing answers at the URL, or the connection broke (code service_away)
└── StillWaiting    a job has not ended in the time that was given (code still_waiting)
"""

from __future__ import annotations

from collections.abc import Sequence

from xclip_search.schemas import ProblemField


class ApiError(Exception):
    """The service refused a request; `code` is stable, the message is a sentence.

    status : the HTTP status of the refusal, None if there was no answer
    retry_after_s : seconds after which to repeat the request, if the service says so
    request_id : under which the service has logged the request; None if there was no answer
    errors : where the request is wrong, and why
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
        errors: Sequence[ProblemField] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.errors = tuple(errors)


class ServiceAway(ApiError):
    """No answer came; `passing` says that the same request may well be answered in a moment."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__("service_away", message)
        self.passing = passing


class StillWaiting(ApiError):
    """The wait for a job took longer than its limit; the job goes on."""

    def __init__(self, job_id: str, timeout_s: float) -> None:
        super().__init__("still_waiting", f"{job_id} has not ended within {timeout_s:g} s.")
