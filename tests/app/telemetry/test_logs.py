"""Logging: one line an event, in UTC, without the chatter of libraries."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest

from app.settings import LogFormat
from app.telemetry.context import for_job, for_request
from app.telemetry.logs import configure_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Give the root logger back as it was."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    for name in ("alembic", "faiss.loader", "httpx", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_line_has_time_level_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    """A person and a log collector can both read it."""
    configure_logging("info", "text")
    logging.getLogger("app.worker").info("job %s: done", "job_1")
    line = capsys.readouterr().err
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO app\.worker: job job_1: done\n", line
    )


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_line_holds_a_password_of_a_url(
    form: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a message of a library nor the text of an exception."""
    configure_logging("info", form)
    try:
        raise ValueError("postgresql://xclip:secret@db/xclip does not answer")
    except ValueError:
        logging.getLogger("app").exception("proxy %s failed", "http://user:secret@proxy:3128")
    line = capsys.readouterr().err
    assert "secret" not in line
    assert "***@proxy:3128" in line
    assert "***@db/xclip" in line


def test_libraries_are_heard_only_when_something_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A readiness check every moment must not bury a failed job."""
    configure_logging("debug", "text")
    logging.getLogger("httpx").info("HTTP Request: GET /livez")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    assert capsys.readouterr().err.count("\n") == 1


def test_a_quieter_level_quietens_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`error` means errors only, from everybody."""
    configure_logging("error", "text")
    logging.getLogger("httpx").warning("slow")
    logging.getLogger("app").warning("odd")
    assert capsys.readouterr().err == ""


def test_json_is_an_object_a_line_with_ids_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """A collector needs no parser of its own, and finds all that was done for a request or job."""
    configure_logging("info", "json")
    with for_request("req_1"), for_job("job_1"):
        logging.getLogger("app.worker").info("stage %s", "encode", extra={"fields": {"share": 0.5}})
    line = json.loads(capsys.readouterr().err)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "logger": "app.worker",
        "pid": os.getpid(),
        "message": "stage encode",
        "request_id": "req_1",
        "job_id": "job_1",
        "share": 0.5,
    }


def test_an_exception_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback of many lines is one event."""
    configure_logging("info", "json")
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        logging.getLogger("app").exception("it failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: broken\nin two" in json.loads(line)["exception"]


def test_text_names_what_the_line_is_for_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Ids that the message has already are not repeated behind it."""
    configure_logging("info", "text")
    with for_request("req_1"), for_job("job_1"):
        logging.getLogger("app").info("job job_1: begun")
    assert capsys.readouterr().err.endswith("INFO app: job job_1: begun request_id=req_1\n")


def test_what_a_thread_does_for_a_request_is_logged_for_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Most work is done in threads of a pool, which others use next."""
    configure_logging("info", "text")

    async def serve() -> None:
        with for_request("req_1"):
            await anyio.to_thread.run_sync(logging.getLogger("app").info, "within")
        await anyio.to_thread.run_sync(logging.getLogger("app").info, "after")

    anyio.run(serve)
    within, after = capsys.readouterr().err.splitlines()
    assert within.endswith("within request_id=req_1")
    assert after.endswith("after")
