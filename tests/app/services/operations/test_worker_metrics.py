"""Metrics federation: several workers' metrics in one text, told apart by the label `worker`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.services.operations.worker_metrics import join_worker_metrics
from app.telemetry.metrics import WorkerMetrics

names = st.text("abc-.0123456789", min_size=1, max_size=6)


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(
    st.dictionaries(names, st.dictionaries(names, st.integers(0, 10**6), max_size=4), max_size=4)
)
def test_every_sample_of_every_worker_is_there_once(workers: dict[str, dict[str, int]]) -> None:
    """With its own labels, its value, and the name of its worker."""
    texts = {}
    for worker, values in workers.items():
        registry = CollectorRegistry()
        gauge = Gauge("load", "Load now.", ["path"], registry=registry)
        for path, value in values.items():
            gauge.labels(path).set(value)
        texts[worker] = generate_latest(registry)
    assert samples(join_worker_metrics(texts)) == {
        ("load", frozenset({("path", path), ("worker", worker)})): value
        for worker, values in workers.items()
        for path, value in values.items()
    }


def test_a_metric_is_described_once() -> None:
    """Prometheus refuses a text that declares a metric twice."""
    first, second = WorkerMetrics(), WorkerMetrics()
    first.model_calls_waiting.set(2)
    texts = {
        "w1": generate_latest(first.registry),
        "w2": generate_latest(second.registry),
    }
    joined = join_worker_metrics(texts).decode()
    declared = [line for line in joined.splitlines() if line.startswith("# TYPE")]
    assert len(declared) == len(set(declared))
    assert 'xclip_model_calls_waiting{worker="w1"} 2.0' in joined
    assert 'xclip_model_calls_waiting{worker="w2"} 0.0' in joined


def test_the_buckets_of_a_histogram_keep_their_bounds() -> None:
    """Quantiles over all workers can still be computed."""
    registry = CollectorRegistry()
    histogram = Histogram("wait_seconds", "Wait.", buckets=(1, 2), registry=registry)
    for seconds in (0.5, 1.5, 9):
        histogram.observe(seconds)
    found = samples(join_worker_metrics({"w": generate_latest(registry)}))
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "wait_seconds_bucket"
    }
    assert buckets == {"1.0": 1, "2.0": 2, "+Inf": 3}


def test_no_worker_has_no_metrics() -> None:
    """While all workers are away the text is empty, and still well formed."""
    assert join_worker_metrics({}) == b""
