"""A job's changes as they happen, over a real connection: streams, and answers that wait."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from app.catalog import Catalog
from app.catalog.records import Job
from app.main import create_app
from app.server.listener import bind, server_config
from app.service_urls import base_url
from app.services.ingest import job_watcher
from app.settings import Settings
from tests.app.catalog.samples import claim, complete, new_video
from tests.app.stack import assert_problem

LONGEST_WAIT_S = 60  # of an answer: whoever does not heed the end of a wait waits so long
PATIENCE_S = 300
_contents = count()


@dataclass(frozen=True)
class Served:
    """The API on a port of its own, and its catalog, in which the tests do a worker's work."""

    http: httpx.Client
    catalog: Catalog
    stop: Callable[[], None]

    def add_job(self) -> Job:
        return self.catalog.add_video_with_job("default", new_video(next(_contents)))[1]

    def done_job(self) -> Job:
        self.add_job()
        return complete(self.catalog, *claim(self.catalog))

    @contextmanager
    def following(self, job_id: str, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
        """Within the block the job's stream is open; iterates over its events."""
        with self.http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as answer:
            assert answer.status_code == httpx.codes.OK
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield events(answer.iter_lines())


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """What an EventSource makes of the lines, comments included."""
    event: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if line:
            event[name or "comment"] = value.strip()
        elif event:
            if "data" in event:
                event["data"] = json.loads(event["data"])
            yield event
            event = {}


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    settings = Settings(data_dir=folder, threads=1, shutdown_grace_s=PATIENCE_S)
    stopping = threading.Event()
    server = uvicorn.Server(server_config(create_app(settings, stopping=stopping), settings))
    listener = bind("127.0.0.1", 0)
    listener.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})

    def stop() -> None:
        """What a signal does."""
        stopping.set()
        server.should_exit = True
        thread.join()

    thread.start()
    url = base_url(*listener.getsockname())
    try:
        with httpx.Client(base_url=url, timeout=PATIENCE_S) as http:
            assert http.get("/livez").is_success
            with Catalog.open(settings.catalog_url) as catalog:
                yield Served(http, catalog, stop)
    finally:
        stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as opened:
        yield opened


def test_a_follower_sees_every_step(served: Served) -> None:
    """The job as it is, then each change with the job's revision as its id; the end closes it."""
    job = served.add_job()
    with served.following(job.id) as stream:
        first = next(stream)
        assert (first["event"], first["id"], first["data"]["status"]) == ("job", "0", "queued")
        began = time.monotonic()
        running, token = claim(served.catalog)
        assert next(stream)["data"]["status"] == "running"
        served.catalog.heartbeat(
            job.id, token, stage="encode", progress=0.5, lease_s=30, seconds=(6.0, 12.5)
        )
        seen = next(stream)
        assert (seen["id"], seen["data"]["stage"], seen["data"]["progress"]) == ("2", "encode", 0.5)
        assert (seen["data"]["seconds_done"], seen["data"]["seconds_total"]) == (6.0, 12.5)
        # half is done, so the rest takes about as long
        assert 0 <= seen["data"]["eta_s"] <= 1.2 * (time.monotonic() - began) + 0.1
        complete(served.catalog, running, token)
        last = next(stream)
        assert (last["data"]["status"], last["data"]["eta_s"]) == ("succeeded", None)
        assert next(stream, None) is None
    assert served.http.get(f"/v1/jobs/{job.id}").json() == last["data"]


def test_who_comes_back_gets_only_what_is_new(served: Served) -> None:
    """After the event that Last-Event-ID names; after the last one there is nothing: 204."""
    job = served.done_job()
    for seen in ("0", "1", "nonsense", "-1", str(job.revision + 1), "9" * 400):
        with served.following(job.id, **{"last-event-id": seen}) as stream:
            assert [event["id"] for event in stream] == [str(job.revision)]
    answer = served.http.get(
        f"/v1/jobs/{job.id}/events", headers={"last-event-id": str(job.revision)}
    )
    assert (answer.status_code, answer.content) == (204, b"")


def test_who_has_seen_the_newest_waits_for_the_next(served: Served) -> None:
    """Nothing is sent twice on the way."""
    job = served.add_job()
    with served.following(job.id, **{"last-event-id": "0"}) as stream:
        served.catalog.cancel_job(job.id)
        assert [event["data"]["status"] for event in stream] == ["canceled"]


def test_a_silent_stream_is_kept_open(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """By comments, which an EventSource passes over."""
    monkeypatch.setattr(job_watcher, "SILENCE_S", 0.0)
    job = served.add_job()
    with served.following(job.id, **{"last-event-id": "0"}) as stream:
        assert next(stream) == {"comment": "ping"}
        served.catalog.cancel_job(job.id)
        assert [event["id"] for event in stream if "id" in event] == ["1"]


def test_streams_are_counted_and_a_vanished_client_frees_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is told to come later; no stream is left over from those that were cut."""
    monkeypatch.setattr(job_watcher, "STREAMS_AT_ONCE", 1)
    with serving(tmp_path / "data") as served:
        job = served.add_job()
        url = f"/v1/jobs/{job.id}/events"
        with served.following(job.id) as stream:
            next(stream)
            refused = served.http.get(url)
            assert_problem(refused, 503, "too_many_streams")
            assert int(refused.headers["retry-after"]) > 0
            assert served.http.get(f"/v1/jobs/{job.id}").is_success
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with served.http.stream("GET", url) as answer:
                if answer.is_success:
                    break
            assert time.monotonic() < deadline, "the client is gone, but its place is not free"
            time.sleep(0.05)
        served.catalog.cancel_job(job.id)


def test_nobody_follows_a_job_that_is_not_there(served: Served) -> None:
    """An ordinary 404, not a stream that ends."""
    assert_problem(served.http.get("/v1/jobs/job_none/events"), 404, "job_not_found")


def test_an_answer_waits_for_the_end(served: Served, looked: threading.Event) -> None:
    """With Prefer: wait it comes as soon as the job has ended, and says that it waited."""
    job = served.add_job()

    def cancel() -> None:
        assert looked.wait(PATIENCE_S)
        served.catalog.cancel_job(job.id)

    canceling = threading.Thread(target=cancel)
    canceling.start()
    began = time.monotonic()
    answer = served.http.get(f"/v1/jobs/{job.id}", headers={"prefer": "wait=100"})
    canceling.join()
    assert time.monotonic() - began < LONGEST_WAIT_S
    assert answer.json()["status"] == "canceled"
    assert answer.headers["preference-applied"] == "wait=60"


def test_an_answer_waits_no_longer_than_asked(served: Served) -> None:
    """Then it is the job as it is; an ended job keeps nobody waiting."""
    job = served.add_job()
    began = time.monotonic()
    answer = served.http.get(f"/v1/jobs/{job.id}", headers={"prefer": "wait=1"})
    assert 0.9 < time.monotonic() - began < LONGEST_WAIT_S
    assert answer.json()["status"] == "queued"
    served.catalog.cancel_job(job.id)
    began = time.monotonic()
    answer = served.http.get(f"/v1/jobs/{job.id}", headers={"prefer": "wait=60"})
    assert time.monotonic() - began < LONGEST_WAIT_S
    ignored = served.http.get(f"/v1/jobs/{job.id}", headers={"prefer": "wait=soon"})
    assert "preference-applied" not in ignored.headers
    unknown = served.http.get("/v1/jobs/job_none", headers={"prefer": "wait=60"})
    assert_problem(unknown, 404, "job_not_found")


def test_a_stop_lets_nobody_wait(tmp_path: Path, looked: threading.Event) -> None:
    """Streams end and waiting answers come at once, so that they do not delay the end."""
    with serving(tmp_path / "data") as served:
        job = served.add_job()
        waited: list[httpx.Response] = []
        url, headers = f"/v1/jobs/{job.id}", {"prefer": "wait=60"}
        waiter = threading.Thread(
            target=lambda: waited.append(served.http.get(url, headers=headers))
        )
        with served.following(job.id) as stream:
            next(stream)
            waiter.start()
            assert looked.wait(PATIENCE_S)
            began = time.monotonic()
            served.stop()
            assert list(stream) == []
        waiter.join()
        assert time.monotonic() - began < LONGEST_WAIT_S
        assert waited[0].json()["status"] == "queued"
