"""`Prefer: wait=N` as RFC 7240 writes it."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.routes.prefer_header import LONGEST_WAIT_S, Prefer, prefer_wait

LONG_NUMBER = "9" * 5_000


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5.0),
        ("wait=0", 0.0),
        ("Wait = 5", 5.0),
        ('wait="5"', 5.0),
        ('respond-async, wait="7"; strict', 7.0),
        ("respond-async, wait=5; strict", 5.0),
        ("wait=5, wait=9", 5.0),
        ('note="a, wait=9", wait=5', 5.0),
        (r'note="\", wait=9", wait=5', 5.0),
        ("wait=3600", LONGEST_WAIT_S),
        (f"wait={LONG_NUMBER}", LONGEST_WAIT_S),
    ],
)
def test_the_seconds_to_wait_are_read(header: str, seconds: float) -> None:
    """In any case and among other preferences; the first one counts, and a minute is the most."""
    assert prefer_wait(header) == seconds


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "respond-async", "waiting=5", "x; wait=5", 'note="wait=5'),
        *(
            "wait",
            "wait=",
            "wait=soon",
            "wait=-5",
            "wait=1.5",
            "wait=5 6",
            "wait=٥",
            'wait="5',
            'wait=""',
        ),
        *("wait=x, wait=5", ",,;;==", '"' * 2_000, '"\\' * 2_000),
    ],
)
def test_what_cannot_be_read_is_ignored(header: str | None) -> None:
    """A preference is never a reason to refuse a request."""
    assert prefer_wait(header) is None


def test_headers_that_come_twice_are_one_list() -> None:
    """As for every list in HTTP."""
    app = FastAPI()

    @app.get("/")
    async def asked(prefer: Prefer) -> float | None:
        return prefer_wait(prefer)

    with TestClient(app) as client:
        headers = [("prefer", "respond-async"), ("prefer", "wait=7")]
        assert client.get("/", headers=headers).json() == 7.0
        assert client.get("/").json() is None
