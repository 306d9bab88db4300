"""Everything that watches one process's server: metrics, the address they are served at, and spans."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from authserver._version import __version__
from authserver.audit import Decision
from authserver.errors import Reason
from authserver.keys.overdue import RotationAlarm
from authserver.keys.rotate import KeyRing
from authserver.oauth import TOKEN_PATH
from authserver.settings import Settings
from authserver.store.health import StoreHealth
from authserver.telemetry import context, reloads, shared
from authserver.telemetry.catalogue import NONE
from authserver.telemetry.context import TraceParent
from authserver.telemetry.exporter import Exporter
from authserver.telemetry.metrics import Metrics, decision_labels
from authserver.telemetry.state import StateCollector

if TYPE_CHECKING:
    from authserver.telemetry.tracing import RequestSpan, Tracing

SPANS_OFF: Final = "OTEL_SDK_DISABLED"
"""OpenTelemetry's environment variable that, when it is ``true``, turns spans off."""

SPANS_TO: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's environment variables that say where spans go. Without one of them there are none."""

_log = logging.getLogger("authserver")
_span: ContextVar["RequestSpan | None"] = ContextVar("span", default=None)


class Telemetry:
    """What one process tells its operator. In the server's way as little as possible, and never fatal to it."""

    def __init__(
        self,
        settings: Settings,
        *,
        variables: Mapping[str, str] = os.environ,
        tracing: "Tracing | None" = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``variables`` is the environment, which asks for spans unless they are given a way here.

        ``timer`` gives seconds since whenever.
        """
        self.registry = CollectorRegistry()
        counted, turn = self._counting(variables.get(shared.DIRECTORY), len(settings.sources))
        token_route = urlsplit(settings.server.issuer).path.rstrip("/") + TOKEN_PATH
        self.metrics: Final = Metrics(counted, sources=settings.sources, token_route=token_route)
        self.exporter: Final = Exporter(settings.telemetry.bind, self.render, turn)
        self.tracing: Final = tracing or open_tracing(variables, settings.server.environment)
        self.timer: Final = timer
        self._environment = settings.server.environment
        self._directory = Path(variables[shared.DIRECTORY]) if variables.get(shared.DIRECTORY) else None

    def watch(self, ring: KeyRing, alarm: RotationAlarm, store: StoreHealth, clock: Callable[[], float]) -> None:
        """Show the state of the ring and of the store from now on."""
        info = (__version__, self._environment)
        reload_taken = partial(reloads.last_was_taken, self._directory)
        self.registry.register(StateCollector(ring, alarm, store, reload_taken, info, clock))

    def render(self) -> bytes:
        """All metrics, as Prometheus reads them."""
        return generate_latest(self.registry)

    def decided(self, decision: Decision, outcome: str, reason: Reason | None) -> None:
        """Count a decision, and note it on the span of its request."""
        labels = decision_labels(decision, outcome, reason)
        self.metrics.decided(labels)
        span = _span.get()
        if span is not None:
            span.note(labels)

    def serving(self, route: str, method: str, request_id: str, traceparent: str | None) -> "Served":
        """Enter this for as long as a request is being served. ``route`` is a path of the route table, or ``none``."""
        return Served(self, route, method, request_id, context.parse_traceparent(traceparent))

    def close(self) -> None:
        """Stop serving metrics, and send the last spans."""
        self.exporter.close()
        if self.tracing is not None:
            self.tracing.close()

    def _counting(self, directory: str | None, sources: int) -> tuple[CollectorRegistry, shared.FileLock | None]:
        """Where to count so that all workers are seen together, and the lock of the one that serves; or else alone."""
        if not directory:
            shared.count_alone()
            return self.registry, None
        try:
            shared.count_in(Path(directory), sources)
        except OSError as error:
            _log.error("metrics cannot be shared between workers", extra={"cause": error.strerror})
            shared.count_alone()
            return self.registry, None
        MultiProcessCollector(self.registry, path=directory)  # type: ignore[no-untyped-call]
        return CollectorRegistry(), shared.FileLock(Path(directory, "serving.lock"))


class Served:
    """One request while it is served: every line says which it is, and its answer is counted at the end."""

    __slots__ = ("_began", "_method", "_parent", "_request_id", "_route", "_span", "_telemetry", "_tokens", "status")

    def __init__(
        self, telemetry: Telemetry, route: str, method: str, request_id: str, parent: TraceParent | None
    ) -> None:
        """``status``, the HTTP status of the answer, must be set before the end; without one the server failed."""
        self.status = 500
        self._telemetry = telemetry
        self._route = route
        self._method = method
        self._request_id = request_id
        self._parent = parent

    def __enter__(self) -> Self:
        tracing = self._telemetry.tracing
        # What decides is a POST. Key sets, metadata and health are asked for all the time and say nothing new.
        traced = tracing is not None and self._method == "POST" and self._route != NONE
        self._span = tracing.start(self._route, self._method, self._parent) if tracing and traced else None
        place = self._span.place if self._span else self._parent
        self._tokens = (_span.set(self._span), context.current.set(context.request_fields(self._request_id, place)))
        self._began = self._telemetry.timer()
        return self

    def __exit__(self, _kind: object, _error: object, _trace: object) -> None:
        seconds = self._telemetry.timer() - self._began
        _span.reset(self._tokens[0])
        context.current.reset(self._tokens[1])
        self._telemetry.metrics.answered(self._route, self._method, self.status, seconds)
        if self._span is not None:
            self._span.end(self.status)


def open_tracing(variables: Mapping[str, str], environment: str) -> "Tracing | None":
    """Tracing, if the environment says where spans go, in a way that works, and the extra ``otel`` is installed."""
    disabled = variables.get(SPANS_OFF, "").strip().lower() == "true"
    if disabled or not any(variables.get(name) for name in SPANS_TO):
        return None
    try:
        from authserver.telemetry import tracing

        return tracing.over_http(version=__version__, environment=environment)
    except ModuleNotFoundError:
        _log.warning("there will be no spans: OpenTelemetry is not installed; install the extra otel")
    except Exception:  # whatever OpenTelemetry thinks of its variables, tokens never depend on it
        _log.warning("there will be no spans: OpenTelemetry cannot be used as it is configured", exc_info=True)
    return None
