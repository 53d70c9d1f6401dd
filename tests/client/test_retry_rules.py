"""The rules of retrying, over every kind of answer: what is sent again, when, and how often."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xclip_search import ApiError, ServiceAway, StillWaiting
from xclip_search.library import job, wait
from xclip_search.retries import FIRST_PAUSE_S, LONGEST_PAUSE_S, retried
from xclip_search.steps import Call, Flow, Pause, ask

Reply = httpx.Response | ServiceAway
REQUEST = httpx.Request("GET", "http://service/")
PASSING = (423, 429, 503)
JOB = {
    **dict.fromkeys(["stage", "seconds_done", "seconds_total", "eta_s", "not_before", "error"]),
    **dict.fromkeys(["started_at", "finished_at", "searchable_at"]),
    "id": "job_1",
    "kind": "ingest",
    "collection": "default",
    "video_id": "vid_1",
    "revision": 1,
    "progress": 0,
    "attempts": 1,
    "created_at": "2026-01-01T00:00:00Z",
}


def refused(status: int, retry_after: int | None = None, code: str = "overloaded") -> Reply:
    """A refusal by the service."""
    fields = {"type": "", "title": "", "detail": "No.", "request_id": "", "errors": None}
    content = json.dumps({**fields, "status": status, "code": code})
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return httpx.Response(status, content=content, headers=headers, request=REQUEST)


def served() -> Reply:
    """An answer."""
    return httpx.Response(200, request=REQUEST)


def job_is(status: str) -> Reply:
    """An answer about the job."""
    return httpx.Response(200, json={**JOB, "status": status}, request=REQUEST)


@dataclass
class Carried:
    """What an operation did with the replies it got, in order: calls, pauses and its end."""

    calls: list[Call]
    pauses: list[float]
    error: ApiError | None


def carry(flow: Flow[object], replies: Sequence[Reply], patience_s: float = 60) -> Carried:
    """Carry an operation out as a client does, without its network and without waiting."""
    left, done = list(replies), Carried([], [], None)
    steps = retried(flow, patience_s)
    try:
        step = next(steps)
        while True:
            if isinstance(step, Pause):
                done.pauses.append(step.seconds)
                step = steps.send(None)
                continue
            done.calls.append(step)
            reply = left.pop(0)
            step = steps.throw(reply) if isinstance(reply, Exception) else steps.send(reply)
    except StopIteration:
        assert not left, "more was answered than asked"
    except ApiError as error:
        done.error = error
    return done


def away(passing: bool) -> ServiceAway:
    """No answer."""
    return ServiceAway("away", passing=passing)


def passing_replies() -> st.SearchStrategy[Reply]:
    """What a repeatable call is sent again after."""
    busy = st.builds(refused, st.sampled_from(PASSING), st.none() | st.integers(0, 20))
    return busy | st.builds(away, st.just(True))


@given(
    replies=st.lists(passing_replies(), max_size=30),
    patience_s=st.floats(0, 90),
)
@example([refused(503, 20)] * 3, 60.0)
@example([refused(503, 20)] * 3, 59.9)
def test_patience_is_never_exceeded(replies: list[Reply], patience_s: float) -> None:
    """The pauses of a call add up to no more than its patience, however the service answers."""
    done = carry(ask(Call("GET", "/")), [*replies, served()], patience_s)
    assert sum(done.pauses) <= patience_s + 1e-9
    assert len(done.calls) == len(done.pauses) + 1
    if done.error is not None:  # the last reply is the error, and waiting for it had been too long
        asked = done.error.retry_after_s
        most = LONGEST_PAUSE_S if asked is None else asked
        assert sum(done.pauses) + most > patience_s


@given(st.lists(passing_replies(), min_size=1, max_size=12))
def test_a_pause_is_what_was_asked_for_or_grows_to_its_limit(replies: list[Reply]) -> None:
    """Without a Retry-After it lies between half and all of a bound that doubles up to 8 s."""
    pauses = carry(ask(Call("GET", "/")), [*replies, served()], patience_s=10**6).pauses
    assert len(pauses) == len(replies)
    for nth, (reply, pause) in enumerate(zip(replies, pauses, strict=True)):
        said = None if isinstance(reply, Exception) else reply.headers.get("retry-after")
        bound = min(FIRST_PAUSE_S * 2**nth, LONGEST_PAUSE_S)
        assert pause == float(said) if said is not None else bound / 2 <= pause <= bound


@pytest.mark.parametrize(
    ("reply", "repeatable", "again"),
    [
        *((refused(status), repeatable, True) for status in PASSING for repeatable in (0, 1)),
        *((refused(status), True, False) for status in (301, 400, 401, 403, 404, 409, 410, 422)),
        *((refused(status), True, False) for status in (500, 501, 502, 504, 507)),
        (refused(409, code="idempotency_in_flight"), True, True),
        (refused(409, code="idempotency_in_flight"), False, True),
        (away(passing=True), True, True),
        (away(passing=True), False, False),
        (away(passing=False), True, False),
        (away(passing=False), False, False),
    ],
)
def test_what_is_sent_again(reply: Reply, repeatable: bool, again: bool) -> None:
    """A refusal for now always; a lost answer only where serving it twice does no harm."""
    done = carry(ask(Call("POST", "/", repeatable=bool(repeatable))), [reply, served()])
    assert len(done.calls) == 1 + again
    assert (done.error is None) is again


@given(st.integers(200, 299))
def test_every_success_is_an_answer(status: int) -> None:
    """Whatever its number, it is not asked for again."""
    done = carry(ask(Call("GET", "/")), [httpx.Response(status, request=REQUEST)])
    assert (len(done.calls), done.error) == (1, None)


def test_each_call_of_an_operation_has_its_own_patience() -> None:
    """What the first one used up, the second one has again."""

    def two() -> Flow[None]:
        yield from ask(Call("GET", "/one"))
        yield from ask(Call("GET", "/two"))

    replies = [refused(503, 9), served(), refused(503, 9), served()]
    done = carry(two(), replies, patience_s=10)
    assert (done.error, done.pauses) == (None, [9, 9])


def test_an_operation_may_answer_an_error_itself() -> None:
    """It is raised where the call was made, and what follows is carried out."""

    def second_best() -> Flow[None]:
        try:
            yield from ask(Call("GET", "/missing"))
        except ApiError:
            yield from ask(Call("GET", "/instead"))

    done = carry(second_best(), [refused(404), served()])
    assert [call.path for call in done.calls] == ["/missing", "/instead"]
    assert done.error is None


@pytest.mark.parametrize("ended", ["succeeded", "failed", "canceled"])
def test_a_wait_ends_with_the_job_however_it_ended(ended: str) -> None:
    """It is told of each state on the way, the last one included."""
    told: list[str] = []
    flow = wait("job_1", on_change=lambda job: told.append(job.status))
    done = carry(flow, [job_is("queued"), job_is("running"), job_is(ended)])
    assert done.error is None
    assert told == ["queued", "running", ended]
    assert [call.headers["prefer"] for call in done.calls] == ["wait=1"] * 3


@pytest.mark.parametrize(
    ("timeout_s", "prefer"),
    [(None, 30), (1000, 30), (30, 30), (7.2, 7), (0.6, 1), (0.4, 0), (0, 0), (-5, 0)],
)
def test_a_wait_asks_for_no_more_than_is_left(timeout_s: float | None, prefer: int) -> None:
    """In whole seconds, as the header has them, and never for more than half a minute."""
    done = carry(wait("job_1", timeout_s=timeout_s), [job_is("succeeded")])
    assert [call.headers["prefer"] for call in done.calls] == [f"wait={prefer}"]


@pytest.mark.parametrize("timeout_s", [0, -1])
def test_a_wait_looks_once_before_it_gives_up(timeout_s: float) -> None:
    """Its error names the job and the limit, and is none that the service has sent."""
    done = carry(wait("job_1", timeout_s=timeout_s), [job_is("running")])
    assert isinstance(done.error, StillWaiting)
    assert (done.error.code, done.error.status) == ("still_waiting", None)
    assert str(done.error) == f"job_1 has not ended within {timeout_s} s."


def test_a_job_id_goes_into_its_path_whole() -> None:
    """Also one that no service would have given out."""
    done = carry(job("a/b?c"), [job_is("succeeded")])
    assert [call.path for call in done.calls] == ["/v1/jobs/a%2Fb%3Fc"]
