"""Tracing: OpenTelemetry spans of requests, worker calls and ingests.

Without `XCLIP_OTLP_URL` they cost microseconds and go nowhere. With it they are sent there; that
takes the extra `otel`, and OpenTelemetry's own `OTEL_*` variables say the rest, such as headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind

from app.settings import SettingsError

TRACES_PATH = "/v1/traces"
_tracer = trace.get_tracer("xclip-search")


@contextmanager
def tracing(url: str | None, process: str) -> Iterator[None]:
    """Within the block the spans of this process are sent to `url`, if there is one.

    process : what the spans say they come from: xclip-search-api, xclip-search-worker

    Raises SettingsError where OpenTelemetry's SDK is missing.
    """
    if url is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(
            "XCLIP_OTLP_URL is set, but OpenTelemetry is not installed: "
            "pip install 'xclip-search[otel]'"
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": f"xclip-search-{process}"}))
    exporter = OTLPSpanExporter(endpoint=url.rstrip("/") + TRACES_PATH)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()  # sends what is left


@contextmanager
def serving(name: str, headers: Mapping[str, str]) -> Iterator[Span]:
    """A span of a request that is served, under the caller's if its headers name one."""
    with _tracer.start_as_current_span(
        name, context=propagate.extract(headers), kind=SpanKind.SERVER
    ) as span:
        yield span


@contextmanager
def calling(name: str, headers: MutableMapping[str, str]) -> Iterator[None]:
    """A span of a call to another process; `headers` are given what names the span there."""
    with _tracer.start_as_current_span(name, kind=SpanKind.CLIENT):
        propagate.inject(headers)
        yield


@contextmanager
def working(name: str, **attributes: str) -> Iterator[None]:
    """A span of some work, such as a job."""
    with _tracer.start_as_current_span(name, attributes=attributes):
        yield


def begin(name: str) -> Span:
    """A span that begins now under the current one, and that the caller has to end."""
    return _tracer.start_span(name)


def trace_id() -> str | None:
    """The id of the trace that is going on here, in hex, if one is recorded."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None
