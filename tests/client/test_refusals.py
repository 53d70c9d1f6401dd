"""The client's promises that no healthy service can show: refusals, strangers, cut connections."""

from __future__ import annotations

import httpx
import pytest

from xclip_search import ApiError, Client, ServiceAway
from xclip_search.schemas import Problem, ProblemField


def client(answer: httpx.Response | Exception, patience_s: float = 60) -> Client:
    """A client whose network gives one answer."""

    def respond(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(respond)
    return Client("http://service", transport=transport, patience_s=patience_s)


def test_a_problem_keeps_its_code_and_reasons() -> None:
    """Which field it is, and why; what the detail says besides is only that."""
    problem = Problem(
        type="urn:x",
        title="Unprocessable",
        status=422,
        detail="Refused: body.top_k.",
        code="invalid_request",
        request_id="req_1",
        errors=[ProblemField(loc=["body", "top_k"], msg="too large")],
    )
    answer = httpx.Response(422, content=problem.model_dump_json())
    with pytest.raises(ApiError) as refusal:
        client(answer).search(text="text", top_k=0)
    assert str(refusal.value) == "top_k: too large"
    assert (refusal.value.code, refusal.value.status) == ("invalid_request", 422)
    assert refusal.value.request_id == "req_1"
    assert refusal.value.errors == tuple(problem.errors or ())


def test_what_a_newer_service_adds_is_passed_over() -> None:
    """A field nobody here knows is no error: services and clients are not updated together."""
    body = {"items": [], "next_cursor": None, "added_in_version_9": 1}
    assert list(client(httpx.Response(200, json=body)).videos()) == []


@pytest.mark.parametrize("status", [200, 404, 500])
def test_another_server_is_recognised(status: int) -> None:
    """Something that answers, but not as this API does, is an error with a code."""
    with pytest.raises(ApiError) as refusal:
        client(httpx.Response(status, text="<h1>hello</h1>")).job("job_1")
    assert refusal.value.code == "unexpected_answer"


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut off"),
    ],
)
def test_no_answer_is_an_error_of_its_own(failure: Exception) -> None:
    """Whatever keeps an answer from coming, the caller can tell it from a refusal."""
    with pytest.raises(ServiceAway, match="http://service"):
        client(failure, patience_s=0).job("job_1")
    assert not client(failure).is_ready()


@pytest.mark.parametrize("url", ["", "localhost:8000", "http://[", "ftp://service"])
def test_a_bad_url_is_an_error_of_ours(url: str) -> None:
    """A URL that cannot be used ends in a sentence, not in a traceback."""
    with pytest.raises(ServiceAway):
        Client(url).job("job_1")


def test_a_key_goes_along_and_what_cannot_be_one_is_not_sent() -> None:
    """As a bearer token; a newline or an umlaut from the clipboard is named, not a traceback."""
    seen: list[str | None] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200, json={"ready": True, "checks": {}})

    for key in ("xclip_a_b", None):
        with Client("http://service", key, transport=httpx.MockTransport(respond)) as made:
            assert made.is_ready()
    assert seen == ["Bearer xclip_a_b", None]
    for wrong in ("", "a\nb", "schlüssel"):
        with pytest.raises(ApiError, match="key"):
            Client("http://service", wrong)


def test_what_is_left_out_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address and the key; what is given comes first, and a key is never printed."""
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"items": [], "next_cursor": None})

    monkeypatch.setenv("XCLIP_URL", "http://there:8000/")
    monkeypatch.setenv("XCLIP_API_KEY", "xclip_key")
    read = Client(transport=httpx.MockTransport(respond))
    given = Client("http://here", "other", transport=httpx.MockTransport(respond))
    assert [repr(read), repr(given)] == ["Client('http://there:8000')", "Client('http://here')"]
    assert [list(read.videos()), list(given.videos())] == [[], []]
    assert [(request.url.host, request.headers["authorization"]) for request in seen] == [
        ("there", "Bearer xclip_key"),
        ("here", "Bearer other"),
    ]
