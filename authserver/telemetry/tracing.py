"""A span for each request that decides something. Importing this needs the extra ``otel``.

OpenTelemetry's own environment variables configure it. Every attribute of a span is from a closed set.
"""

import threading
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

from authserver.telemetry.context import TraceParent

DECISION: Final = tuple(f"authserver.{label}" for label in ("source", "resource", "grant", "outcome", "reason"))
"""What a span says of the decision that was made in it."""

PATIENCE: Final = 2.0
"""Seconds that a process which ends waits until its last spans are taken."""


class Tracing:
    """Makes spans of server kind, and hands them to ``processor`` when they end."""

    def __init__(self, processor: SpanProcessor, *, version: str, environment: str, patience: float = PATIENCE) -> None:
        own = {
            "service.name": "authserver",
            "service.version": version,
            "deployment.environment.name": environment,
            **OTELResourceDetector().detect().attributes,  # what the operator's environment says wins
        }
        self._provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("authserver", version)
        self._patience = patience

    def start(self, route: str, method: str, parent: TraceParent | None) -> "RequestSpan":
        """A span that begins now, below the caller's where there is one."""
        context = None if parent is None else set_span_in_context(NonRecordingSpan(_remote(parent)))
        attributes = {"http.route": route, "http.request.method": method}
        return RequestSpan(self._tracer.start_span(f"{method} {route}", context, SpanKind.SERVER, attributes))

    def close(self) -> None:
        """Send what has not been sent, for as long as there is patience: a collector that is away holds nobody up."""
        last = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(self._patience)


class RequestSpan:
    """The span of one request."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def place(self) -> TraceParent:
        """This span as lines and events name it."""
        own = self._span.get_span_context()
        return TraceParent(format_trace_id(own.trace_id), format_span_id(own.span_id), own.trace_flags.sampled)

    def note(self, labels: tuple[str, ...]) -> None:
        """Say what was decided, in the words of :data:`DECISION`."""
        self._span.set_attributes(dict(zip(DECISION, labels, strict=True)))

    def end(self, status: int) -> None:
        """End with the HTTP status of the answer. That a request was refused is no error of the server's."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def over_http(*, version: str, environment: str) -> Tracing:
    """Tracing that sends spans in batches, by OTLP over HTTP, to where the environment says."""
    return Tracing(BatchSpanProcessor(OTLPSpanExporter()), version=version, environment=environment)


def _remote(parent: TraceParent) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
