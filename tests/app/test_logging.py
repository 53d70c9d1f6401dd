"""Logging: one line an event, in UTC, without the chatter of libraries."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from app.logging import configure_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Give the root logger back as it was."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    for name in ("alembic", "httpx", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_line_has_time_level_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    """A person and a log collector can both read it."""
    configure_logging("info")
    logging.getLogger("app.worker").info("job %s: done", "job_1")
    line = capsys.readouterr().err
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO app\.worker: job job_1: done\n", line
    )


def test_libraries_are_heard_only_when_something_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A readiness check every moment must not bury a failed job."""
    configure_logging("debug")
    logging.getLogger("httpx").info("HTTP Request: GET /livez")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    assert capsys.readouterr().err.count("\n") == 1


def test_a_quieter_level_quietens_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`error` means errors only, from everybody."""
    configure_logging("error")
    logging.getLogger("httpx").warning("slow")
    logging.getLogger("app").warning("odd")
    assert capsys.readouterr().err == ""
