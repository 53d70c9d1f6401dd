"""Every error of the worker is one kind of answer, with the status that its class carries."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from app.errors import ModelMismatch, ServiceError
from app.model_api.messages import MessageError
from app.worker import composition, errors
from app.worker.error_responses import ERROR_HANDLERS, error_response
from index.errors import InvalidVectors, TensorCorrupt, TensorNotFound, VectorStoreError
from xclip.errors import DecoderLost, VideoError, WeightsError

# The worker's wire: which status and code each class is answered with.
OWN: dict[type[ServiceError], tuple[int, str]] = {
    errors.NotInClipFolder: (400, "invalid_request"),
    errors.NotThisCatalog: (401, "not_this_catalog"),
    errors.CalibrationUnusable: (409, "calibration_unusable"),
    errors.TooManyScores: (422, "too_many_scores"),
    errors.ModelUnsound: (500, "model_unsound"),
    errors.ModelNotReady: (503, "model_not_ready"),
    errors.ModelLoading: (503, "model_loading"),
    errors.SchedulerFull: (503, "worker_busy"),
    errors.CallerGone: (503, "caller_gone"),
    errors.Interrupted: (503, "worker_failed"),
}
WIRE: dict[type[Exception], tuple[int, str]] = {
    **OWN,
    MessageError: (400, "invalid_request"),
    ModelMismatch: (409, "model_mismatch"),
    VideoError: (422, "video_error"),
    **{leaf: (422, leaf.code) for leaf in VideoError.__subclasses__()},
    DecoderLost: (503, "decoder_lost"),
    VectorStoreError: (500, "vector_store_error"),
    InvalidVectors: (500, "invalid_vectors"),
    TensorNotFound: (500, "tensor_not_found"),
    TensorCorrupt: (500, "tensor_corrupt"),
    WeightsError: (500, "weights_invalid"),
    RuntimeError: (500, "worker_failed"),
}


def make_client(error: Exception) -> TestClient:
    async def fail(_: Request) -> Response:
        raise error

    app = Starlette(routes=[Route("/fail", fail)], exception_handlers=ERROR_HANDLERS)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(("kind", "wire"), WIRE.items(), ids=lambda value: str(value)[:60])
def test_each_error_has_one_status_its_code_and_its_message(
    kind: type[Exception], wire: tuple[int, str]
):
    """The status and the code are those of the wire, and the message is the error's."""
    status, code = wire
    answer = make_client(kind("why")).get("/fail")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"code": code, "message": "why"}


def test_no_error_of_the_worker_is_left_out():
    """The table above has every error class that any module of the worker defines."""
    assert composition  # which imports all the others
    every = _descendants(ServiceError)
    defined = {kind for kind in every if kind.__module__.startswith("app.worker.")}
    assert defined == set(OWN)


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_a_refusal_outside_a_route_is_the_same_answer(kind: type[ServiceError]):
    """What a middleware answers directly does not differ from what the handlers answer."""
    direct, handled = error_response(kind("why")), make_client(kind("why")).get("/fail")
    assert (direct.status_code, direct.body) == (handled.status_code, handled.content)


def _descendants(kind: type[ServiceError]) -> set[type[ServiceError]]:
    below = set(kind.__subclasses__())
    return below.union(*(_descendants(leaf) for leaf in below))
