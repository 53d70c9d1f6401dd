"""Start-time fair queueing: every key and collection gets its share, however much others queue."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations, count, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.catalog import Catalog
from app.catalog.fair_turns import Flow, next_turn
from tests.app.catalog.samples import HandClock, claim, new_video

LONGEST_S = 30
ARRIVALS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y"]), st.sampled_from([1, 4, 30])),
    min_size=2,
    max_size=14,
)
_contents = count()


class Line:
    """The queue of a catalog with the collections x and y, and one worker."""

    def __init__(self, catalog: Catalog, clock: HandClock) -> None:
        self.catalog, self.clock = catalog, clock
        for name in "xy":
            catalog.create_collection(name, model="m", window_s=5.0, stride_s=2.5)

    def add(self, owner: str, collection: str = "x") -> str:
        """One more job behind those of the owner's that are there; its id."""
        self.clock.advance(0.001)  # ids of one millisecond have no order
        new = new_video(next(_contents))
        return self.catalog.add_video_with_job(collection, new, owner=owner)[1].id

    def do(self, seconds: float) -> str:
        """The worker begins a job and ends it after so long; whose it is."""
        job, token = claim(self.catalog, lease_s=1e6)
        self.clock.advance(seconds)
        self.catalog.fail_job(job.id, token, code="c", message="m", retry=False)
        return job.owner


@pytest.fixture
def line(catalog: Catalog, clock: HandClock) -> Line:
    return Line(catalog, clock)


def test_received_seconds_never_differ_by_more_than_two_jobs(line: Line) -> None:
    """Of keys that wait all the time, and of collections of one key; each keeps its own order."""

    @given(ARRIVALS)
    @settings(max_examples=5, suppress_health_check=list(HealthCheck), deadline=None)
    def holds(arrivals: Sequence[tuple[str, str, int]]) -> None:
        seconds = {line.add(owner, name): taken for owner, name, taken in arrivals}
        left = Counter((owner, name) for owner, name, _ in arrivals)
        begun: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        received: Counter[tuple[str, ...]] = Counter()
        for _ in arrivals:
            job, token = claim(line.catalog, lease_s=1e6)
            line.clock.advance(seconds[job.id])
            line.catalog.fail_job(job.id, token, code="c", message="m", retry=False)
            begun[job.owner, job.collection].append(job.id)
            received[job.owner,] += seconds[job.id]
            received[job.owner, job.collection] += seconds[job.id]
            left[job.owner, job.collection] -= 1
            waiting = [flow for flow, jobs in left.items() if jobs]
            for one, other in combinations(sorted({(owner,) for owner, _ in waiting}), 2):
                assert abs(received[one] - received[other]) <= 2 * LONGEST_S
            for one, other in combinations(waiting, 2):
                if one[0] == other[0]:
                    assert abs(received[one] - received[other]) <= 2 * LONGEST_S
        assert all(jobs == sorted(jobs) for jobs in begun.values())

    holds()


def test_a_thousand_jobs_of_one_key_hold_nobody_back(line: Line) -> None:
    """The video of a key that comes last is begun next, and then every second time."""
    for _ in range(8):
        line.add("greedy", "x")
    assert [line.do(5) for _ in range(3)] == ["greedy"] * 3
    for _ in range(3):
        line.add("late", "x")
    turns = [line.do(5) for _ in range(6)]
    assert turns.count("late") == 3
    assert all({one, other} == {"late", "greedy"} for one, other in pairwise(turns))


def test_collections_of_one_key_take_turns(line: Line) -> None:
    """Without keys, too, where everything is one caller's."""
    for _ in range(8):
        line.add("anonymous", "x")
    urgent = line.add("anonymous", "y")
    line.do(5)
    job, _ = claim(line.catalog)
    assert job.id == urgent


def test_idleness_earns_no_credit(line: Line) -> None:
    """A key that comes after an hour of another's work gets every second turn, not an hour."""
    for _ in range(9):
        line.add("busy")
    for _ in range(6):
        line.do(600)
    for _ in range(6):
        line.add("new")
    assert line.do(600) == "new"
    assert {line.do(600), line.do(600)} == {"new", "busy"}


def test_what_runs_counts_by_its_price(line: Line) -> None:
    """A key whose long video occupies a worker lets others go before it on the next one."""
    for _ in range(3):
        line.add("long")
    for _ in range(3):
        line.add("short")
    giant, token = claim(line.catalog)
    assert giant.owner == "long"
    assert line.catalog.price_job(giant.id, token, 1000)
    assert [line.do(10) for _ in range(3)] == ["short"] * 3
    assert line.catalog.get_job(giant.id).price_s == 1000


def test_a_canceled_job_counts_what_it_took(line: Line) -> None:
    """Who thinks better of a long video after a second does not pay for all of it."""
    for owner in ("other", "hasty", "hasty", "other"):
        line.add(owner)
    line.do(10)
    giant, token = claim(line.catalog)
    line.catalog.price_job(giant.id, token, 1000)
    line.clock.advance(1)
    line.catalog.cancel_job(giant.id)
    assert [line.do(1), line.do(1)] == ["hasty", "other"]


def test_jobs_known_to_be_long_can_be_left_out(line: Line) -> None:
    """Those whose price is not known yet are not."""
    long, short, unknown = (line.add("a") for _ in range(3))
    looked_at = [(*claim(line.catalog), price_s) for price_s in (1000.0, 10.0)]
    for job, token, price_s in looked_at:
        line.catalog.price_job(job.id, token, price_s)
        line.catalog.release_job(job.id, token)
    for expected in (short, unknown):
        found = line.catalog.claim_job("w", 1e6, longest_s=60)
        assert found is not None
        assert found.id == expected
    assert line.catalog.claim_job("w", 1e6, longest_s=60) is None
    found = line.catalog.claim_job("w", 1e6)
    assert found is not None
    assert found.id == long


def test_a_deleted_collection_is_begun_anew(line: Line) -> None:
    """One of the same name starts where the others are."""
    line.add("a", "x")
    line.do(500)
    line.catalog.delete_collection("x")
    line.catalog.create_collection("x", model="m", window_s=5.0, stride_s=2.5)
    line.add("a", "y")
    first = line.add("a", "x")
    line.do(10)
    job, _ = claim(line.catalog)
    assert job.id == first


@given(
    st.dictionaries(
        st.sampled_from("abcde"),
        st.builds(Flow, st.uuids().map(str), st.floats(0, 1e6), running_s=st.floats(0, 1e4)),
        min_size=1,
    ),
    st.floats(0, 1e6),
)
def test_the_one_behind_has_the_turn_and_time_never_goes_back(
    flows: dict[str, Flow], reached_s: float
) -> None:
    """No clock that is chosen shows less than the time that all have reached."""
    turn = next_turn(flows, reached_s)
    assert turn.reached_s >= reached_s
    chosen = flows[turn.name]
    assert turn.served_s + chosen.running_s == pytest.approx(turn.reached_s)
    assert all(
        turn.reached_s <= max(flow.served_s + flow.running_s, reached_s) for flow in flows.values()
    )
