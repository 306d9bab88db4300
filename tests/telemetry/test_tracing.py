"""Spans, with OpenTelemetry's own SDK reading them."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from authserver.audit import Decision
from authserver.errors import Reason
from authserver.oauth import Grant
from authserver.settings import load
from authserver.telemetry import context
from authserver.telemetry.observer import Telemetry, open_tracing
from authserver.telemetry.tracing import DECISION, Tracing
from tests.served import write_configuration

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
ELSEWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Where spans go."""
    return InMemorySpanExporter()


@pytest.fixture
def telemetry(tmp_path: Path, spans: InMemorySpanExporter) -> Iterator[Telemetry]:
    """Telemetry that makes spans."""
    settings = load(write_configuration(tmp_path, cluster="https://cluster.example", issuer="https://auth.example"))
    tracing = Tracing(SimpleSpanProcessor(spans), version="1", environment="testing")
    traced = Telemetry(settings, variables={}, tracing=tracing)
    yield traced
    traced.close()


def serve(telemetry: Telemetry, *, method: str = "POST", route: str = "/token", parent: str | None = None) -> None:
    with telemetry.serving(route, method, "0" * 32, parent) as served:
        decision = Decision("0" * 32, "192.0.2.1", grant=Grant.JWT_BEARER, unverified_source="cluster")
        telemetry.decided(decision, "refused", Reason.EXPIRED)
        served.status = 400


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def test_a_decision_has_a_span_with_attributes_from_closed_sets(
    telemetry: Telemetry, spans: InMemorySpanExporter
) -> None:
    serve(telemetry)
    span = only(spans)
    assert (span.name, span.kind, span.status.status_code) == ("POST /token", SpanKind.SERVER, StatusCode.UNSET)
    assert span.attributes == {
        "http.route": "/token",
        "http.request.method": "POST",
        "http.response.status_code": 400,
        **dict(zip(DECISION, ("cluster", "none", "jwt_bearer", "refused", "expired"), strict=True)),
    }
    assert span.resource.attributes["service.name"] == "authserver"
    assert span.resource.attributes["deployment.environment.name"] == "testing"


def test_a_span_is_below_the_callers(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    serve(telemetry, parent=PARENT)
    span = only(spans)
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert span.parent.is_remote


def test_a_caller_that_does_not_sample_is_respected(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    serve(telemetry, parent=PARENT[:-1] + "0")
    assert spans.get_finished_spans() == ()


def test_lines_name_our_own_span(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    with telemetry.serving("/token", "POST", "0" * 32, PARENT) as served:
        fields = context.fields()
        served.status = 200
    assert fields["trace_id"] == TRACE
    assert fields["span_id"] == f"{only(spans).context.span_id:016x}"
    assert context.fields() == {}


@pytest.mark.parametrize(("method", "route"), [("GET", "/livez"), ("POST", "none")])
def test_what_decides_nothing_has_no_span(
    telemetry: Telemetry, spans: InMemorySpanExporter, method: str, route: str
) -> None:
    serve(telemetry, method=method, route=route)
    assert spans.get_finished_spans() == ()


def test_a_failure_of_ours_is_an_error(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    with telemetry.serving("/token", "POST", "0" * 32, None):
        pass  # and no status: the server never came to an answer
    assert only(spans).status.status_code is StatusCode.ERROR


def test_a_collector_that_is_away_holds_no_process_up() -> None:
    answered = Event()

    class Away(SpanProcessor):
        def shutdown(self) -> None:
            answered.wait(60)

    Tracing(Away(), version="1", environment="testing", patience=0.01).close()
    assert not answered.is_set()
    answered.set()


def test_without_an_endpoint_there_are_no_spans() -> None:
    assert open_tracing({}, "testing") is None
    assert open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, "testing") is None


@pytest.mark.parametrize("value", ["true", " TRUE "])
def test_spans_that_are_turned_off_are_no_spans(value: str) -> None:
    """Or every line would name a span of zeros."""
    assert open_tracing({**ELSEWHERE, "OTEL_SDK_DISABLED": value}, "testing") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_BSP_MAX_QUEUE_SIZE", "10"), ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")],
)
def test_a_variable_that_opentelemetry_refuses_costs_the_spans_and_nothing_else(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, value)
    assert open_tracing(ELSEWHERE, "testing") is None
    assert "there will be no spans" in caplog.text


WITHOUT = """
import logging, sys
sys.modules["opentelemetry"] = None
logging.basicConfig()
from authserver.telemetry.observer import open_tracing
print(open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, "testing"))
"""


def test_without_the_extra_there_are_no_spans_and_a_line_says_so() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
    assert "install the extra otel" in done.stderr


PROGRAM = """
import os
from authserver.telemetry.observer import open_tracing
tracing = open_tracing(os.environ, "testing")
tracing.start("/token", "POST", None).end(200)
tracing.close()
"""


@pytest.mark.slow
def test_spans_go_where_the_environment_says() -> None:
    taken: list[tuple[str, ExportTraceServiceRequest]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        Thread(target=collector.serve_forever, daemon=True).start()
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_SERVICE_NAME": "ours",
        }
        subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=60)
        collector.shutdown()
    ((path, request),) = taken
    assert path == "/v1/traces"
    (resource_spans,) = request.resource_spans
    names = {attribute.key: attribute.value.string_value for attribute in resource_spans.resource.attributes}
    assert (names["service.name"], names["deployment.environment.name"]) == ("ours", "testing")
    assert [span.name for scope in resource_spans.scope_spans for span in scope.spans] == ["POST /token"]
