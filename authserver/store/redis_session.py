"""Doing things at a Redis store: in sessions, which know what they have written and can have it confirmed.

A session keeps the connection to each server that it speaks with. That is what makes a confirmation mean something:
WAIT and WAITAOF speak of the writes of their own connection, and a connection that never broke is to one server only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from redis import Connection, ConnectionPool
from redis.exceptions import AskError, MovedError, NoScriptError, RedisError, ResponseError

from authserver.errors import Reason, Unavailable
from authserver.store.redis_address import Durability
from authserver.store.redis_breaker import Breakers, Visit
from authserver.store.redis_links import Links
from authserver.store.redis_scripts import Script

DISK_TIMEOUT: Final = 2.5
"""Seconds that a server's disk may take to confirm a write. With ``appendfsync everysec`` it takes up to one."""

_SCANNED_AT_ONCE: Final = 1000

REPLICAS_TIMEOUT: Final = 0.5
"""Seconds that replicas may take to receive a write."""


Command: TypeAlias = Sequence[str | int | float]


@dataclass(frozen=True, slots=True)
class Call:
    """A command or a script, with the keys that it touches, all of one slot."""

    what: str | Script
    keys: Sequence[str]
    arguments: Sequence[str | int | float] = ()

    def packed(self, *, whole: bool = False) -> Command:
        """What is sent; with ``whole`` a script itself and not its hash."""
        if isinstance(self.what, str):
            return (self.what, *self.keys, *self.arguments)
        named = ("EVAL", self.what.text) if whole else ("EVALSHA", self.what.sha1)
        return (*named, len(self.keys), *self.keys, *self.arguments)


class Unconfirmed(Exception):
    """Fewer replicas than are wanted have a write, or the disk has not. Whether it lasts is not known."""


class Session:
    """One conversation with the servers that some keys live on.

    ``trip`` is told of every round trip: each time that something is sent, and an answer waited for. ``visit``
    and ``confirming`` see to it that not everybody waits for a server that is dead, or that can confirm nothing.
    """

    def __init__(
        self, links: Links, durability: Durability, visit: Visit, confirming: Breakers, trip: Callable[[], None]
    ) -> None:
        self._links = links
        self._durability = durability
        self._visit = visit
        self._confirming = confirming
        self._trip = trip
        self._held: dict[ConnectionPool, Connection] = {}

    def run(self, *calls: Call, replicas: bool = False, current: bool = False) -> list[Any]:
        """Do several things, of which those at one server take one round trip together; no order is promised.

        With ``replicas`` the replicas that are wanted have the writes when it returns, but perhaps no disk. With
        ``current`` no server is believed whose replicas confirmed nothing the last time: another one may be the primary
        by now, and know of what this one does not.

        :raises RedisError: one of them was not done.
        :raises Unconfirmed: too few replicas have the writes.
        """
        waits = self._wait() if replicas else []
        answers: list[Any] = [None] * len(calls)
        for pool, positions in self._by_pool(calls).items():
            if current and self._durability.replicas:
                self._confirming.of(pool).require_closed()
            if waits:
                self._confirming.of(pool).enter()
            here = self._at(pool, [calls[position] for position in positions], [wait for wait, _ in waits])
            for position, answer in zip(positions, here, strict=True):
                answers[position] = answer
        return answers

    def one(self, call: Call, *, replicas: bool = False, current: bool = False) -> Any:
        """Do one thing, as :meth:`run` does several."""
        return self.run(call, replicas=replicas, current=current)[0]

    def confirm(self) -> None:
        """Return when everything that was written in this session is as safe as is wanted.

        :raises RedisError: a server cannot say so.
        :raises Unconfirmed: one says that it is not.
        """
        disk = [(("WAITAOF", 1, 0, int(DISK_TIMEOUT * 1000)), 1)] if self._durability.on_disk else []
        wanted = [*disk, *self._wait()]
        if not wanted:
            return
        for pool in self._held:
            self._confirming.of(pool).enter()
            for (_, least), answer in zip(wanted, self._exchange(pool, [each for each, _ in wanted]), strict=True):
                self._check(pool, answer, least)

    def every(self, command: str, *arguments: str | int) -> list[Any]:
        """What every primary answers to a command about itself."""
        answers = [self._exchange(pool, [(command, *arguments)])[0] for pool in self._links.primaries()]
        for answer in answers:
            if isinstance(answer, RedisError):
                raise answer
        return answers

    def scan(self, pattern: str, primary: int, cursor: str) -> tuple[str, list[str]]:
        """A few keys at one of the primaries, perhaps more than once, and the cursor to go on with; "0" at the end."""
        command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED_AT_ONCE)
        answer = self._exchange(self._links.primaries()[primary], [command])[0]
        if isinstance(answer, RedisError):
            raise answer
        return answer[0], answer[1]

    def close(self, *, broken: bool = False) -> None:
        """Give the connections back, unless something may be left in them."""
        for pool, connection in self._held.items():
            if broken:
                connection.disconnect()
            pool.release(connection)
        self._held.clear()

    def _wait(self) -> list[tuple[Command, int]]:
        """The command that asks for replicas, if any are wanted, with the least that its answer must be."""
        replicas = self._durability.replicas
        return [(("WAIT", replicas, int(REPLICAS_TIMEOUT * 1000)), replicas)] if replicas else []

    def _by_pool(self, calls: Sequence[Call]) -> dict[ConnectionPool, list[int]]:
        self._visit.enter(self._links)
        found: dict[ConnectionPool, list[int]] = {}
        for position, call in enumerate(calls):
            found.setdefault(self._links.pool(call.keys[0]), []).append(position)
        return found

    def _at(self, pool: ConnectionPool, calls: Sequence[Call], waits: Sequence[Command]) -> list[Any]:
        """Do things at one server. Scripts that it does not know are sent whole, and where it sends us, we go."""
        answers = self._exchange(pool, [*(call.packed() for call in calls), *waits])
        if any(isinstance(answer, NoScriptError) for answer in answers):
            answers = self._exchange(pool, [*(call.packed(whole=True) for call in calls), *waits])
        done = [self._followed(call, answer, waits) for call, answer in zip(calls, answers, strict=False)]
        for answer in answers[len(calls) :]:
            self._check(pool, answer, self._durability.replicas)
        return done

    def _followed(self, call: Call, answer: Any, waits: Sequence[Command]) -> Any:
        """The answer of the server that a slot is just moving to, if that is what the answer says."""
        if isinstance(answer, AskError) and not isinstance(answer, MovedError):
            elsewhere = self._links.pool_at(answer.host, answer.port)
            _, answer, *waited = self._exchange(elsewhere, [("ASKING",), call.packed(whole=True), *waits])
            for each in waited:
                self._check(elsewhere, each, self._durability.replicas)
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def _check(self, pool: ConnectionPool, answer: Any, least: int) -> None:
        """Compare what WAIT answers, or the first of the pair that WAITAOF does: the disk of the server itself."""
        if isinstance(answer, ResponseError) and str(answer).lower().startswith("unknown command 'waitaof'"):
            return  # a Redis before 7.2 has no WAITAOF; the operator was told when the server started
        if isinstance(answer, ResponseError):
            raise answer
        if (answer[0] if isinstance(answer, list) else answer) < least:
            self._confirming.of(pool).failed()
            raise Unconfirmed
        self._confirming.of(pool).succeeded()

    def _exchange(self, pool: ConnectionPool, commands: Sequence[Command]) -> list[Any]:
        """One round trip. An error that the server answers with is an answer."""
        self._visit.enter(pool)
        connection = self._held.get(pool)
        if connection is None:
            connection = self._held[pool] = pool.get_connection()
        self._trip()
        connection.send_packed_command([b"".join(map(_encoded, commands))])
        return [_answer(connection) for _ in commands]


def _encoded(command: Command) -> bytes:
    """A command as it is sent (redis.io/docs/latest/develop/reference/protocol-spec, "Sending commands").

    It is an array of strings, in UTF-8. What redis-py has for this takes twice as long.
    """
    words = [str(word).encode() for word in command]
    return b"*%d\r\n%b" % (len(words), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))


def _answer(connection: Connection) -> Any:
    try:
        return connection.read_response(disconnect_on_error=True)
    except ResponseError as error:
        return error


def outage(error: BaseException) -> Unavailable:
    """What the rest of the house is told of an error: nothing that was stored, and no address."""
    return Unavailable(Reason.STORE_UNAVAILABLE, cause=type(error).__name__)
