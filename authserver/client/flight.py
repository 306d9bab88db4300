"""One request under way that everybody waits for who needs what it brings: threads and tasks alike."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from authserver.client.clock import Instant
from authserver.client.failures import NoAnswer

Outcome = TypeVar("Outcome")


class Moment:
    """Something that happens once. It belongs to no event loop, so that tasks of several may wait for it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._wakers: list[Callable[[], None]] = []

    @property
    def has_come(self) -> bool:
        """Whether it has happened."""
        return self._event.is_set()

    def come(self) -> None:
        """It happens now, if it has not happened before."""
        with self._lock:
            self._event.set()
            wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    def wait(self, seconds: float) -> None:
        """Return when it has happened, or after so many seconds."""
        self._event.wait(seconds)

    async def wait_async(self, seconds: float) -> None:
        """The same for a task of asyncio, whose event loop goes on meanwhile."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._event.is_set():
                return
            self._wakers.append(lambda: _wake(loop, woken))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await woken


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Future[None]) -> None:
    with contextlib.suppress(RuntimeError):  # that loop was closed, and who waited in it is gone
        loop.call_soon_threadsafe(_settle, woken)


def _settle(woken: asyncio.Future[None]) -> None:
    if not woken.done():  # who waited may have been cancelled, or have waited long enough
        woken.set_result(None)


@dataclass(frozen=True, slots=True)
class Flight:
    """``tried`` has come when the first attempt has ended, and ``landed`` when there will be no other.

    ``failures`` are those of the attempts until now that another one may make good.
    """

    began: Instant
    tried: Moment = field(default_factory=Moment)
    landed: Moment = field(default_factory=Moment)
    failures: list[NoAnswer] = field(default_factory=list)


class Conduct(Protocol):
    """How flights take place and are waited for. A simulation has another one than :class:`Threads`."""

    def start(self, work: Callable[[], Outcome], land: Callable[[Outcome], None]) -> None:
        """Do ``work`` beside the caller, and ``land`` with what comes of it.

        :raises RuntimeError: it cannot be started.
        """
        ...  # a protocol has no body

    def pause(self, seconds: float) -> None:
        """Let time pass, in the course of the work."""
        ...  # a protocol has no body

    def wait(self, moment: Moment, seconds: float) -> None:
        """Return when ``moment`` has come, or after so many seconds."""
        ...  # a protocol has no body


class Threads:
    """A thread for each flight. It holds up neither the caller nor the end of the program."""

    def start(self, work: Callable[[], Outcome], land: Callable[[Outcome], None]) -> None:
        """See :class:`Conduct`."""
        threading.Thread(target=lambda: land(work()), name="access-token", daemon=True).start()

    def pause(self, seconds: float) -> None:
        """See :class:`Conduct`."""
        time.sleep(seconds)

    def wait(self, moment: Moment, seconds: float) -> None:
        """See :class:`Conduct`."""
        moment.wait(seconds)
