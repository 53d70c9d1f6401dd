"""Start-time fair queueing: whose ingest job comes next, so that nothing waits for one key's many.

Each flow (a key, and within it a collection) has a clock of the service that it has received. The
flow whose clock is behind all others has the next turn. A flow that had no work for a while starts
at the time the others have reached: idleness earns no credit, and no debt has to be waited for.
Service is measured in seconds of a worker's slot, so that one long video counts as many short ones.

P. Goyal, H. Vin, H. Cheng: Start-time Fair Queueing (1996).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

# What an attempt counts at least: a job that ends at once still took a turn.
LEAST_CHARGE_S: Final = 1.0
# And at most: a clock that is set must not put a flow behind all others for days.
MOST_CHARGE_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Flow:
    """The jobs of one key, or of one of its collections.

    first : id of its oldest job that may be begun; ids ascend with time
    served_s : its clock, without the jobs that run now
    running_s : what those will have taken
    """

    first: str
    served_s: float = 0.0
    running_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """The flow that is next.

    served_s : what its clock, without the jobs that run now, is to show from now on
    reached_s : the time that all flows have reached
    """

    name: str
    served_s: float
    reached_s: float


def next_turn(flows: Mapping[str, Flow], reached_s: float) -> Turn:
    """Of at least one flow, the one that has received the least; of several, the oldest job's."""

    def start_s(flow: Flow) -> float:
        return max(flow.served_s + flow.running_s, reached_s)

    name, flow = min(flows.items(), key=lambda item: (start_s(item[1]), item[1].first))
    return Turn(name, start_s(flow) - flow.running_s, start_s(flow))


def charge_s(elapsed_s: float) -> float:
    """What an attempt that lasted so long counts."""
    return min(max(elapsed_s, LEAST_CHARGE_S), MOST_CHARGE_S)


def expected_s(price_s: float | None, elapsed_s: float) -> float:
    """What an attempt that runs will have counted, as far as is known."""
    return charge_s(max(price_s or 0.0, elapsed_s))


def joined(flows: Iterable[Flow], served_s: float) -> Flow:
    """One flow of several, with a clock of its own."""
    parts = list(flows)
    return Flow(min(flow.first for flow in parts), served_s, sum(flow.running_s for flow in parts))
