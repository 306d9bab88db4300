"""Two ways of waiting, so that there is one description of what is decided.

What a resource server does with a request is written once, as coroutines that say where they wait. In a thread they
are run to their end by :func:`finish`, and each wait holds the thread. On an event loop they are awaited, and nothing
ever holds the loop: a result that is being made elsewhere is awaited, and what blocks goes to a few threads.
"""

import asyncio
import contextlib
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from authserver.errors import Reason, Unavailable

THREADS: Final = 8
"""How many threads do what blocks, for one resource server on event loops."""

PLACES: Final = 256
"""How much of it may be waiting or under way. Beyond that the answer is 503, because the queue only grows."""

T = TypeVar("T")


class Waits(Protocol):
    """A way of waiting."""

    async def result(self, future: "Future[T]", seconds: float) -> T:
        """What ``future`` comes to. It is not cancelled, because others may wait for it, too.

        :raises TimeoutError: it takes longer than ``seconds``.
        """
        ...  # a protocol has no body

    async def call(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, which may block.

        :raises Unavailable: too much is waiting already.
        """
        ...  # a protocol has no body


class Blocking:
    """Holds the thread. Its coroutines never suspend."""

    async def result(self, future: "Future[T]", seconds: float) -> T:
        """See :class:`Waits`."""
        return future.result(seconds)

    async def call(self, work: Callable[[], T]) -> T:
        """See :class:`Waits`."""
        return work()


class OnLoop:
    """Holds nothing. One object may serve several event loops, and processes that were forked later."""

    def __init__(self, threads: int = THREADS, places: int = PLACES) -> None:
        self._threads = threads
        self._places = places
        self._begin()

    async def result(self, future: "Future[T]", seconds: float) -> T:
        """See :class:`Waits`."""
        if not future.done():
            await asyncio.wait_for(_done(future), seconds)
        return future.result()

    async def call(self, work: Callable[[], T]) -> T:
        """See :class:`Waits`."""
        future = self._submit(partial(contextvars.copy_context().run, work))
        await _done(future)
        return future.result()

    def _submit(self, work: Callable[[], T]) -> "Future[T]":
        if self._pid != os.getpid():
            self._begin()  # the threads of an executor do not come along
        free = self._free
        if not free.acquire(blocking=False):
            raise Unavailable(Reason.STORE_UNAVAILABLE, cause="too_many_waiting")
        try:
            future = self._executor.submit(work)
        except RuntimeError:  # no more threads, or the interpreter is shutting down
            free.release()
            raise Unavailable(Reason.STORE_UNAVAILABLE, cause="no_more_threads") from None
        future.add_done_callback(lambda _: free.release())
        return future

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._free = threading.BoundedSemaphore(self._places)
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="resource-server")  # starts none yet


def _done(future: "Future[Any]") -> "asyncio.Future[None]":
    """Is done when ``future`` is. Unlike ``asyncio.wrap_future``, to cancel it cancels nothing that others wait for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def wake(_: "Future[Any]") -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile, and nobody waits any more
            loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result(None))

    future.add_done_callback(wake)
    return done


def finish(steps: Coroutine[Any, Any, T]) -> T:
    """Run coroutines that wait with :class:`Blocking`, and so never suspend, to their end."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("these steps wait for an event loop")
