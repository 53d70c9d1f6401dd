"""Traces: one tree of spans through the API, the worker and an ingest; nothing unless asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.settings import SettingsError
from app.telemetry.tracing import tracing
from tests.app.conftest import write_clip
from tests.app.stack import SEARCH, Stack

Spans = Callable[[], dict[str, ReadableSpan]]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """What has been recorded in the test, by name."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    # the process's own provider can be set once only, and would stay for the tests that follow
    monkeypatch.setattr("app.telemetry.tracing._tracer", provider.get_tracer("test"))
    return lambda: {span.name: span for span in kept.get_finished_spans()}


def test_a_search_is_one_trace_through_both_processes(stack: Stack, spans: Spans) -> None:
    """The caller's trace goes on: request, call, and what the worker did for it."""
    outside = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    stack.api.post(SEARCH, json={"text": "red"}, headers={"traceparent": outside})
    found = spans()
    request = found["POST /v1/collections/{collection}/search"]
    call, work = found["POST /text"], found["worker /text"]
    assert trace.format_trace_id(request.context.trace_id) == outside.split("-")[1]
    assert [call.parent.span_id, work.parent.span_id] == [
        request.context.span_id,
        call.context.span_id,
    ]
    assert request.attributes["http.response.status_code"] == 200


def test_an_ingest_is_a_trace_with_its_stages(stack: Stack, spans: Spans, tmp_path: Path) -> None:
    """Where the time of a slow job went."""
    video = stack.ingest(write_clip(tmp_path / "a.mp4", seconds=1.0))
    ingest = spans()["ingest"]
    assert ingest.attributes["video_id"] == video["id"]
    for stage in ("probe", "encode", "commit"):
        assert spans()[stage].parent.span_id == ingest.context.span_id


def test_traces_that_cannot_be_sent_refuse_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for traces and has not installed what it takes is told at once."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with (
        pytest.raises(SettingsError, match=r"xclip-search\[otel\]"),
        tracing("http://127.0.0.1:4318", "api"),
    ):
        pass
