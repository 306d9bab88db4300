"""A day in simulated time: outages, slow answers, clocks that are set and machines that sleep."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from authserver.client import IssuedToken, NoAnswer
from authserver.client.clock import Stopwatch
from authserver.client.flight import Moment
from authserver.client.renewal import Renewal

DAY = 86_400.0
LIFETIME = 3600
DEADLINE = 15.0


@dataclass
class Trouble:
    """From ``start`` to ``end`` the server answers so late, and with a failure if one is named."""

    start: float
    end: float
    takes: float
    failure: NoAnswer | None = None


@dataclass
class Day:
    """The true time, which nobody in it can see, and what the two clocks of the machine make of it."""

    seed: int
    paused: bool = False
    now: float = 0.0
    steps: list[tuple[float, float]] = field(default_factory=list)
    slept: float = 0.0
    troubles: list[Trouble] = field(default_factory=list)
    expiry: dict[str, float] = field(default_factory=dict)
    attempts: int = 0
    landing: tuple[float, Callable[[], None]] | None = None

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        pick = self.random.uniform
        for _ in range(6):
            start = pick(0, DAY)
            self.troubles += [
                Trouble(start, start + pick(1, 1500), 0.01, NoAnswer("nobody listens")),
                Trouble(start + 2000, start + 2000 + pick(1, 900), 0.05, NoAnswer("503", retry_after=5)),
                Trouble(start + 4000, start + 4000 + pick(1, 900), pick(1, 7)),
                Trouble(start + 6000, start + 6000 + pick(1, 300), 7.5, NoAnswer("it hangs")),
            ]
        self.steps = sorted((pick(0, DAY), pick(0 if self.paused else -7200, 7200)) for _ in range(8))

    def uptime(self) -> float:
        """It counts while the machine sleeps. In a virtual machine that is paused it stands still."""
        return 5000 + self.now - (self.slept if self.paused else 0)

    def wall(self) -> float:
        return 1.8e9 + self.now + sum(by for at, by in self.steps if at <= self.now)

    def ask(self) -> IssuedToken:
        self.attempts += 1
        arrived = self.now
        trouble = next((each for each in self.troubles if each.start <= arrived < each.end), None)
        self.now += trouble.takes if trouble else 0.03
        if trouble and trouble.failure:
            raise trouble.failure
        token = f"token {self.attempts}"
        self.expiry[token] = arrived + LIFETIME
        return IssuedToken(token, "Bearer", LIFETIME, frozenset())

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        if self.landing and self.landing[0] <= until:
            self.land()
        self.now = max(self.now, until)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.pass_time(seconds)

    def land(self) -> None:
        assert self.landing
        (at, landing), self.landing = self.landing, None
        self.now = max(self.now, at)
        landing()

    # What a flight does is worked out when it takes off, at the times that lie ahead, and comes true when it lands.

    def start(self, work: Callable[[], Any], land: Callable[[Any], None]) -> None:
        assert self.landing is None, "there are two flights"
        took_off = self.now
        outcome = work()
        self.landing = self.now, lambda: land(outcome)
        self.now = took_off

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, moment: Moment, seconds: float) -> None:
        until = self.now + seconds
        if not moment.has_come and self.landing and self.landing[0] <= until:
            self.land()
        elif not moment.has_come:
            self.now = until

    def troubled(self, since: float) -> bool:
        """Whether the server was in trouble at some moment from then to now."""
        return any(each.start <= self.now and each.end >= since for each in self.troubles)


@pytest.mark.parametrize("paused", [False, True], ids=["a machine that sleeps", "a virtual machine that is paused"])
@pytest.mark.parametrize("seed", range(10))
def test_in_a_day_no_call_carries_an_expired_token_and_few_are_fetched(seed: int, paused: bool) -> None:
    """Contract section 5: the client keeps its token until it expires, and retries ahead of time.

    The clock on the wall is set, forward and back. Where the other one stands still, only forward: no clock would know.
    """
    day = Day(seed, paused)
    stopwatch = Stopwatch(day.uptime, day.wall)
    renewal = Renewal(day.ask, deadline=DEADLINE, stopwatch=stopwatch, conduct=day, jitter=day.random.random)
    refusals = sleeps = 0
    while day.now < DAY:
        began = day.now
        try:
            token = renewal.current()
        except NoAnswer:
            refusals += 1
            assert day.troubled(since=began - 60), "a caller was turned away although the server is well"
        else:
            assert day.now < day.expiry[token.value], "a call carries an expired token"
        assert day.now - began <= DEADLINE + 0.001, "a caller waited beyond the deadline"
        if day.random.random() < 0.0005:
            sleeps += 1
            day.sleep(day.random.uniform(10, 8000))
        else:
            day.pass_time(day.random.uniform(0.5, 20))
    fetched = len(day.expiry)
    # One for three quarters of an hour that the machine is awake; one more for each clock that was set, and each sleep.
    assert fetched <= DAY / (0.75 * LIFETIME) + len(day.steps) + sleeps + 1
    assert fetched >= (DAY - day.slept) / LIFETIME - refusals
    # Trouble costs attempts, but not one for each call.
    assert day.attempts - fetched <= sum(each.end - each.start for each in day.troubles) / 10


def test_without_trouble_a_day_costs_as_many_exchanges_as_it_must() -> None:
    day = Day(0)
    day.troubles, day.steps = [], []
    renewal = Renewal(
        day.ask, deadline=DEADLINE, stopwatch=Stopwatch(day.uptime, day.wall), conduct=day, jitter=day.random.random
    )
    while day.now < DAY:
        assert day.now < day.expiry[renewal.current().value]
        day.pass_time(1.0)
    assert DAY / (0.85 * LIFETIME) <= day.attempts <= DAY / (0.75 * LIFETIME) + 1
