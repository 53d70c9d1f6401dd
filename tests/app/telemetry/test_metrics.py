"""Metrics: gauges that are read when they are scraped, in registries of their own."""

from __future__ import annotations

import pytest

from app.telemetry.metrics import Metrics, WorkerMetrics


@pytest.mark.parametrize("make", [Metrics, WorkerMetrics])
def test_two_sets_of_metrics_share_nothing(make: type[Metrics | WorkerMetrics]) -> None:
    """Two services in one process count for themselves."""
    first, second = make(), make()
    assert first.registry is not second.registry


def test_a_lane_is_read_when_it_is_scraped() -> None:
    """The gauge follows the numbers without being told of a change."""
    metrics = Metrics()
    now = {"working": 1, "waiting": 0}
    metrics.watch_limiter("search", lambda: now["working"], lambda: now["waiting"])

    def read(state: str) -> float | None:
        labels = {"lane": "search", "state": state}
        return metrics.registry.get_sample_value("xclip_lane_requests", labels)

    assert (read("working"), read("waiting")) == (1, 0)
    now.update(working=4, waiting=9)
    assert (read("working"), read("waiting")) == (4, 9)


@pytest.mark.parametrize(
    ("several", "labels"), [(False, {}), (True, {"worker": "w1"})], ids=["one", "several"]
)
def test_a_worker_is_named_only_where_there_are_several(
    several: bool, labels: dict[str, str]
) -> None:
    """Dashboards of a service with one worker keep their time series."""
    metrics = Metrics(several_workers=several)
    (metrics.worker_up.labels("w1") if several else metrics.worker_up).set(1)
    assert metrics.registry.get_sample_value("xclip_worker_up", labels) == 1
