"""What ``check --online`` finds where the keys of the sources are: fetched as the server fetches them."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Final

from authserver.errors import Unavailable
from authserver.jose.fetch import Cause, Fetched
from authserver.jose.key_set import hash_key_id
from authserver.server import key_fetch, read_keys
from authserver.settings import Settings

PATIENCE: Final = 20.0
"""Seconds that all sources together may take. Each fetch has a limit of its own; finding a host's address has none."""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Reached:
    """What was found for one source.

    ``keys`` are pairs of an algorithm and a hashed ``kid``, of the algorithms that the source allows; ``unkeyed`` are
    those that no key is for. ``ahead`` is by how many seconds the other clock is ahead of ours, negative when it is
    behind, None when nothing said. ``cause`` is why there are no keys, None when there are.
    """

    source: str
    keys: tuple[tuple[str, str], ...] = ()
    unkeyed: tuple[str, ...] = ()
    ahead: int | None = None
    cause: Cause | None = None
    host: str = ""
    status: int | None = None


def reach(settings: Settings, *, clock: Clock, patience: float = PATIENCE) -> tuple[Reached, ...]:
    """Fetch the keys of every source of identity tokens at the same time.

    What takes longer than ``patience`` seconds is given up.
    """
    flights = {name: _take_off(name, settings, clock) for name in settings.jwt_sources}
    landed, _ = wait(flights.values(), timeout=patience)
    late = {name: Reached(name, cause=Cause.TIMED_OUT) for name in flights}
    return tuple(flight.result() if flight in landed else late[name] for name, flight in flights.items())


def _take_off(name: str, settings: Settings, clock: Clock) -> "Future[Reached]":
    flight: Future[Reached] = Future()
    # A daemon: a resolver that hangs must not keep the command from ending.
    arguments = (flight, lambda: _reach_one(name, settings, clock))
    threading.Thread(target=_fly, args=arguments, name="online", daemon=True).start()
    return flight


def _fly(flight: "Future[Reached]", reach_one: Callable[[], Reached]) -> None:
    try:
        flight.set_result(reach_one())
    except Exception as error:  # it belongs to whoever waits for the flight
        flight.set_exception(error)


def _reach_one(name: str, settings: Settings, clock: Clock) -> Reached:
    table = settings.jwt_sources[name]
    asked_at = clock()
    try:
        fetched = key_fetch(table, settings)()
    except Unavailable as unavailable:
        facts: Any = unavailable.facts
        return Reached(name, cause=Cause(facts["cause"]), host=facts["host"], status=facts["status"])
    ahead = _ahead(fetched, asked_at, clock())
    try:
        keys = read_keys(table, fetched.document).by_id
    except ValueError:
        return Reached(name, ahead=ahead, cause=Cause.NO_USABLE_KEY)
    found = tuple(sorted((key.algorithm, hash_key_id(kid)) for kid, key in keys.items()))
    covered = {algorithm for algorithm, _ in found}
    unkeyed = tuple(algorithm for algorithm in table.allowed_algorithms if algorithm not in covered)
    return Reached(name, found, unkeyed, ahead)


def _ahead(fetched: Fetched, asked_at: float, answered_at: float) -> int | None:
    """The least difference that explains the answer's date, which was cut to whole seconds on its way to us."""
    if fetched.date is None:
        return None
    if fetched.date > answered_at:
        return round(fetched.date - answered_at)
    return round(min(0.0, fetched.date + 1 - asked_at))


def lines(reached: Reached) -> Iterator[str]:
    """What was found, for people."""
    yield f"\n  source {reached.source!r}: {_summary(reached)}"
    for algorithm, kid in reached.keys:
        yield f"    {algorithm:<6} kid sha256 {kid}"
    if reached.unkeyed:
        yield f"    allowed, and without a key: {', '.join(reached.unkeyed)}"
    if reached.ahead is not None:
        yield f"    its clock: {_difference(reached.ahead)}"


def described(reached: Reached) -> dict[str, Any]:
    """What was found, for programs."""
    return {
        "source": reached.source,
        "keys": [{"alg": algorithm, "kid_sha256": kid} for algorithm, kid in reached.keys],
        "algorithms_without_key": reached.unkeyed,
        "clock_ahead": reached.ahead,
        "cause": reached.cause,
        "host": reached.host or None,
        "status": reached.status,
    }


def _summary(reached: Reached) -> str:
    if reached.cause is None:
        return "1 key" if len(reached.keys) == 1 else f"{len(reached.keys)} keys"
    where = f" ({reached.host})" if reached.host else ""
    status = f", status {reached.status}" if reached.status else ""
    return f"no keys, {reached.cause.value}{where}{status}: {_MEANINGS[reached.cause]}"


def _difference(ahead: int) -> str:
    if ahead == 0:
        return "no difference that can be told"
    return f"{abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} this machine's"


_MEANINGS: Final = {
    Cause.URL_REFUSED: "the address is not one that is fetched from",
    Cause.NAME_UNRESOLVED: "the host has no address that can be found here",
    Cause.ADDRESS_REFUSED: "the host has an address that may not be connected to, or plain http is not allowed there",
    Cause.CONNECTION_FAILED: "nothing accepts connections there, or the connection broke",
    Cause.TLS_FAILED: "its certificate is not trusted here, has expired, or is for another name",
    Cause.TIMED_OUT: "it did not answer in time",
    Cause.CREDENTIAL_UNREADABLE: "the ca_file or the bearer_token_file cannot be read, or does not hold what it should",
    Cause.FILE_UNREADABLE: "the file of the key set cannot be read",
    Cause.REDIRECTED: "it answers with a redirect, and none is followed; name the address that it leads to",
    Cause.STATUS_WRONG: "it does not answer with 200",
    Cause.ENCODED: "its answer is compressed although that was not asked for",
    Cause.TOO_LARGE: "its answer is too large",
    Cause.ANSWER_MALFORMED: "its answer is not one JSON object",
    Cause.ISSUER_MISMATCH: "its metadata names another issuer; write the issuer exactly as the metadata has it",
    Cause.NO_USABLE_KEY: "its key set has no key for any of the algorithms that the source allows",
    Cause.INTERNAL_ERROR: "something went wrong here",
}
