"""Contenders against each other: each alone on its core, and its loads one after the other."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.generator import CONNECTIONS, Fired, WrongAnswers, fire, write_pool
from benchmarks.issuing.contenders import Contender, Running
from benchmarks.issuing.loads import Load, Wrong, sample
from benchmarks.processes import cores, worked

DISTINCT: Final = 20_000
"""So many different requests there are of a kind that may be sent twice: more than any cache of a server holds."""

MARGIN: Final = 1.5
"""Requests that are accepted once are so many more than the rate while warming up makes likely."""

LIKELY: Final = 3_000
"""Such requests for each second of a run there are at least, whatever came between while warming up."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take: whole seconds to warm up before each run, whole seconds of a run, and how many rounds."""

    warm_up: int
    seconds: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. Processor times are seconds for one request: of the server, and of what it depends on."""

    fired: Fired
    worked: float
    beside: float


class Match:
    """Runs loads against servers. ``folder`` is where they, and pools of requests, have their files."""

    def __init__(self, folder: Path, pace: Pace) -> None:
        self._folder = folder
        self._pace = pace
        self._pools: dict[Load, Path] = {}
        self.found: dict[tuple[str, str], list[Sample]] = defaultdict(list)
        """The runs of each server and kind of request."""

    def take_turn(self, contender: Contender) -> None:
        """Run each of a server's loads once, each on one that has just started.

        Ours replaces its workers after some 200,000 requests, and granian then closes connections that are in use.
        """
        for load in contender.loads:
            with self.started(contender) as running:
                self.found[contender.name, load.kind].append(self.run(running, load))

    @contextmanager
    def started(self, contender: Contender, core_list: Sequence[int] = ()) -> Iterator[Running]:
        """A server with an empty folder; on the first core, unless it is told others."""
        print(f"{contender.name} ...", flush=True)
        with (
            tempfile.TemporaryDirectory(dir=self._folder) as folder,
            contender.start(Path(folder), core_list or [cores()[0]]) as running,
        ):
            yield running

    def run(
        self, running: Running, load: Load, *, connections: int = CONNECTIONS, wait: float = 0, both: bool = False
    ) -> Sample:
        """One run against a server that was warmed up, with answers looked at before and after.

        ``wait`` is what :func:`benchmarks.generator.fire` takes it for. With ``both`` the load generator may use the
        server's core as well as its own.

        :raises SystemExit: an answer was wrong.
        """
        try:
            sample(running.port, load)
            warm = self._fired(running, load, LIKELY, self._pace.warm_up)
            most = max(warm.fired.rate * MARGIN, LIKELY)
            found = self._fired(running, load, most, self._pace.seconds, connections, wait, both=both)
            sample(running.port, load)
        except (Wrong, WrongAnswers) as wrong:
            raise SystemExit(f"{load.kind}: {wrong}") from wrong
        return found

    def _fired(
        self,
        running: Running,
        load: Load,
        most: float,
        seconds: int,
        connections: int = CONNECTIONS,
        wait: float = 0,
        *,
        both: bool = False,
    ) -> Sample:
        pool, core_list = self._pool(load, round(most * seconds)), cores() if both else cores()[1:]
        server, beside = worked(running.pid), _worked_beside(running)
        fired = fire(running.port, pool, seconds, core_list=core_list, connections=connections, wait=wait)
        server, beside = worked(running.pid) - server, _worked_beside(running) - beside
        return Sample(fired, server / fired.requests, beside / fired.requests)

    def _pool(self, load: Load, count: int) -> Path:
        if not load.single_use and load in self._pools:
            return self._pools[load]
        pool = self._folder / ("pool-of-single-use" if load.single_use else f"pool-{len(self._pools)}")
        write_pool(pool, load.make(count if load.single_use else DISTINCT))
        self._pools[load] = pool
        return pool


def _worked_beside(running: Running) -> float:
    return sum(worked(pid) for pid in running.beside)
