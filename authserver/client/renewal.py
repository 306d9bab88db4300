"""Keeping one token fresh for everybody in a program who needs it.

Four rules decide everything here. There is at most one flight. A token that is valid is shown, whatever has failed. A
token that is not valid is never shown. And a server that has failed, or has said no, is left alone for a while.
"""

import logging
import os
import random
import threading
import traceback
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from authserver.client.clock import Instant, Stopwatch
from authserver.client.exchange import IssuedToken
from authserver.client.failures import CallFailed, CallRefused, NoAnswer, for_another_caller, without_traces
from authserver.client.flight import Conduct, Flight, Moment, Threads
from authserver.client.held import Held
from authserver.client.retry import Backoff, RetryBudget

WITHIN_A_FLIGHT: Final = Backoff(0.5, 8.0)
AFTER_AN_OUTAGE: Final = Backoff(1.0, 30.0)
AFTER_A_REFUSAL: Final = Backoff(5.0, 60.0)
"""Pauses in seconds: between attempts of one flight, and between two flights."""

BETWEEN_FORCED: Final = 60.0
"""Seconds between two tokens that are fetched because an API does not take the one before."""

_LOG: Final = logging.getLogger("authserver.client")

_Got = TypeVar("_Got")
_Steps = Generator[Moment, None, _Got]


@dataclass(frozen=True, slots=True)
class _Setback:
    """Why the last flight brought nothing, and for how many seconds there will be no other."""

    failure: CallFailed
    at: Instant
    pause: float


class Renewal:
    """Shows the token that ``ask`` got, and asks for the next one in time."""

    def __init__(
        self,
        ask: Callable[[], IssuedToken],
        *,
        deadline: float,
        stopwatch: Stopwatch | None = None,
        conduct: Conduct | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``deadline`` is how many seconds a caller waits, and ``jitter`` gives numbers from 0 to 1.

        ``ask`` raises :class:`CallFailed`, and :class:`NoAnswer` where asking again may help.
        """
        self._ask = ask
        self._deadline = deadline
        self._stopwatch = stopwatch or Stopwatch()
        self._conduct = conduct or Threads()
        self._jitter = jitter
        self._budget = RetryBudget(lambda: self._stopwatch.now().uptime)
        self._held: Held | None = None
        self._setback: _Setback | None = None
        self._failures = 0
        self._forced_at: Instant | None = None
        self._flight: Flight | None = None
        self._lock = threading.Lock()
        _RENEWALS.add(self)

    def current(self) -> IssuedToken:
        """A token that is valid.

        :raises CallFailed: there is none, and none came within the deadline.
        """
        return self._waiting(self._current())

    async def current_async(self) -> IssuedToken:
        """The same, for a task of asyncio."""
        return await self._awaiting(self._current())

    def replaced(self, rejected: IssuedToken) -> IssuedToken | None:
        """Another token than one that an API does not take; None if there is none to be had.

        If nobody has fetched one meanwhile it is fetched now, but not again and again: see :data:`BETWEEN_FORCED`.
        """
        return self._waiting(self._replaced(rejected))

    async def replaced_async(self, rejected: IssuedToken) -> IssuedToken | None:
        """The same, for a task of asyncio."""
        return await self._awaiting(self._replaced(rejected))

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled.

        :raises TypeError: always. Tokens stay in the memory of one process.
        """
        raise TypeError("tokens are neither copied nor pickled; make a TokenClient where it is used")

    # What is to be waited for is yielded, so that threads and tasks share every decision.

    def _waiting(self, steps: _Steps[_Got]) -> _Got:
        try:
            while True:
                self._conduct.wait(next(steps), self._deadline)
        except StopIteration as ended:
            got: _Got = ended.value
            return got

    async def _awaiting(self, steps: _Steps[_Got]) -> _Got:
        try:
            while True:
                await next(steps).wait_async(self._deadline)
        except StopIteration as ended:
            got: _Got = ended.value
            return got

    def _current(self) -> _Steps[IssuedToken]:
        held = self._held
        age = 0.0 if held is None else self._stopwatch.since(held.asked_at)
        if held is not None and age < held.advisory:
            return held.token
        flight = self._join(held)
        if held is not None and age < held.mandatory:
            return held.token
        if flight is not None:
            valid = held is not None and age < held.end
            yield flight.tried if valid else flight.landed
        setback, held = self._setback, self._valid()  # in this order: what lands in between has put the token first
        if held is not None:
            return held.token
        if setback is None or (flight is not None and not flight.landed.has_come):
            raise self._too_late(flight)
        raise for_another_caller(setback.failure)

    def _too_late(self, flight: Flight | None) -> NoAnswer:
        known = "" if flight is None else "".join(f": {failure}" for failure in flight.failures[-1:])
        return NoAnswer(f"there was no access token within {self._deadline:g} seconds{known}")

    def _valid(self) -> Held | None:
        held = self._held
        return held if held is not None and self._stopwatch.since(held.asked_at) < held.end else None

    def _replaced(self, rejected: IssuedToken) -> _Steps[IssuedToken | None]:
        held = self._held
        if held is not None and held.token.value == rejected.value:
            flight = self._join(held, forced=True)
            if flight is not None:
                yield flight.landed
        held = self._valid()
        return held.token if held is not None and held.token.value != rejected.value else None

    # Flights

    def _join(self, seen: Held | None, *, forced: bool = False) -> Flight | None:
        """The flight that is under way, or a new one; None when there must be none now.

        ``seen`` is what the caller was not content with: if it has been replaced meanwhile, a flight has just landed.
        """
        with self._lock:
            if self._flight is None and self._held is seen and not self._is_paused():
                if forced and not self._may_force():
                    return None
                self._flight = flight = Flight(self._stopwatch.now())
            else:
                return self._flight
        self._start(flight)
        return flight

    def _is_paused(self) -> bool:
        return self._setback is not None and self._stopwatch.since(self._setback.at) < self._setback.pause

    def _may_force(self) -> bool:
        if self._forced_at is not None and self._stopwatch.since(self._forced_at) < BETWEEN_FORCED:
            return False
        self._forced_at = self._stopwatch.now()
        return True

    def _start(self, flight: Flight) -> None:
        try:
            self._conduct.start(lambda: self._fly(flight), lambda outcome: self._land(flight, outcome))
        except RuntimeError:  # too many threads, or the interpreter is shutting down
            self._land(flight, CallFailed("no thread can be started to ask for an access token"))

    def _fly(self, flight: Flight) -> Held | CallFailed:
        while isinstance(outcome := self._attempt(), NoAnswer):
            flight.failures.append(outcome)
            flight.tried.come()
            pause = WITHIN_A_FLIGHT.pause(len(flight.failures), self._jitter(), outcome.retry_after)
            if self._stopwatch.since(flight.began) + pause >= self._deadline or not self._budget.take():
                break
            self._conduct.pause(pause)
        return outcome

    def _attempt(self) -> Held | CallFailed:
        asked_at = self._stopwatch.now()
        try:
            return Held.of(self._ask(), asked_at, self._jitter())
        except CallFailed as failure:
            return without_traces(failure)
        except BaseException as error:  # a supplier's mistake: whoever waits must hear of it, and never its text
            return CallFailed(f"asking for an access token failed with {type(error).__name__} at {_places(error)}")

    def _land(self, flight: Flight, outcome: Held | CallFailed) -> None:
        """What came is in place before anybody who waits is woken."""
        with self._lock:
            setback = None
            if self._flight is flight:
                self._flight = None
                setback = self._settle(outcome)
        flight.tried.come()
        flight.landed.come()
        if setback is not None:  # last, and without the lock: whoever ships the log may need a token for it
            _LOG.warning("no access token: %s. Not asked again for %.1f seconds", setback.failure, setback.pause)

    def _settle(self, outcome: Held | CallFailed) -> _Setback | None:
        """Called with the lock held."""
        if isinstance(outcome, Held):
            self._held, self._setback, self._failures = outcome, None, 0
            return None
        self._failures += 1
        backoff = AFTER_A_REFUSAL if isinstance(outcome, CallRefused) else AFTER_AN_OUTAGE
        retry_after = outcome.retry_after if isinstance(outcome, NoAnswer) else None
        pause = backoff.pause(self._failures, self._jitter(), retry_after)
        self._setback = _Setback(outcome, self._stopwatch.now(), pause)
        return self._setback

    def _forget_flight(self) -> None:
        """A fork leaves the thread behind in the parent, and perhaps a lock that nobody will open."""
        self._flight = None
        self._lock = threading.Lock()


def _places(error: BaseException) -> str:
    """Where it was raised, innermost first: all of a traceback that holds no variable and no text."""
    places = [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in traceback.walk_tb(error.__traceback__)]
    return ", ".join(places[:-6:-1])


_RENEWALS: Final["weakref.WeakSet[Renewal]"] = weakref.WeakSet()


def _forget_flights() -> None:
    for renewal in list(_RENEWALS):
        renewal._forget_flight()


os.register_at_fork(after_in_child=_forget_flights)
