"""Errors of the worker, each with the status and the code that its callers get.

ServiceError
├── MessageError               400 invalid_request, of app.model_api.messages
├── NotInClipFolder            400 invalid_request
├── NotThisCatalog             401 not_this_catalog
├── ModelMismatch              409 model_mismatch, of app.errors
├── CalibrationUnusable        409 calibration_unusable
├── TooManyScores              422 too_many_scores
├── ModelUnsound               500 model_unsound
├── ModelNotReady              503 model_not_ready
├── ModelLoading               503 model_loading
├── GpuOutOfMemory             503 gpu_oom, of app.errors
├── OutOfMemory                503 out_of_memory, of app.errors
├── SchedulerFull              503 worker_busy
├── CallerGone                 503 caller_gone
└── Interrupted                503 worker_failed

`xclip` and `index` know no statuses: a VideoError is answered with 422, DecoderLost with 503 and
everything else with 500, under the code of the error where it has one
(`app.worker.error_responses`).
"""

from __future__ import annotations

from app.errors import ServiceError


class NotInClipFolder(ServiceError):
    """A file name outside the folder that requests may use."""

    code = "invalid_request"
    status = 400


class NotThisCatalog(ServiceError):
    """The caller does not know the secret of the worker's catalog."""

    code = "not_this_catalog"
    status = 401


class CalibrationUnusable(ServiceError):
    """A calibration that is missing, damaged or made for another model."""

    code = "calibration_unusable"
    status = 409


class TooManyScores(ServiceError):
    """The clip has more segments times labels than one answer may hold."""

    code = "too_many_scores"
    status = 422


class ModelUnsound(ServiceError):
    """The model answers, but not with numbers."""

    code = "model_unsound"


class ModelNotReady(ServiceError):
    """The model has not run yet; why not is in the worker's log."""

    code = "model_not_ready"
    status = 503


class ModelLoading(ServiceError):
    """The model is not in memory yet."""

    code = "model_loading"
    status = 503


class SchedulerFull(ServiceError):
    """The limit of calls that wait for the model is reached.

    An API admits few queries at once, so it takes many APIs, or a mistake, to get here.
    """

    code = "worker_busy"
    status = 503


class CallerGone(ServiceError):
    """The caller no longer waits for the answer, so it was not computed."""

    code = "caller_gone"
    status = 503


class Interrupted(ServiceError):
    """The work was told to stop; nothing is wrong with the file."""

    code = "worker_failed"
    status = 503
