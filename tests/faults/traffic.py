"""Traffic that goes on while something fails, and the count of what came of it.

Everybody who calls says what came of each call. What may come of it at the moment is said by the test: a phase. What
a test breaks it breaks in the midst of the traffic, so a call may begin in one phase and end in another, and what any
of them allows is right.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import TracebackType
from typing import ClassVar, Final, Protocol, Self

DEADLINE: Final = 60.0
"""Seconds within which traffic does what a test waits for."""

PAUSE: Final = 0.03
"""Seconds between two calls of one caller."""


class Kind(StrEnum):
    """What is asked for: the columns of the table."""

    WORKLOAD = "workload tokens"
    SINGLE_USE = "single-use identity tokens"
    DEVICE = "device tokens"
    ENROLMENT = "enrolment"
    INTROSPECTION = "introspection"
    REVOCATION = "revocation"
    VERIFICATION = "verification"


class Outcome(StrEnum):
    """What came of a call."""

    DONE = "done"
    PUT_OFF = "put off"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    BROKEN = "broken"


Phase = Mapping[Kind, frozenset[Outcome]]

NEED_THE_STORE: Final = (Kind.SINGLE_USE, Kind.DEVICE, Kind.ENROLMENT, Kind.INTROSPECTION, Kind.REVOCATION)
NEED_TO_WRITE: Final = (Kind.SINGLE_USE, Kind.DEVICE, Kind.ENROLMENT, Kind.REVOCATION)

ALL_IS_WELL: Final[Phase] = {kind: frozenset({Outcome.DONE}) for kind in Kind}


def phase(kinds: Sequence[Kind], *outcomes: Outcome, among: Phase = ALL_IS_WELL) -> Phase:
    """A phase like another one but for some kinds, of which these come out."""
    return {**among, **dict.fromkeys(kinds, frozenset(outcomes))}


class Caller(Protocol):
    """Somebody who asks for one kind of thing. ``is_hostile`` is who must never be given it."""

    kind: ClassVar[Kind]
    is_hostile: ClassVar[bool]

    def act(self) -> Outcome:
        """Call once."""
        ...  # a protocol has no body


@dataclass
class Counts:
    """What a fault comes to: the numbers of the table."""

    done: Counter[Kind] = field(default_factory=Counter)
    refused_rightly: Counter[Kind] = field(default_factory=Counter)
    put_off: Counter[Kind] = field(default_factory=Counter)
    unanswered: Counter[Kind] = field(default_factory=Counter)
    refused_wrongly: Counter[Kind] = field(default_factory=Counter)
    accepted_wrongly: Counter[Kind] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> dict[str, object]:
        """Everything that must be nothing and is not."""
        counted = {
            "refused wrongly": dict(self.refused_wrongly),
            "accepted wrongly": dict(self.accepted_wrongly),
            "lost": self.lost,
        }
        return {name: found for name, found in counted.items() if found}

    def __add__(self, other: "Counts") -> "Counts":
        """Those of two traffics together."""
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def judge(self, caller: Caller, outcome: Outcome, allowed: frozenset[Outcome]) -> None:
        """Count one call."""
        kind = caller.kind
        if outcome is Outcome.BROKEN:
            self.refused_wrongly[kind] += 1
        elif caller.is_hostile:
            self._judge_hostile(kind, outcome)
        elif outcome not in allowed:
            (self.accepted_wrongly if outcome is Outcome.DONE else self.refused_wrongly)[kind] += 1
        else:
            self._rightly(outcome)[kind] += 1

    def _judge_hostile(self, kind: Kind, outcome: Outcome) -> None:
        (self.accepted_wrongly if outcome is Outcome.DONE else self._rightly(outcome))[kind] += 1

    def _rightly(self, outcome: Outcome) -> Counter[Kind]:
        return {
            Outcome.DONE: self.done,
            Outcome.REFUSED: self.refused_rightly,
            Outcome.PUT_OFF: self.put_off,
            Outcome.UNANSWERED: self.unanswered,
        }[outcome]


class Traffic:
    """Callers, each in a thread of its own, from the beginning of a ``with`` block to its end."""

    def __init__(self, callers: Sequence[Caller]) -> None:
        self.counts = Counts()
        self._callers = callers
        self._phases: list[Phase] = [ALL_IS_WELL]
        self._seen: Counter[tuple[Kind, bool, Outcome]] = Counter()
        self._streaks: dict[Kind, tuple[Outcome, int]] = {}
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._runs = threading.Event()
        self._runs.set()
        self._busy = 0
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._go_on, args=(caller,)) for caller in callers]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._runs.set()
        for thread in self._threads:
            thread.join()
        if error is None and self._failures:
            raise self._failures[0]

    def expect(self, *phases: Phase) -> None:
        """From now on what comes out is what one of these phases says."""
        merged = {kind: frozenset().union(*(each[kind] for each in phases)) for kind in Kind}
        with self._lock:
            self._phases.append(merged)
            self._seen.clear()
            self._streaks.clear()

    def suffer(self, meanwhile: Phase, break_it: Callable[[], object], mend: Callable[[], object]) -> None:
        """Break something, see that everybody is put off whom ``meanwhile`` says so of, and mend it."""
        put_off = [kind for kind in Kind if meanwhile[kind] == {Outcome.PUT_OFF}]
        self.wait_for_more()
        self.expect(ALL_IS_WELL, meanwhile)
        break_it()
        self.wait_for_streak(Outcome.PUT_OFF, put_off)
        self.expect(meanwhile)
        self.wait_for_more()
        self.expect(ALL_IS_WELL, meanwhile)
        mend()
        self.wait_for_streak(Outcome.DONE)
        self.expect(ALL_IS_WELL)
        self.wait_for_more()

    def wait_for(self, outcome: Outcome, kinds: Sequence[Kind] = tuple(Kind), *, times: int = 3) -> None:
        """Return when this has come of so many calls of each of these kinds since the phase began.

        :raises AssertionError: it does not in time.
        """
        self._wait(lambda: all(self._seen[kind, False, outcome] >= times for kind in self._called(kinds)), outcome)

    def wait_for_streak(self, outcome: Outcome, kinds: Sequence[Kind] = tuple(Kind), *, times: int = 8) -> None:
        """Return when nothing but this has come of so many calls of each of these kinds, one after the other.

        :raises AssertionError: it does not in time.
        """
        self._wait(lambda: all(self._streak(kind, outcome) >= times for kind in self._called(kinds)), outcome)

    def wait_for_more(self, times: int = 10) -> None:
        """Return when everybody has called so many times since the phase began, the hostile too.

        :raises AssertionError: they have not in time.
        """
        who = {(caller.kind, caller.is_hostile) for caller in self._callers}
        self._wait(lambda: all(sum(self._seen[*each, outcome] for outcome in Outcome) >= times for each in who), times)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nobody calls meanwhile: for what a call must be wholly before or wholly after."""
        self._runs.clear()
        self._wait(lambda: self._busy == 0, "nobody calling")
        try:
            yield
        finally:
            self._runs.set()

    def _streak(self, kind: Kind, outcome: Outcome) -> int:
        last, times = self._streaks.get(kind, (outcome, 0))
        return times if last is outcome else 0

    def _called(self, kinds: Sequence[Kind]) -> set[Kind]:
        return {caller.kind for caller in self._callers if not caller.is_hostile} & set(kinds)

    def _wait(self, true: Callable[[], bool], what: object) -> None:
        deadline = time.monotonic() + DEADLINE
        while not true():
            assert not self._failures, f"a caller failed: {self._failures[0]!r}"
            assert time.monotonic() < deadline, f"waited in vain for {what}: {dict(self._seen)}, {self.counts.wrong}"
            time.sleep(0.01)

    def _go_on(self, caller: Caller) -> None:
        while not self._ends.is_set():
            try:
                self._call(caller)
            except BaseException as failure:  # a caller must not end without anybody noticing
                self._failures.append(failure)
                return
            time.sleep(PAUSE)

    def _call(self, caller: Caller) -> None:
        self._runs.wait()
        with self._lock:
            if not self._runs.is_set():
                return
            self._busy += 1
            begun_in = len(self._phases) - 1
        try:
            outcome = caller.act()
        finally:
            with self._lock:
                self._busy -= 1
        with self._lock:
            lived = self._phases[begun_in:]
            self.counts.judge(caller, outcome, frozenset().union(*(each[caller.kind] for each in lived)))
            self._seen[caller.kind, caller.is_hostile, outcome] += 1
            if not caller.is_hostile:
                self._streaks[caller.kind] = (outcome, self._streak(caller.kind, outcome) + 1)
