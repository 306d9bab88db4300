"""What every use of a Redis store goes through: sessions, another try where that is safe, and a circuit breaker."""

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as ConnectionLost

from authserver.errors import AuthServerError
from authserver.store.redis_address import Durability, RedisAddress, RedisCredentials
from authserver.store.redis_breaker import Breakers, Visit
from authserver.store.redis_links import Links, open_links
from authserver.store.redis_session import Session, Unconfirmed, outage

PAUSES: Final = (0.03, 0.15)
"""Seconds, at most, before the second try and before the third."""

Result = TypeVar("Result")

_MISPLACED: Final = (ConnectionLost, MovedError, ReadOnlyError, ClusterDownError, TryAgainError, RedisClusterException)
"""What says that a server is gone or is not the right one, so that another one may be by now."""

_CUT_OFF: Final = ("NOREPLICAS", "UNBLOCKED")
"""How a server's answer begins that has too few replicas (``min-replicas-to-write``), or that just became one."""


class RedisClient:
    """Runs sessions at one store. Threads share it; after a fork each process has connections of its own.

    ``trip`` is told of every round trip, and ``timer`` gives seconds since whenever.
    """

    def __init__(
        self,
        address: RedisAddress,
        credentials: RedisCredentials,
        durability: Durability,
        *,
        trip: Callable[[], None] = lambda: None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._durability = durability
        self._trip = trip
        self._timer = timer
        self._begin()

    def run(self, work: Callable[[Session], Result]) -> Result:
        """Do something at the store, and do it all again where a server was gone or was not the right one.

        So ``work`` must be such that doing it again, after it was done in part or in full, does no harm.

        :raises Unavailable: ``store_unavailable``.
        """
        if self._process != os.getpid():
            self._begin()
        visit = Visit(self._breakers)
        for pause in PAUSES:
            try:
                return self._attempt(work, visit)
            except _MISPLACED as error:
                self._links.look_again()
                if isinstance(error, AuthenticationError):
                    break
                time.sleep(random.uniform(0, pause))  # noqa: S311 (so that not all come back at once)
        try:
            return self._attempt(work, visit)
        except _MISPLACED as error:
            self._links.look_again()
            visit.failed()
            raise outage(error) from error

    def slot(self, key: str) -> int:
        """What one step can touch together: keys of the same slot."""
        return self._links.slot(key)

    def close(self) -> None:
        """Let go of connections. Closing twice is harmless, and a later use opens anew."""
        if self._process == os.getpid():
            with suppress(RedisError):
                self._links.close()

    def _attempt(self, work: Callable[[Session], Result], visit: Visit) -> Result:
        session = Session(self._links, self._durability, visit, self._confirming, self._trip)
        try:
            result = work(session)
        except AuthServerError:
            session.close()  # it was asked, and the answer is no
            visit.succeeded()
            raise
        except BaseException as error:
            session.close(broken=True)
            translated = self._translated(error, visit)
            if translated is error:
                raise
            raise translated from error
        session.close()
        visit.succeeded()
        return result

    def _translated(self, error: BaseException, visit: Visit) -> BaseException:
        """What is raised for an error: an outage, or the error itself if another try may help, or if it is a bug."""
        if isinstance(error, _MISPLACED) or not isinstance(error, (Unconfirmed, RedisError, OSError)):
            return error
        if not isinstance(error, ResponseError) or str(error).startswith(_CUT_OFF):
            self._links.look_again()  # the server may have been cut off, so that another one is the primary by now
        if not isinstance(error, (Unconfirmed, ResponseError)):  # else it is there, and refuses only this
            visit.failed()
        return outage(error)

    def _begin(self) -> None:
        """Begin without connections: what another process opened before a fork is its own, and is left alone."""
        self._links: Links = open_links(self._address, self._credentials)
        self._breakers = Breakers(self._timer)
        self._confirming = Breakers(self._timer)
        self._process = os.getpid()
