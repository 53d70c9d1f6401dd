"""A process that holds or seeks jobs as a worker does, on the machine's clock as it finds it.

    python -m tests.faults.clock_peer URL LEASE_S

It answers each line that it reads with one line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime

from app.catalog import Catalog
from app.catalog.records import Job
from app.clock import SystemClock
from app.worker.lease import Lease


def main() -> None:
    """Read orders until there are no more."""
    url, lease_s = sys.argv[1], float(sys.argv[2])
    with ExitStack() as stack:
        catalog = stack.enter_context(Catalog.open(url))

        def hold() -> str | None:
            job = catalog.claim_job("peer", lease_s)
            if job is None:
                return None
            stack.enter_context(lease_of(catalog, job, lease_s))
            return job.id

        orders = {"hold": hold, "time": lambda: datetime.now(UTC).isoformat()}
        for line in sys.stdin:
            print(json.dumps(orders[line.strip()]()), flush=True)


def lease_of(catalog: Catalog, job: Job, lease_s: float) -> Lease:
    """A lease that is kept while the process lives."""
    stopping = threading.Event()
    return Lease(
        catalog, job, lease_s, SystemClock(), stopping, lambda _: None, must_make_way=lambda: False
    )


if __name__ == "__main__":
    main()
