"""The numbers that this process counts, in its own memory or in the files that all workers share."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from authserver.audit import AboutDevice, Decision
from authserver.errors import Reason
from authserver.oauth import Grant
from authserver.telemetry import catalogue
from authserver.telemetry.catalogue import METHODS, NONE, OTHER, Metric

TOKEN_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latencies that are told apart, in seconds."""

_GRANTS: Final[Mapping[Grant | None, str]] = {None: NONE, **{grant: grant.name.lower() for grant in Grant}}
_TOKEN_OUTCOMES: Final = {200: "issued", 500: "failed", 503: "unavailable"}
_REFUSED: Final = "refused"


class Metrics:
    """Everything that is counted. What is only looked up when somebody asks is in :mod:`authserver.telemetry.state`."""

    def __init__(self, registry: CollectorRegistry, *, sources: Iterable[str], token_route: str) -> None:
        self._decisions = _counter(catalogue.DECISIONS, registry)
        self._enrollments = _counter(catalogue.ENROLLMENTS, registry)
        self._http_requests = _counter(catalogue.HTTP_REQUESTS, registry)
        self._key_fetches = _counter(catalogue.KEY_FETCHES, registry)
        self._background_failures = _counter(catalogue.BACKGROUND_FAILURES, registry)
        self._token_seconds = _histogram(catalogue.TOKEN_SECONDS, registry)
        self._token_route = token_route
        for source in sources:  # so that the first failure is already an increase
            for outcome in ("ok", "failed"):
                self._key_fetches(source, outcome)

    def decided(self, labels: tuple[str, ...]) -> None:
        """Count one decision that :func:`decision_labels` has described."""
        self._decisions(*labels).inc()

    def enrolled(self, enrollment: AboutDevice, outcome: str, reason: Reason | None) -> None:
        """Count one device that wanted to be enrolled; see :data:`authserver.audit.ObserveEnrollment`."""
        self._enrollments(enrollment.source or NONE, outcome, reason.value if reason else NONE).inc()

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer that took so many seconds. ``route`` is a path of the route table, or ``none``."""
        self._http_requests(route, method if method in METHODS else OTHER, status).inc()
        if route == self._token_route:
            self._token_seconds(_TOKEN_OUTCOMES.get(status, _REFUSED)).observe(seconds)

    def key_set_fetched(self, source: str, outcome: str) -> None:
        """Count one fetch of the key set of a configured source."""
        self._key_fetches(source, outcome).inc()

    def background_failed(self, task: str, reason: Reason) -> None:
        """Count one failure of a piece of background work."""
        self._background_failures(task, reason.value).inc()


def decision_labels(decision: Decision, outcome: str, reason: Reason | None) -> tuple[str, str, str, str, str]:
    """What tells decisions apart, from closed sets only, in the order of the metric's labels."""
    return (
        decision.source or NONE,
        decision.resource.name if decision.resource else NONE,
        _GRANTS[decision.grant],
        outcome,
        reason.value if reason else NONE,
    )


def _counter(metric: Metric, registry: CollectorRegistry) -> Callable[..., Counter]:
    """From the values of the labels to what counts them, remembered: the client takes longer to find it than to count.

    The sets of values are closed, so what is remembered is bounded.
    """
    return cache(Counter(metric.name, metric.help, metric.labels, registry=registry).labels)


def _histogram(metric: Metric, registry: CollectorRegistry) -> Callable[..., Histogram]:
    return cache(Histogram(metric.name, metric.help, metric.labels, buckets=TOKEN_BUCKETS, registry=registry).labels)
