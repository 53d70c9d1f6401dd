"""RFC 9110 over every kind of file that is handed out: conditions, ranges, HEAD, caching."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

import httpx
import pytest

from tests.app.stack import VIDEOS, Stack, assert_problem

KINDS = ("content", "thumbnail", "sprite", "sprite.vtt", "clip?start=1&end=2")


@dataclass(frozen=True)
class Served:
    """One file as it is answered without conditions."""

    library: Stack
    url: str
    whole: httpx.Response

    @property
    def bytes(self) -> bytes:
        return self.whole.content

    def get(self, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.library.api.get(self.url, headers=named)

    def when(self, days: int) -> str:
        """So many days after the file became what it is."""
        modified = parsedate_to_datetime(self.whole.headers["last-modified"])
        return format_datetime(modified + timedelta(days=days), usegmt=True)


@pytest.fixture(scope="module", params=KINDS)
def served(library: Stack, request: pytest.FixtureRequest) -> Iterator[Served]:
    video = library.api.get(VIDEOS, params={"limit": 1}).json()["items"][0]
    url = f"{VIDEOS}/{video['id']}/{request.param}"
    whole = library.api.get(url)
    assert whole.status_code == 200, whole.text
    return Served(library, url, whole)


def test_the_whole_says_what_may_be_asked_of_it(served: Served):
    """Its length, a strong tag, its age, that ranges are served and for how long it may be kept."""
    headers = served.whole.headers
    assert headers["content-length"] == str(len(served.bytes))
    assert headers["accept-ranges"] == "bytes"
    assert headers["etag"].startswith('"')
    assert parsedate_to_datetime(headers["last-modified"])
    assert headers["cache-control"] == "private, max-age=86400, immutable"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=5-", 5, None),
        ("bytes=-7", -7, None),
        ("bytes=-99999999999999999999999", 0, None),
        ("bytes=3-99999999999999999999999", 3, None),
        ("BYTES= 2-4 ", 2, 5),
    ],
)
def test_a_range_is_answered_with_its_bytes(
    served: Served, asked: str, start: int, end: int | None
):
    """14.1.2: closed, open, from the end; more than there is means as much as there is."""
    answer = served.get(range=asked)
    expected = served.bytes[start:end]
    first = start % len(served.bytes)
    assert (answer.status_code, answer.content) == (206, expected)
    last = first + len(expected) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(served.bytes)}"
    assert answer.headers["content-length"] == str(len(expected))
    for name in ("etag", "last-modified", "cache-control", "content-type"):
        assert answer.headers[name] == served.whole.headers[name]


@pytest.mark.parametrize("asked", ["bytes={size}-", "bytes={size}-{size}", "bytes=-0"])
def test_a_range_without_a_byte_is_416_with_the_length(served: Served, asked: str):
    """15.5.17: Content-Range says how many there are."""
    answer = served.get(range=asked.format(size=len(served.bytes)))
    assert_problem(answer, 416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(served.bytes)}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=4-2", "bytes=", "bytes=--1", "furlongs=1-2", "bytes 1-2", "bytes=0-1,4-5"],
)
def test_a_range_that_is_none_or_several_is_answered_with_all_of_it(served: Served, asked: str):
    """14.2: what is not understood is ignored, and so may be several ranges."""
    answer = served.get(range=asked)
    assert (answer.status_code, answer.content) == (200, served.bytes)
    assert "content-range" not in answer.headers


def test_a_range_of_another_version_is_answered_with_all_of_it(served: Served):
    """13.1.5: If-Range holds for this strong tag and this very date, and for nothing else."""
    headers = served.whole.headers
    for current in (headers["etag"], headers["last-modified"]):
        assert served.get(range="bytes=1-2", if_range=current).status_code == 206
    for other in ('"other"', f"W/{headers['etag']}", served.when(-1), served.when(1), "rubbish"):
        answer = served.get(range="bytes=1-2", if_range=other)
        assert (answer.status_code, answer.content) == (200, served.bytes)


def test_what_the_client_has_is_not_sent_again(served: Served):
    """13.1.2 and 13.1.3: 304 by tag, weakly compared, or by date where no tag is named."""
    tag = served.whole.headers["etag"]
    for held in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = served.get(if_none_match=held)
        assert (answer.status_code, answer.content) == (304, b"")
        for name in ("etag", "cache-control"):
            assert answer.headers[name] == served.whole.headers[name]
        assert "content-length" not in answer.headers
    assert served.get(if_modified_since=served.when(0)).status_code == 304
    for stale in (
        {"if_none_match": '"x"'},
        {"if_none_match": '"x"', "if_modified_since": served.when(1)},
        {"if_modified_since": served.when(-1)},
        {"if_modified_since": "yesterday"},
    ):
        assert served.get(**stale).status_code == 200
    assert served.get(range="bytes=0-1", if_none_match=tag).status_code == 304


def test_a_condition_that_does_not_hold_is_412(served: Served):
    """13.1.1 and 13.1.4: If-Match compares strongly and goes before If-Unmodified-Since."""
    tag = served.whole.headers["etag"]
    for missed in (
        {"if_match": '"x"'},
        {"if_match": f"W/{tag}"},
        {"if_unmodified_since": served.when(-1)},
    ):
        assert_problem(served.get(**missed), 412, "precondition_failed")
    for met in (
        {"if_match": tag, "if_unmodified_since": served.when(-1)},
        {"if_match": "*"},
        {"if_unmodified_since": served.when(0)},
    ):
        assert served.get(**met).status_code == 200


def test_head_is_get_without_the_bytes_and_without_ranges(served: Served):
    """9.3.2 and 14.2: the same headers; a Range is defined for GET only."""
    for headers in ({}, {"range": "bytes=0-1"}):
        answer = served.library.api.head(served.url, headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "last-modified", "cache-control"):
            assert answer.headers[name] == served.whole.headers[name]
    held = served.library.api.head(
        served.url, headers={"if-none-match": served.whole.headers["etag"]}
    )
    assert held.status_code == 304
