"""What a process does in the background, in one thread: small tasks, each at its interval, none of them fatal."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from authserver.errors import AuthServerError, Reason, Unavailable

TURN: Final = 1.0
"""Seconds between two looks at what is due."""

_log = logging.getLogger("authserver")


class Task(NamedTuple):
    """A piece of background work. ``every`` is in seconds; ``name`` is its label in logs and metrics."""

    name: str
    every: float
    work: Callable[[], object]


class Housekeeping:
    """Runs the tasks. The thread does not survive a fork, so it is started where it is found missing."""

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        failed: Callable[[str, Reason], None] = lambda _task, _reason: None,
        turn: float = TURN,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """``failed`` is told the name of a task that failed, and why. ``timer`` gives seconds since whenever."""
        self._tasks = tuple(tasks)
        self._failed = failed
        self._turn = turn
        self._timer = timer
        self._stopped = threading.Event()
        self._pid: int | None = None

    def ensure_running(self) -> None:
        """Start the thread in this process unless it is running."""
        if self._pid == os.getpid() or self._stopped.is_set():
            return
        self._pid = os.getpid()
        threading.Thread(target=self._run, name="housekeeping", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end at its next turn."""
        self._stopped.set()

    def _run(self) -> None:
        due = [self._timer() for _ in self._tasks]
        while not self._stopped.wait(self._turn):
            for position, task in enumerate(self._tasks):
                if self._timer() >= due[position]:
                    due[position] = self._timer() + task.every
                    attempt(task, self._failed)


def attempt(task: Task, failed: Callable[[str, Reason], None], *, fatal: type[Exception] | tuple[()] = ()) -> None:
    """Do one piece of background work. What goes wrong is told to the operator, and tried again when it is next due.

    :raises fatal: that alone is raised.
    """
    try:
        task.work()
    except fatal:
        raise
    except Unavailable as unavailable:
        facts = {"task": task.name, "reason": unavailable.reason.value, **unavailable.facts}
        _log.warning("background work was put off", extra=facts)
        failed(task.name, unavailable.reason)
    except AuthServerError as error:
        _log.error("background work failed: %s", error, extra={"task": task.name})
        failed(task.name, Reason.INTERNAL_ERROR)
    except Exception:
        _log.exception("background work failed", extra={"task": task.name})
        failed(task.name, Reason.INTERNAL_ERROR)
