"""What is looked up at the moment somebody asks for metrics: the ring, the store, and what is running."""

from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from authserver.errors import Unavailable
from authserver.keys.overdue import RotationAlarm, next_change
from authserver.keys.ring import Ring, State
from authserver.keys.rotate import KeyRing
from authserver.store.health import StoreHealth
from authserver.telemetry import catalogue
from authserver.telemetry.catalogue import Metric

_STATES = (State.NEXT, State.ACTIVE, State.RETIRED)


class StateCollector(Collector):
    """Gauges as the process that answers sees them; every worker reads the same ring and the same store."""

    def __init__(
        self,
        ring: KeyRing,
        alarm: RotationAlarm,
        store: StoreHealth,
        reload_taken: Callable[[], bool],
        info: tuple[str, str],
        clock: Callable[[], float],
    ) -> None:
        """``reload_taken`` says whether the last reload was; ``info`` is this release and the environment's name."""
        self._ring = ring
        self._alarm = alarm
        self._store = store
        self._reload_taken = reload_taken
        self._info = info
        self._clock = clock

    def collect(self) -> Iterable[Family]:
        """The gauges now. A ring that was never read has no keys, and its first change is overdue for ever."""
        now, ring = self._clock(), self._known_ring()
        keys, changes, overdue = map(_family, (catalogue.KEYS, catalogue.NEXT_CHANGE, catalogue.ROTATION_OVERDUE))
        for algorithm in self._alarm.algorithms:
            states = Counter(entry.state(now) for entry in ring.of(algorithm))
            for state in _STATES:
                keys.add_metric((algorithm, state.value), states[state])
            changes.add_metric((algorithm,), next_change(ring, algorithm, now) - now)
            overdue.add_metric((algorithm,), self._alarm.is_overdue(ring, algorithm, now))
        return keys, changes, overdue, self._store_up(), self._reloaded(), self._running()

    def _known_ring(self) -> Ring:
        try:
            return self._ring.ring
        except Unavailable:
            return Ring()

    def _store_up(self) -> GaugeMetricFamily:
        family = _family(catalogue.STORE_UP)
        family.add_metric((), self._store.is_good)
        return family

    def _reloaded(self) -> GaugeMetricFamily:
        family = _family(catalogue.RELOAD_TAKEN)
        family.add_metric((), self._reload_taken())
        return family

    def _running(self) -> GaugeMetricFamily:
        family = _family(catalogue.INFO)
        family.add_metric(self._info, 1)
        return family


def _family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
