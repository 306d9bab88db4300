"""Two ways of waiting: one holds its thread, the other never holds its loop."""

import asyncio
import contextvars
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from authserver.errors import Reason, Unavailable
from authserver.resource.waiting import Blocking, OnLoop, finish

PATIENCE = 20.0


@pytest.fixture
def waits() -> OnLoop:
    return OnLoop(threads=1, places=2)


@contextmanager
def occupied(waits: OnLoop, loop: asyncio.AbstractEventLoop) -> Iterator["asyncio.Task[None]"]:
    """While this lasts, the one thread of ``waits`` is busy."""
    free, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        free.wait(PATIENCE)

    task = loop.create_task(waits.call(work))
    try:
        yield task
    finally:
        free.set()


def test_in_a_thread_work_is_done_here() -> None:
    assert finish(Blocking().call(threading.get_ident)) == threading.get_ident()


def test_in_a_thread_a_result_is_waited_for() -> None:
    future: Future[int] = Future()
    threading.Timer(0.01, future.set_result, (7,)).start()
    assert finish(Blocking().result(future, PATIENCE)) == 7


def test_in_a_thread_nobody_waits_longer_than_the_bound() -> None:
    with pytest.raises(TimeoutError):
        finish(Blocking().result(Future(), 0.001))


def test_steps_that_need_a_loop_are_not_run_to_their_end_without_one() -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        finish(asyncio.sleep(0))


def test_on_a_loop_work_is_done_elsewhere_and_sees_the_context(waits: OnLoop) -> None:
    variable = contextvars.ContextVar[str]("variable")

    async def ask() -> tuple[str, int]:
        variable.set("mine")
        return await waits.call(lambda: (variable.get(), threading.get_ident()))

    value, thread = asyncio.run(ask())
    assert value == "mine"
    assert thread != threading.get_ident()


def test_on_a_loop_an_error_is_the_one_of_the_work(waits: OnLoop) -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(waits.call(lambda: 1 // 0))


def test_on_a_loop_nobody_waits_longer_than_the_bound_and_nothing_is_cancelled(waits: OnLoop) -> None:
    future: Future[int] = Future()

    async def ask() -> int:
        with pytest.raises(TimeoutError):
            await waits.result(future, 0.001)
        assert not future.cancelled()
        asyncio.get_running_loop().call_later(0.001, future.set_result, 7)
        return await waits.result(future, PATIENCE)

    assert asyncio.run(ask()) == 7
    assert asyncio.run(waits.result(future, 0)) == 7


def test_one_task_that_is_cancelled_does_not_end_the_wait_of_another(waits: OnLoop) -> None:
    future: Future[int] = Future()

    async def ask() -> int:
        first, second = (asyncio.ensure_future(waits.result(future, PATIENCE)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        future.set_result(7)
        return await second

    assert asyncio.run(ask()) == 7


def test_a_loop_that_is_gone_when_the_result_comes_is_no_error(waits: OnLoop, caplog: pytest.LogCaptureFixture) -> None:
    future: Future[int] = Future()

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await waits.result(future, 0.001)

    asyncio.run(ask())
    future.set_result(7)
    assert not caplog.records


def test_what_does_not_fit_is_refused_as_an_outage_and_there_is_room_again_later(waits: OnLoop) -> None:
    async def ask() -> int:
        with occupied(waits, asyncio.get_running_loop()) as first:
            second = asyncio.ensure_future(waits.call(lambda: 2))
            await asyncio.sleep(0)
            with pytest.raises(Unavailable) as caught:
                await waits.call(lambda: 3)
            assert caught.value.reason is Reason.STORE_UNAVAILABLE
        await first
        return await second + await waits.call(lambda: 4)

    assert asyncio.run(ask()) == 6


def test_without_threads_it_is_an_outage_and_no_place_is_lost(waits: OnLoop) -> None:
    waits._executor.shutdown()
    for _ in range(waits._places + 1):
        with pytest.raises(Unavailable) as caught:
            asyncio.run(waits.call(lambda: 1))
        assert caught.value.facts == {"cause": "no_more_threads"}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(waits: OnLoop) -> None:
    """What gunicorn --preload does."""
    asyncio.run(waits.call(lambda: 1))
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if asyncio.run(waits.call(lambda: 1)) == 1 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
