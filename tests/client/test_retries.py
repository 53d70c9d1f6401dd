"""Asking again: as late as the service says, as long as patience lasts, and never what may not."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import write_clip
from tests.app.stack import HERE, open_stack
from tests.client.conftest import Network
from xclip_search import ApiError, Client, ServiceAway

SERVICE = "http://service"


def scripted(
    *answers: httpx.Response | Exception, patience_s: float = 60
) -> tuple[Client, list[httpx.Request]]:
    """A client whose network gives these answers one after the other."""
    left, seen = list(answers), []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(respond)
    return Client(SERVICE, transport=transport, patience_s=patience_s), seen


def busy(retry_after: str | None, status: int = 503) -> httpx.Response:
    """A refusal for now."""
    body = {"type": "", "title": "", "detail": "Busy.", "code": "overloaded", "request_id": ""}
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return httpx.Response(status, json={**body, "status": status}, headers=headers)


def empty() -> httpx.Response:
    """A list of nothing."""
    return httpx.Response(200, json={"items": [], "next_cursor": None})


def test_a_full_queue_is_waited_for(
    tmp_path: Path, encoder: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service refuses a second job with 429; the client waits as told, and it is taken in."""
    with open_stack(tmp_path / "data", encoder, max_queued_jobs=1) as stack:
        waited: list[float] = []

        def work_meanwhile(seconds: float) -> None:
            waited.append(seconds)
            stack.puller.run_one()
            really_sleep(1.1)  # the service counts the queue once a second

        really_sleep = time.sleep
        monkeypatch.setattr("xclip_search.clients.time.sleep", work_meanwhile)
        network = Network(stack)
        client = Client(HERE, transport=network)
        client.upload(write_clip(tmp_path / "a.mp4", seconds=1, seed=1))
        really_sleep(1.1)
        uploaded = client.upload(write_clip(tmp_path / "b.mp4", seconds=1, seed=2))
        assert uploaded.is_new
        assert len(network.sent("POST")) == 3
        assert len(waited) == 1
        assert waited[0] >= 1  # whole seconds, as the header has them


def test_retry_after_is_kept_to(pauses: list[float]) -> None:
    """Seconds or a date; without it the pauses grow, and no two clients' are the same."""
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    client, seen = scripted(busy("7", 429), busy(at), empty())
    assert list(client.videos()) == []
    assert len(seen) == 3
    assert pauses[0] == 7
    assert 25 < pauses[1] <= 30
    pauses.clear()
    client, _ = scripted(*[busy(None)] * 6, empty())
    assert list(client.videos()) == []
    assert all(0.12 <= pause <= 8 for pause in pauses)
    assert pauses[-1] > pauses[0]
    assert len(set(pauses)) == 6


def test_patience_ends(pauses: list[float]) -> None:
    """Who asks for more time than is left is not asked again; the error says how much it was."""
    client, seen = scripted(busy("5"), busy("5"), busy("120"), patience_s=12)
    with pytest.raises(ApiError) as refused:
        list(client.videos())
    assert (refused.value.code, refused.value.retry_after_s) == ("overloaded", 120)
    assert (len(seen), pauses) == (3, [5, 5])


def test_what_will_not_change_is_not_asked_again(pauses: list[float]) -> None:
    """A refusal of the request itself is final."""
    for status in (400, 401, 403, 404, 409, 422, 500, 507):
        client, seen = scripted(busy(None, status), empty())
        with pytest.raises(ApiError):
            client.job("job_1")
        assert len(seen) == 1
    assert pauses == []


@pytest.mark.parametrize(
    ("ask", "times"),
    [
        (lambda client: client.search("a square"), 2),
        (lambda client: client.put_label_set("set", ["a", "b"]), 2),
        (lambda client: client.delete_video("vid_1"), 1),
        (lambda client: client.cancel("job_1"), 1),
    ],
)
@pytest.mark.usefixtures("pauses")
def test_a_lost_answer_is_asked_for_again_where_that_is_safe(
    ask: Callable[[Client], object], times: int
) -> None:
    """What would be answered otherwise the second time is left to the caller."""
    lost = httpx.ReadError("cut off")
    client, seen = scripted(empty(), lost, busy(None, 404))
    list(client.videos())
    with pytest.raises(ApiError) as failed:
        ask(client)
    assert len(seen) == 1 + times
    assert isinstance(failed.value, ServiceAway) is (times == 1)


def test_an_address_where_nobody_answers_is_said_at_once(pauses: list[float]) -> None:
    """Before the first answer it is the address that is wrong; after it the service comes back."""
    refused = httpx.ConnectError("refused")
    client, _ = scripted(refused)
    with pytest.raises(ServiceAway, match="xclip-search serve"):
        list(client.videos())
    assert pauses == []
    client, seen = scripted(empty(), refused, refused, empty())
    list(client.videos())
    assert list(client.videos()) == []
    assert (len(seen), len(pauses)) == (4, 2)
