"""When a token is replaced: what is decided, with clocks that stand still and flights that land on demand."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from authserver.client import CallFailed, CallRefused, IssuedToken, NoAnswer
from authserver.client.clock import Stopwatch, uptime
from authserver.client.failures import AnswerUnusable
from authserver.client.flight import Moment, Threads
from authserver.client.renewal import BETWEEN_FORCED, Renewal, _forget_flights
from authserver.client.retry import BUDGET, LONGEST_RETRY_AFTER, Backoff, RetryBudget
from authserver.testing import FrozenClock

REFUSED = CallRefused(400, "invalid_grant")


class OnDemand:
    """Flights that take off at once and land when they are told to, in no time."""

    def __init__(self) -> None:
        self.in_the_air: list[Callable[[], None]] = []
        self.started = 0
        self.pauses: list[float] = []
        self.waited_for: list[float] = []
        self.on_wait: Callable[[Moment], None] = lambda _: self.land()
        self.on_pause: Callable[[], None] = lambda: None
        self.startable = True

    def start(self, work: Callable[[], Any], land: Callable[[Any], None]) -> None:
        if not self.startable:
            raise RuntimeError("can't start new thread")
        self.started += 1
        self.in_the_air.append(lambda: land(work()))

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.on_pause()

    def wait(self, moment: Moment, seconds: float) -> None:
        self.waited_for.append(seconds)
        self.on_wait(moment)

    def land(self) -> None:
        while self.in_the_air:
            self.in_the_air.pop()()


class World:
    """A renewal whose server does as it is told, and whose two clocks can be moved."""

    def __init__(self, lifetime: int = 3600) -> None:
        self.up, self.wall = FrozenClock(1000.0), FrozenClock()
        self.flights = OnDemand()
        self.lifetime = lifetime
        self.takes = 0.0
        self.asked = 0
        self.plans: list[Exception] = []
        self.renewal = Renewal(
            self._ask, deadline=15, stopwatch=Stopwatch(self.up, self.wall), conduct=self.flights, jitter=lambda: 0.0
        )

    def _ask(self) -> IssuedToken:
        self.asked += 1
        self.later(self.takes)
        if self.plans:
            raise self.plans.pop(0)
        return IssuedToken(f"token {self.asked}", "Bearer", self.lifetime, frozenset())

    def later(self, seconds: float) -> None:
        self.up.advance(seconds)
        self.wall.advance(seconds)

    def token(self) -> str:
        return self.renewal.current().value


@pytest.fixture
def world() -> World:
    made = World()
    assert made.token() == "token 1"
    return made


def test_for_three_quarters_of_its_life_a_token_is_shown_and_nobody_asked(world: World) -> None:
    world.later(2699)
    assert world.token() == "token 1"
    assert world.flights.started == 1


def test_after_that_the_old_token_is_shown_while_another_is_fetched_once(world: World) -> None:
    world.later(2700)
    assert [world.token(), world.token()] == ["token 1", "token 1"]
    assert (world.flights.started, world.flights.waited_for) == (2, [15])
    world.flights.land()
    assert world.token() == "token 2"


def test_in_its_last_minute_the_other_token_is_waited_for(world: World) -> None:
    world.later(3540)
    assert world.token() == "token 2"


@pytest.mark.parametrize("lifetime", [300, 3600])
def test_jitter_spreads_the_refresh_over_a_tenth_of_the_life_of_a_token(lifetime: int) -> None:
    world = World(lifetime)
    world.renewal._jitter = lambda: 1.0
    world.token()
    world.later(lifetime * 0.85 - 1)
    world.token()
    assert world.flights.started == 1
    world.later(1)
    world.token()
    assert world.flights.started == 2


def test_when_the_refresh_fails_the_old_token_is_shown_while_it_is_valid_and_then_the_error(world: World) -> None:
    world.later(3541)
    world.plans = [NoAnswer("away")] * 100
    while world.up() < 1000 + 3595:
        assert world.token() == "token 1"
        world.later(1)
    with pytest.raises(NoAnswer, match="away"):
        world.token()


def test_who_has_a_valid_token_waits_for_one_attempt_and_not_for_its_repetitions(world: World) -> None:
    world.later(3541)
    world.plans = [NoAnswer("away")]
    waited: list[bool] = []

    def land(moment: Moment) -> None:
        world.flights.on_pause = lambda: waited.append(moment.has_come)
        world.flights.land()

    world.flights.on_wait = land
    assert world.token() == "token 3"
    assert waited == [True]


def test_a_server_that_hangs_keeps_nobody_from_a_valid_token(world: World) -> None:
    world.flights.on_wait = lambda _: None
    world.later(3541)
    assert world.token() == "token 1"
    world.later(60)
    with pytest.raises(NoAnswer, match="within 15 seconds"):
        world.token()
    world.flights.land()
    assert world.token() == "token 2"


class Paused(Exception):
    """A flight goes no further."""


def test_who_has_waited_long_enough_is_told_what_went_wrong_until_then() -> None:
    world = World()
    world.plans = [NoAnswer("auth.example.com did not answer in time")]

    def wait(_: Moment) -> None:
        with contextlib.suppress(Paused):
            world.flights.land()

    def pause() -> None:
        raise Paused

    world.flights.on_wait, world.flights.on_pause = wait, pause
    with pytest.raises(NoAnswer, match=r"within 15 seconds: auth\.example\.com did not answer in time"):
        world.token()


def test_a_clock_that_is_set_back_makes_no_token_younger(world: World) -> None:
    world.later(3599)
    world.wall.advance(-86_400)
    assert world.token() == "token 2"


def test_a_clock_that_is_set_forward_costs_one_exchange_at_most(world: World) -> None:
    world.wall.advance(86_400)
    assert [world.token(), world.token()] == ["token 2", "token 2"]
    world.later(2000)
    assert world.token() == "token 2"


def test_a_machine_that_slept_shows_no_token_that_expired_meanwhile(world: World) -> None:
    world.wall.advance(4000)
    assert world.token() == "token 2"
    world.up.advance(4000)
    assert world.token() == "token 3"


def test_the_clock_that_nobody_sets_goes_on() -> None:
    assert 0 < uptime() <= uptime()


def test_an_answer_that_took_long_makes_a_token_no_younger(world: World) -> None:
    world.takes = 90
    world.lifetime = 100
    world.later(3600)
    assert world.token() == "token 2"
    world.takes = 0
    assert world.token() == "token 3"


def test_an_answer_that_took_longer_than_the_token_lives_is_of_no_use() -> None:
    world = World(lifetime=10)
    world.takes = 11
    with pytest.raises(NoAnswer, match="within 15 seconds"):
        world.token()


def test_a_short_life_has_short_windows() -> None:
    world = World(lifetime=20)
    world.token()
    world.plans = [NoAnswer("away", retry_after=100)] * 3
    world.later(18)
    assert world.token() == "token 1"
    world.later(1)
    with pytest.raises(NoAnswer):
        world.token()


def test_a_flight_tries_again_within_the_deadline_and_its_pauses_double() -> None:
    world = World()
    world.plans = [NoAnswer("away")] * 3
    assert world.token() == "token 4"
    assert world.flights.pauses == [0.5, 1.0, 2.0]


def test_a_flight_comes_back_when_the_server_said_and_not_before() -> None:
    world = World()
    world.plans = [NoAnswer("away", retry_after=5)]
    assert world.token() == "token 2"
    assert world.flights.pauses == [5]


def test_a_server_that_wants_to_be_left_alone_for_longer_than_the_deadline_is(world: World) -> None:
    world.later(3600)
    world.plans = [NoAnswer("away", retry_after=120)]
    for seconds in (0, 60, 59):
        world.later(seconds)
        with pytest.raises(NoAnswer) as away:
            world.token()
        assert away.value.retry_after == 120
    assert (world.asked, world.flights.pauses) == (2, [])
    world.later(1)
    assert world.token() == "token 3"


def test_a_wish_to_be_left_alone_for_a_year_is_not_believed() -> None:
    assert Backoff(1, 30).pause(1, 0.0, 31_536_000) == LONGEST_RETRY_AFTER


def test_pauses_double_up_to_a_bound_and_are_cut_at_random() -> None:
    backoff = Backoff(1, 30)
    assert [backoff.pause(failures, 0.0) for failures in (1, 2, 3, 6, 10_000)] == [1, 2, 4, 30, 30]
    assert backoff.pause(3, 1.0) == 2


def test_repetitions_are_budgeted() -> None:
    clock = FrozenClock(0)
    budget = RetryBudget(clock)
    assert [budget.take() for _ in range(BUDGET + 1)] == [True] * BUDGET + [False]
    clock.advance(60)
    assert [budget.take() for _ in range(3)] == [True, True, False]


def test_without_budget_a_flight_makes_one_attempt() -> None:
    world = World()
    while world.renewal._budget.take():
        pass
    world.plans = [NoAnswer("away")] * 2
    with pytest.raises(NoAnswer):
        world.token()
    assert world.asked == 1


@pytest.mark.parametrize("failure", [REFUSED, AnswerUnusable("not HTTP"), CallFailed("the file is gone")], ids=str)
def test_what_asking_again_cannot_help_is_not_asked_again_in_a_flight(failure: CallFailed) -> None:
    world = World()
    world.plans = [failure]
    for _ in range(2):
        with pytest.raises(type(failure), match=str(failure)):
            world.token()
    assert (world.asked, world.flights.pauses) == (1, [])
    world.later(5)
    assert world.token() == "token 2"


def test_failures_in_a_row_are_left_alone_for_longer_and_longer() -> None:
    world = World()
    world.plans = [AnswerUnusable("not HTTP")] * 40
    for _ in range(300):
        with pytest.raises(AnswerUnusable):
            world.token()
        world.later(1)
    assert world.asked == 5 + (300 - 31) // 30 + 1


# Tokens that an API does not take


def test_a_token_that_an_api_does_not_take_is_replaced_once(world: World) -> None:
    old = world.renewal.current()
    assert world.renewal.replaced(old) == replace(old, value="token 2")
    assert world.renewal.replaced(old) == replace(old, value="token 2")
    assert world.asked == 2


def test_an_api_that_takes_no_token_at_all_causes_one_exchange_a_minute(world: World) -> None:
    for _ in range(1000):
        world.renewal.replaced(world.renewal.current())
        world.later(BETWEEN_FORCED / 100)
    assert world.asked == 1 + 10


def test_where_no_other_token_is_to_be_had_there_is_none_and_the_old_one_stays(world: World) -> None:
    world.plans = [REFUSED]
    assert world.renewal.replaced(world.renewal.current()) is None
    assert world.token() == "token 1"


def test_when_no_thread_can_be_started_the_old_token_is_shown_and_then_the_reason(world: World) -> None:
    world.flights.startable = False
    world.later(3000)
    assert world.token() == "token 1"
    world.later(600)
    with pytest.raises(CallFailed, match="no thread can be started"):
        world.token()
    world.later(60)
    world.flights.startable = True
    assert world.token() == "token 2"


class Shipping(logging.Handler):
    """Needs a token for each line that it ships."""

    def __init__(self, renewal: Renewal) -> None:
        super().__init__()
        self.renewal = renewal
        self.shipped: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        assert not self.renewal._lock.locked(), "who asks for a token here waits for ever"
        self.shipped.append(f"{record.getMessage()} with {self.renewal.current().value}")


@pytest.mark.parametrize("startable", [True, False], ids=["refused", "no thread"])
def test_who_ships_the_log_may_need_a_token_for_it(
    startable: bool, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    shipping = Shipping(world.renewal)
    logging.getLogger("authserver.client").addHandler(shipping)
    try:
        world.plans, world.flights.startable = [REFUSED], startable
        world.later(3000)
        assert world.token() == "token 1"
        world.flights.land()
    finally:
        logging.getLogger("authserver.client").removeHandler(shipping)
    assert [line.rpartition(" with ")[2] for line in shipping.shipped] == ["token 1"]
    assert len(caplog.records) == 1


def test_a_flight_that_landed_between_two_looks_is_not_followed_by_another(world: World) -> None:
    seen = world.renewal._held
    world.later(3600)
    world.token()
    assert world.renewal._join(seen) is None
    assert world.flights.started == 2


def test_a_flight_that_a_fork_left_behind_changes_nothing(world: World) -> None:
    world.later(2700)
    world.token()
    _forget_flights()
    world.flights.land()
    assert world.token() == "token 1"
    assert world.flights.started == 3


# Waiting


def test_a_moment_that_has_come_is_not_waited_for() -> None:
    moment = Moment()
    moment.come()
    moment.wait(60)
    asyncio.run(moment.wait_async(60))


def test_a_task_is_woken_by_a_thread_and_gives_up_in_time() -> None:
    async def both() -> None:
        moment = Moment()
        await moment.wait_async(0.001)
        assert not moment.has_come
        threading.Timer(0.001, moment.come).start()
        await moment.wait_async(60)
        await asyncio.sleep(0)  # who had given up is woken too, and it does not matter

    asyncio.run(both())


def test_a_flight_takes_place_in_a_thread_of_its_own() -> None:
    landed: list[bool] = []
    moment = Moment()

    def land(outcome: threading.Thread) -> None:
        landed.append(outcome.daemon)
        moment.come()

    threads = Threads()
    threads.pause(0)
    threads.start(threading.current_thread, land)
    threads.wait(moment, 20)
    assert landed == [True]
