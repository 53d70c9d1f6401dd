"""Context variables: ids hold within their block, also across threads and tasks."""

from __future__ import annotations

import threading

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.telemetry.context import current_ids, current_request_id, for_job, for_request


def test_outside_of_a_block_there_are_no_ids() -> None:
    """A line that belongs to no request names none."""
    assert current_ids() == {}
    assert current_request_id() is None


@given(st.lists(st.text(min_size=1, max_size=5), max_size=6))
def test_the_innermost_block_counts_and_the_outer_one_comes_back(ids: list[str]) -> None:
    """Blocks nest to any depth like a stack."""

    def enter(depth: int) -> None:
        expected = ids[depth - 1] if depth else None
        assert current_request_id() == expected
        if depth < len(ids):
            with for_request(ids[depth]):
                enter(depth + 1)
            assert current_request_id() == expected

    enter(0)


def test_a_request_without_an_id_hides_the_outer_one() -> None:
    """A call that brings no id is not logged as part of another request."""
    with for_request("req_1"), for_request(None):
        assert current_ids() == {}


def test_a_request_and_a_job_have_an_id_each() -> None:
    """Work for a job that a request asked for carries both names."""
    with for_request("req_1"), for_job("job_1"):
        assert current_ids() == {"request_id": "req_1", "job_id": "job_1"}


@pytest.mark.parametrize("block", [for_request, for_job], ids=["request", "job"])
def test_an_error_ends_the_block_too(block: type) -> None:
    """The next request on this thread does not inherit the id of one that failed."""
    with pytest.raises(OSError, match="gone"), block("id_1"):
        raise OSError("gone")
    assert current_ids() == {}


def test_tasks_side_by_side_keep_their_own_ids() -> None:
    """Requests that take turns on one event loop do not mix."""
    seen: dict[str, str | None] = {}

    async def serve(name: str) -> None:
        with for_request(name):
            await anyio.sleep(0)
            seen[name] = await anyio.to_thread.run_sync(current_request_id)

    async def serve_all() -> None:
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(serve, f"req_{number}")

    anyio.run(serve_all)
    assert seen == {name: name for name in seen}
    assert len(seen) == 10


def test_a_plain_thread_begins_without_ids() -> None:
    """Background work is not logged as part of the request that happened to start it."""
    seen: list[dict[str, str]] = []
    with for_request("req_1"):
        thread = threading.Thread(target=lambda: seen.append(current_ids()))
        thread.start()
        thread.join()
    assert seen == [{}]
