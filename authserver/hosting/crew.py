"""Threads that take turns at leading: one reads and answers for everybody, and a stalled one is left behind.

A pool of threads costs a hand-over for each request, and an event loop without one stands still when the store does.
Here the thread that has read a request answers it in line. The others sleep. Only if an answer takes longer than
``PATIENCE`` does another thread go on with the loop; the stalled one, when it is done, hands its connection back.

What always holds:

1. *The lead is a lock.* Whoever holds it, and nobody else, polls, accepts and closes, and goes from one connection to
   the next.
2. *Whatever may take its time is done without the lead*: the application, and the making of a TLS context. Before the
   leader lets go, it says in ``_away`` whom it leaves for; whoever takes the lead next, if that is another thread,
   stops polling that connection. Until then nobody polls at all, so a request in line costs no system call for it.
3. *A connection is touched either by the thread that is away for it or by the leader.* It comes back by way of the next
   ``_take`` of the lead by the same thread, or through ``_returned``; never both.
4. *The lead is free only while somebody is away for a connection.* Whoever comes back takes it if it is free, and one
   sleeper at a time watches, so it stays free while every thread is away, and not much longer than ``PATIENCE``
   otherwise. The number of threads is how many stalled requests a worker bears; the next one waits.
5. *A watcher sleeps for good while nobody is away.* It says so in ``_stirred`` before it looks at ``_turns`` for the
   last time, and the leader looks at ``_stirred`` after it has counted a turn, so one of them sees the other. Under
   load the watcher wakes a hundred times a second, and in an idle worker never.
"""

import contextlib
import logging
import math
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from selectors import EVENT_READ, DefaultSelector
from typing import Final

from authserver.hosting.connection import LINGER, Connection, Phase, Terms

PATIENCE: Final = 0.01
"""Seconds that the other connections wait for an answer in line; at most twice as long until another thread leads."""

_SECOND: Final = 1.0
"""Seconds between two looks at the deadlines."""

_log = logging.getLogger("authserver")


class Crew:
    """Serves ``listeners`` with ``threads`` threads, until it is stopped or has failed.

    ``most`` is how many connections it has at a time. ``pulse`` is called every second or so, unless every thread is
    stalled. ``answers`` is how many requests have begun to be answered. ``ended`` is set at the end, of its own accord
    only after a mistake in here, which is on record then.
    """

    def __init__(
        self,
        terms: Terms,
        listeners: Sequence[socket.socket],
        *,
        threads: int,
        most: int,
        pulse: Callable[[], None],
    ) -> None:
        self.ended = threading.Event()
        self.answers = 0
        self._turns = 0
        self._terms = terms
        self._listeners = listeners
        self._threads = threads
        self._most = most
        self._pulse = pulse
        self._lead = threading.Lock()
        self._watch = threading.Lock()
        self._stirred = threading.Event()
        self._away: Connection | None = None
        self._returned: deque[Connection] = deque()
        self._ready: deque[Connection] = deque()
        self._connections: set[Connection] = set()
        self._selector = DefaultSelector()
        self._bell, self._ringer = os.pipe()
        self._listening = False
        self._not_before = 0.0
        self._next_look = 0.0
        self._last_call = math.inf

    def start(self) -> None:
        """Begin to serve, in threads that no signal interrupts."""
        for end in (self._bell, self._ringer):
            os.set_blocking(end, False)
        self._selector.register(self._bell, EVENT_READ, self._answer_the_bell)
        for listener in self._listeners:
            listener.setblocking(False)
        with _without_signals():
            for number in range(self._threads):
                threading.Thread(target=self._serve, name=f"crew-{number}", daemon=True).start()

    def stop(self) -> None:
        """Accept nothing more, answer what is asked, and end."""
        self._last_call = self._terms.clock() + LINGER
        self._terms.last = True
        self._ring()
        self._stirred.set()

    @property
    def _is_stopping(self) -> bool:
        return self._last_call < math.inf

    @property
    def _is_crowded(self) -> bool:
        return len(self._connections) >= self._most

    def _serve(self) -> None:
        """The life of one thread."""
        try:
            while self._gets_the_lead():
                self._take(None)
                self._go_on()
        except Exception:
            _log.exception("the worker ends over a mistake of its own")
            self._finish()

    def _gets_the_lead(self) -> bool:
        """Wait until nobody has had the lead for too long, as at the very beginning, and take it; not at the end."""
        with self._watch:
            while not self.ended.is_set():
                seen = self._turns
                time.sleep(PATIENCE)
                if self._turns == seen:
                    if self._lead.acquire(blocking=False):
                        return True
                    self._stirred.clear()
                    if self._turns == seen and not self.ended.is_set():
                        self._stirred.wait()
            return False

    def _take(self, mine: Connection | None) -> None:
        """What to do first with the lead."""
        if self._away is not None and self._away is not mine:
            self._poll_for(self._away, 0)
        self._away = None

    def _go_on(self) -> None:
        """Lead, until the lead is lost or everything is over."""
        while not self.ended.is_set():
            if not self._ready:
                self._poll()
                continue
            connection = self._ready.popleft()
            try:
                connection.advance()
                if connection.is_due and not self._leave_for(connection):
                    return
                self._settle(connection)
            except Exception:
                _log.exception("a connection ends over a mistake of the worker's own")
                self._forget(connection)
        self._stirred.set()
        self._lead.release()

    def _leave_for(self, connection: Connection) -> bool:
        """Do what is due for a connection, without the lead; whether this thread has it again."""
        self._away = connection
        self.answers += connection.phase is Phase.WHOLE
        self._turns += 1
        if not self._stirred.is_set():
            self._stirred.set()
        self._lead.release()
        try:
            connection.work()
        except Exception:
            _log.exception("a connection ends over a mistake of the worker's own")
            connection.phase = Phase.GONE
        if self._lead.acquire(blocking=False):
            self._take(connection)
            return True
        self._returned.append(connection)
        self._ring()
        return False

    def _settle(self, connection: Connection) -> None:
        """Have a connection polled for what it waits for now."""
        if connection.phase is Phase.GONE:
            self._forget(connection)
        elif connection.is_due and connection.phase is not Phase.GREETING:
            self._ready.append(connection)  # the others first
        elif connection.wants != connection.events:
            self._poll_for(connection, connection.wants)

    def _poll_for(self, connection: Connection, events: int) -> None:
        if events == connection.events:  # as with one that came back with its next request and is left for that
            return
        if not events:
            self._selector.unregister(connection.number)
        elif connection.events:
            self._selector.modify(connection.number, events, connection)
        else:
            self._selector.register(connection.number, events, connection)
        connection.events = events

    def _forget(self, connection: Connection) -> None:
        self._poll_for(connection, 0)
        connection.close()
        self._connections.discard(connection)

    def _poll(self) -> None:
        """Wait for something to do, or a second."""
        now = self._terms.clock()
        if now >= self._next_look:
            self._next_look = now + _SECOND
            self._pulse()
            self._expire(now)
        self._listen(now)
        if self._is_stopping and not self._connections:
            self._finish()
        if self._ready or self.ended.is_set():  # nothing may be ready twice
            return
        for key, _ in self._selector.select(self._next_look - now):
            if isinstance(key.data, Connection):
                self._ready.append(key.data)
            else:
                key.data()

    def _expire(self, now: float) -> None:
        # With no room for another connection, one that asks nothing gives way to it: it has had time to ask.
        gives_way = now + self._terms.keepalive - LINGER if self._is_crowded else now
        for connection in list(self._connections):
            if not connection.events:  # it is another thread's
                continue
            idle = connection.is_idle and (connection.deadline < gives_way or self._last_call < now)
            if idle or connection.deadline < now:
                connection.expire()
                self._settle(connection)

    def _listen(self, now: float) -> None:
        """Accept connections or stop to, whichever is right now."""
        self._terms.last = self._is_stopping or self._is_crowded
        wanted = not (self._terms.last or now < self._not_before)
        if wanted == self._listening:
            return
        self._listening = wanted
        for listener in self._listeners:
            if wanted:
                self._selector.register(listener, EVENT_READ, _accepting(self._accept, listener))
            else:
                self._selector.unregister(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, peer = listener.accept()
            connection = Connection(self._terms, sock, peer)
        except (BlockingIOError, ConnectionAbortedError):  # another worker was faster, or the caller has left
            return
        except OSError:  # no more files may be open: those that are may close by then
            _log.exception("no connection can be accepted")
            self._not_before = self._terms.clock() + _SECOND
            return
        self._connections.add(connection)
        self._poll_for(connection, EVENT_READ)

    def _ring(self) -> None:
        """Wake the leader."""
        with contextlib.suppress(BlockingIOError):  # it is awake
            os.write(self._ringer, b".")

    def _answer_the_bell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._bell, 4096)
        while self._returned:
            self._settle(self._returned.popleft())

    def _finish(self) -> None:
        for connection in self._connections:
            connection.close()
        self.ended.set()
        self._stirred.set()


def _accepting(accept: Callable[[socket.socket], None], listener: socket.socket) -> Callable[[], None]:
    return lambda: accept(listener)


@contextlib.contextmanager
def _without_signals() -> Iterator[None]:
    """Threads that are started here leave signals to the main thread, which is never stalled."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
