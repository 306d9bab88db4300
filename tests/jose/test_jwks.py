"""Key sets: what a flood, an outage, a slow issuer and a removed key do to them, over real HTTP."""

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.jose.discovery import Discovery, oauth_metadata_url, openid_metadata_url
from authserver.jose.fetch import Cause, Endpoint, Fetched, Fetcher
from authserver.jose.jwks import RemoteKeySet
from authserver.jose.key_set import MAX_KEYS, StaticKeySet, hash_key_id
from tests.jose.servers import Authority, Server, answer
from tests.oracle import Key, jwks, make_key, public_jwk

START = 1_800_000_000.0
PATIENCE = 20.0
"""Seconds after which a test gives up on something that will happen; nothing is measured by it."""


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Issuer:
    """A fake issuer with a switch for everything that goes wrong."""

    def __init__(self, *keys: Key) -> None:
        self.document: Any = jwks(*keys)
        self.status = "200 OK"
        self.headers: dict[str, str] = {}
        self.open = threading.Event()
        self.open.set()
        self.arrived = threading.Event()
        self.server = Server(self._respond)

    def _respond(self, connection: socket.socket) -> None:
        self.arrived.set()
        self.open.wait(PATIENCE)
        path = self.server.requests[-1].split()[1]
        document = self.document.get(path, self.document) if isinstance(self.document, dict) else self.document
        connection.sendall(answer(document, self.status, **self.headers))

    def publish(self, *keys: Key) -> None:
        self.document = jwks(*keys)

    @property
    def fetches(self) -> int:
        return len(self.server.requests)

    @contextlib.contextmanager
    def running(self) -> Iterator["Issuer"]:
        with self.server.running():
            try:
                yield self
            finally:
                self.open.set()


class Landings:
    """Lets a test wait for a flight to land, and tells how it went."""

    def __init__(self) -> None:
        self._outcomes: queue.Queue[str] = queue.Queue()
        self.add = self._outcomes.put

    def next(self) -> str:
        return self._outcomes.get(timeout=PATIENCE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def landings() -> Landings:
    return Landings()


@pytest.fixture(scope="module")
def old() -> Key:
    return make_key(kid="old")


@pytest.fixture(scope="module")
def new() -> Key:
    return make_key(kid="new")


@pytest.fixture
def issuer(old: Key) -> Iterator[Issuer]:
    with Issuer(old).running() as issuer:
        yield issuer


@pytest.fixture
def remote(issuer: Issuer, clock: Clock, landings: Landings) -> Callable[..., RemoteKeySet]:
    def make(**options: Any) -> RemoteKeySet:
        fetcher = Fetcher(insecure_allow_http=True, deadline=PATIENCE)
        settings = {"clock": clock, "wait": PATIENCE, "on_fetch": landings.add, "jitter": lambda: 0.5, **options}
        return RemoteKeySet(lambda: fetcher.get_json(Endpoint(issuer.server.url())), ["ES256", "RS256"], **settings)

    return make


@pytest.fixture
def keys(remote: Callable[..., RemoteKeySet], landings: Landings, clock: Clock) -> RemoteKeySet:
    """A key set that knows ``old`` since now, with its cool-down over."""
    key_set = remote()
    key_set.find("old", "ES256", clock())
    assert landings.next() == "ok"
    clock.now += 31
    return key_set


def refused(keys: RemoteKeySet | StaticKeySet, kid: str, now: float, algorithm: str = "ES256") -> Reason:
    with pytest.raises(CredentialRejected) as caught:
        keys.find(kid, algorithm, now)
    assert kid not in str(caught.value.facts)
    return caught.value.reason


def unavailable(keys: RemoteKeySet, kid: str, now: float) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        keys.find(kid, "ES256", now)
    return caught.value


def at_once(find: Callable[[], Any]) -> Any:
    """The result of a call that must not wait: it is given half of what waiting would take."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(find).result(PATIENCE / 2)
    finally:
        pool.shutdown(wait=False)


# What a set is


def test_a_key_is_found_under_its_kid_and_its_algorithm(old: Key) -> None:
    assert StaticKeySet(jwks(old), ["ES256"]).find("old", "ES256", START).algorithm == "ES256"


def test_one_key_never_serves_two_algorithms(old: Key) -> None:
    """R14; CVE-2026-48526"""
    rsa = make_key("RS256", kid="rsa")
    keys = StaticKeySet({"keys": [public_jwk(old), public_jwk(rsa, alg=None)]}, ["RS256", "PS256", "ES256"])
    assert refused(keys, "old", START, "RS256") is Reason.ALGORITHM_NOT_ALLOWED
    assert refused(keys, "rsa", START, "PS256") is Reason.ALGORITHM_NOT_ALLOWED
    assert keys.find("rsa", "RS256", START).algorithm == "RS256"


def test_keys_that_cannot_be_used_are_ignored_and_not_fatal(old: Key) -> None:
    """R17"""
    good = public_jwk(old)
    unusable: list[Any] = [
        None,
        "key",
        [],
        {},
        {"kid": "a"},
        {"kid": "a", "kty": "unknown"},
        {"kid": "a", "kty": ["EC"]},
        {"kid": "a", "kty": "oct", "k": "c2VjcmV0"},
        {**good, "kid": "a", "x": None},
        {**good, "kid": "a", "x": 7},
        {**good, "kid": "a", "x": "AAAA"},
        {**good, "kid": "a", "crv": {}},
        {**good, "kid": "a", "crv": "P-1"},
        {**good, "kid": "a", "use": "enc"},
        {**good, "kid": "a", "use": None},
        {**good, "kid": "a", "key_ops": ["encrypt"]},
        {**good, "kid": "a", "key_ops": 7},
        {**good, "kid": "a", "key_ops": "verify"},
        {**good, "kid": "a", "alg": "ES384"},
        {**good, "kid": "a", "alg": ["ES256"]},
        {**good, "kid": "a", "d": "c2VjcmV0"},
        {**good, "kid": 7},
        {**good, "kid": ""},
        {**good, "kid": "k" * 257},
        public_jwk(old, kid=None),
    ]
    for entry in unusable:
        assert list(StaticKeySet({"keys": [entry, good]}, ["ES256"]).by_id) == ["old"], entry


def test_a_kid_that_occurs_twice_names_neither_key(old: Key, new: Key) -> None:
    keys = StaticKeySet({"keys": [public_jwk(old), public_jwk(new, kid="old"), public_jwk(new)]}, ["ES256"])
    assert refused(keys, "old", START) is Reason.KEY_UNKNOWN
    assert keys.find("new", "ES256", START).kid == "new"


@pytest.mark.parametrize("document", [{}, {"keys": []}, {"keys": {}}, {"keys": "x"}, {"keys": [{"kty": "EC"}]}])
def test_a_set_without_a_usable_key_is_none(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"JWK set|no usable key"):
        StaticKeySet(document, ["ES256"])


def test_a_set_with_too_many_keys_is_refused(old: Key) -> None:
    with pytest.raises(ValueError, match="size"):
        StaticKeySet({"keys": [public_jwk(old, kid=str(n)) for n in range(MAX_KEYS + 1)]}, ["ES256"])


@pytest.mark.parametrize("kid", ["k" * 10_240, "../../etc/passwd", "' OR 1=1", "line\r\nbreak", "\x00", "\ud800"])
def test_a_hostile_kid_is_unknown_and_never_logged_raw(keys: RemoteKeySet, old: Key, kid: str, clock: Clock) -> None:
    """R92"""
    assert refused(keys, kid, clock()) is Reason.KEY_UNKNOWN
    assert refused(StaticKeySet(jwks(old), ["ES256"]), kid, clock()) is Reason.KEY_UNKNOWN


# Fetching


def test_the_first_caller_waits_for_the_first_flight(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock
) -> None:
    assert remote().find("old", "ES256", clock()).kid == "old"
    assert issuer.fetches == 1


def test_fifty_callers_at_once_make_one_fetch(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock
) -> None:
    keys, barrier = remote(), threading.Barrier(50)

    def find(_: int) -> str | None:
        barrier.wait(PATIENCE)
        return keys.find("old", "ES256", clock()).kid

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(find, range(50))) == {"old"}
    assert issuer.fetches == 1


def break_down(issuer: Issuer) -> None:
    issuer.status = "500 Internal Server Error"


def answer_nothing(issuer: Issuer) -> None:
    issuer.document = {"keys": []}


def answer_garbage(issuer: Issuer) -> None:
    issuer.document = b"<html>"


def answer_too_much(issuer: Issuer) -> None:
    issuer.document = {"keys": ["k" * 300_000]}


def stay_up(issuer: Issuer) -> None:
    """Nothing changes."""


def hang(issuer: Issuer) -> None:
    issuer.open.clear()


FAILURES = [break_down, answer_nothing, answer_garbage, answer_too_much]


@pytest.mark.parametrize("change", [stay_up, *FAILURES])
def test_unknown_kids_made_one_upstream_fetch_each(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock, change: Callable[[Issuer], None]
) -> None:
    """PyJWT GHSA-fhv5-28vv-h8m8: a thousand unknown kids are one fetch per cool-down, and wipe nothing."""
    change(issuer)
    for cooldowns in (1, 2):
        for n in range(1000):
            assert refused(keys, f"unknown-{cooldowns}-{n}", clock()) is Reason.KEY_UNKNOWN
        assert issuer.fetches == 1 + cooldowns
        assert keys.find("old", "ES256", clock()).kid == "old"
        clock.now += 31


@pytest.mark.slow
def test_unknown_kids_against_a_slow_issuer_make_one_fetch(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock, landings: Landings
) -> None:
    """PyJWT GHSA-fhv5-28vv-h8m8"""
    keys = remote(wait=0.001)
    keys.refresh_if_due(clock())
    assert landings.next() == "ok"
    clock.now += 31
    hang(issuer)
    for n in range(1000):
        assert refused(keys, f"unknown-{n}", clock()) is Reason.KEY_UNKNOWN
    assert keys.find("old", "ES256", clock()).kid == "old"
    issuer.open.set()
    assert landings.next() == "ok"
    assert issuer.fetches == 2


def test_without_any_key_a_flood_is_one_fetch_per_cool_down_too(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock
) -> None:
    break_down(issuer)
    keys = remote()
    for cooldowns in (1, 2):
        errors = [unavailable(keys, f"unknown-{n}", clock()) for n in range(1000)]
        assert {(error.reason, error.retry_after) for error in errors} == {(Reason.ISSUER_UNREACHABLE, 10)}
        assert {error.facts["cause"] for error in errors} == {Cause.STATUS_WRONG}
        assert issuer.fetches == cooldowns
        clock.now += 11


def test_an_issuer_that_comes_back_is_asked_again_after_the_cool_down(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock
) -> None:
    keys = remote()
    break_down(issuer)
    unavailable(keys, "old", clock())
    issuer.status = "200 OK"
    clock.now += 9
    unavailable(keys, "old", clock())
    clock.now += 1
    assert keys.find("old", "ES256", clock()).kid == "old"


def test_a_slow_fetch_blocked_callers_with_known_keys(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock, new: Key, old: Key
) -> None:
    """The one that asks for an unknown key is still waiting when the known key has long been found."""
    hang(issuer)
    issuer.publish(old, new)
    issuer.arrived.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(keys.find, "new", "ES256", clock())
        assert issuer.arrived.wait(PATIENCE)
        for _ in range(1000):
            assert keys.find("old", "ES256", clock()).kid == "old"
        assert not waiting.done()
        issuer.open.set()
        assert waiting.result(PATIENCE).kid == "new"


def test_a_new_key_is_found_by_the_token_that_first_names_it(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock, old: Key, new: Key
) -> None:
    issuer.publish(old, new)
    assert keys.find("new", "ES256", clock()).kid == "new"


def test_a_waiting_caller_gives_up_after_its_bound(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock
) -> None:
    hang(issuer)
    assert unavailable(remote(wait=0.01), "old", clock()).facts["cause"] == Cause.TIMED_OUT


def test_nobody_waits_for_a_flight_that_is_already_late(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock, landings: Landings
) -> None:
    hang(issuer)
    keys = remote()
    keys.refresh_if_due(clock())
    clock.now += PATIENCE
    at_once(lambda: unavailable(keys, "old", clock()))
    issuer.open.set()
    assert landings.next() == "ok"


# Lifetime


def test_a_removed_upstream_key_trusted_for_ever(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock, landings: Landings, new: Key
) -> None:
    """It dies within its lifetime: the refresh that is due takes it away, without anybody waiting."""
    issuer.publish(new)
    hang(issuer)
    clock.now = START + 300 * 0.8
    assert keys.find("old", "ES256", clock()).kid == "old"
    issuer.open.set()
    assert landings.next() == "ok"
    assert refused(keys, "old", clock()) is Reason.KEY_UNKNOWN


def test_a_removed_key_dies_within_its_lifetime_although_the_process_slept(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock, new: Key
) -> None:
    issuer.publish(new)
    clock.now = START + 300
    assert refused(keys, "old", clock()) is Reason.KEY_UNKNOWN


def test_a_failure_of_long_ago_is_no_excuse_for_a_key_that_was_removed_since(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock, new: Key, landings: Landings
) -> None:
    break_down(issuer)
    clock.now = START + 250
    keys.refresh_if_due(clock())
    assert landings.next() == "failed"
    issuer.status = "200 OK"
    issuer.publish(new)
    clock.now += 300
    assert refused(keys, "old", clock()) is Reason.KEY_UNKNOWN


@pytest.mark.parametrize("change", FAILURES)
def test_a_known_key_survives_an_outage_within_the_stale_bound(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock, change: Callable[[Issuer], None]
) -> None:
    change(issuer)
    for age in (300, 3600, 86399):
        clock.now = START + age
        assert keys.find("old", "ES256", clock()).kid == "old"
    clock.now = START + 86400
    assert unavailable(keys, "old", clock()).reason is Reason.ISSUER_UNREACHABLE


def test_after_a_failure_nobody_with_a_known_key_waits_again(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock, landings: Landings
) -> None:
    break_down(issuer)
    clock.now = START + 301
    keys.find("old", "ES256", clock())
    assert landings.next() == "failed"
    hang(issuer)
    clock.now += 11
    found = at_once(lambda: keys.find("old", "ES256", clock()))  # a new flight is in the air, and not waited for
    assert found.kid == "old"
    issuer.open.set()
    assert landings.next() == "failed"


def test_an_expired_key_is_served_when_the_flight_outlasts_the_bound(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock, landings: Landings
) -> None:
    keys = remote(wait=0.05)
    keys.refresh_if_due(clock())
    assert landings.next() == "ok"
    hang(issuer)
    clock.now += 301
    assert keys.find("old", "ES256", clock()).kid == "old"


def test_keys_that_expire_while_the_issuer_hangs_hold_nobody(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock, landings: Landings
) -> None:
    """It was asked in good time, so there is nothing that waiting could make better."""
    hang(issuer)
    clock.now = START + 300 * 0.86
    keys.refresh_if_due(clock())
    clock.now = START + 300
    assert keys.awaited("old", clock()) is None
    assert keys.find_now("old", "ES256", clock()).kid == "old"
    issuer.open.set()
    assert landings.next() == "ok"


def test_an_issuer_that_hangs_again_and_again_holds_nobody_however_short_its_lifetimes_are(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock, landings: Landings
) -> None:
    """Near a change of keys an issuer says ``max-age=1``; the cool-down after a failure is longer than that."""
    issuer.headers = {"Cache-Control": "max-age=1"}
    keys = remote(shortest_lifetime=1.0)
    keys.refresh_if_due(clock())
    assert landings.next() == "ok"
    break_down(issuer)
    clock.now += 0.9
    keys.refresh_if_due(clock())
    assert landings.next() == "failed"
    hang(issuer)
    clock.now += 11
    keys.refresh_if_due(clock())
    assert keys.awaited("old", clock()) is None
    assert keys.find_now("old", "ES256", clock()).kid == "old"
    issuer.open.set()
    assert landings.next() == "failed"


def test_when_keys_are_too_old_to_be_used_the_next_flight_is_waited_for(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock
) -> None:
    break_down(issuer)
    clock.now = START + 86400
    unavailable(keys, "old", clock())
    issuer.status = "200 OK"
    clock.now += 10
    assert keys.find("old", "ES256", clock()).kid == "old"


def test_no_stale_bound_is_shorter_than_the_lifetime(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock, landings: Landings
) -> None:
    keys = remote(stale_bound=0)
    keys.refresh_if_due(clock())
    assert landings.next() == "ok"
    break_down(issuer)
    clock.now = START + 299
    assert keys.find("old", "ES256", clock()).kid == "old"
    clock.now = START + 300
    unavailable(keys, "old", clock())


def test_waiting_costs_no_thread_and_cannot_be_cancelled(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock
) -> None:
    hang(issuer)
    keys = remote()
    before = threading.active_count()  # tests that ran earlier may have left some that are about to end
    waits = [keys.awaited("old", clock()) for _ in range(1000)]
    assert len({wait.landed for wait in waits if wait}) == 1
    wait = waits[0]
    assert wait is not None
    assert not wait.landed.cancel()
    assert (threading.active_count() < before + 50, wait.seconds) == (True, PATIENCE)
    issuer.open.set()
    wait.block()
    assert keys.find_now("old", "ES256", clock()).kid == "old"


@pytest.mark.parametrize(
    ("cache_control", "lifetime"),
    [("public", 300), ("max-age=0", 30), ("no-store", 30), ("max-age=60", 60), ("max-age=86400", 3600)],
)
@pytest.mark.parametrize(("jitter", "share"), [(0.0, 0.75), (1.0, 0.85)])
def test_a_refresh_is_due_at_four_fifths_of_the_lifetime(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock, landings: Landings,
    cache_control: str, lifetime: int, jitter: float, share: float,
) -> None:  # fmt: skip
    issuer.headers = {"Cache_Control": cache_control}
    keys = remote(jitter=lambda: jitter)
    keys.refresh_if_due(clock())
    assert landings.next() == "ok"
    clock.now = START + lifetime * share - 0.01
    keys.refresh_if_due(clock())
    assert keys.status(clock()).age == pytest.approx(lifetime * share - 0.01)
    clock.now = START + lifetime * share + 0.01
    keys.refresh_if_due(clock())
    assert landings.next() == "ok"
    assert issuer.fetches == 2


def test_a_clock_that_was_set_back_makes_no_key_live_longer(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock, new: Key
) -> None:
    issuer.publish(new)
    clock.now = START - 7200
    assert refused(keys, "old", clock()) is Reason.KEY_UNKNOWN


def test_a_caller_whose_time_is_a_moment_older_than_the_landing_starts_no_second_fetch(
    keys: RemoteKeySet, issuer: Issuer, clock: Clock
) -> None:
    refused(keys, "unknown", clock())
    refused(keys, "unknown", clock() - 0.5)
    assert issuer.fetches == 2


# What can be seen, and what must not break it


def test_the_state_of_a_key_set_can_be_seen(keys: RemoteKeySet, issuer: Issuer, clock: Clock) -> None:
    status = keys.status(clock())
    assert (status.keys, status.age, status.last_error) == (((hash_key_id("old"), "ES256"),), 31, None)
    break_down(issuer)
    refused(keys, "unknown", clock())
    assert keys.status(clock()).last_error is Cause.STATUS_WRONG


def test_a_key_set_that_never_had_keys_says_so(remote: Callable[..., RemoteKeySet], clock: Clock) -> None:
    status = remote().status(clock())
    assert (status.keys, status.age, status.last_error) == ((), None, None)


def test_an_error_that_nobody_thought_of_is_seen_and_does_not_end_fetching_for_ever(
    clock: Clock, old: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: queue.Queue[threading.ExceptHookArgs] = queue.Queue()
    monkeypatch.setattr(threading, "excepthook", seen.put)
    outcomes: list[Exception | Fetched] = [RuntimeError("unexpected"), Fetched(jwks(old))]

    def fetch() -> Fetched:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    keys = RemoteKeySet(fetch, ["ES256"], clock=clock, wait=PATIENCE)
    assert unavailable(keys, "old", clock()).facts["cause"] == Cause.INTERNAL_ERROR
    assert seen.get(timeout=PATIENCE).exc_type is RuntimeError
    clock.now += 10
    assert keys.find("old", "ES256", clock()).kid == "old"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_during_a_flight_leaves_the_child_able_to_fetch(
    remote: Callable[..., RemoteKeySet], issuer: Issuer, clock: Clock, landings: Landings
) -> None:
    keys = remote()
    hang(issuer)
    keys.refresh_if_due(clock())
    assert issuer.arrived.wait(PATIENCE)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os._exit(0 if keys.find("old", "ES256", clock()).kid == "old" else 1)
        os._exit(2)
    give_up = time.monotonic() + PATIENCE
    while issuer.fetches < 2 and time.monotonic() < give_up:
        time.sleep(0.01)
    issuer.open.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert landings.next() == "ok"
    assert issuer.fetches == 2


# Discovery


def discovering(at: Issuer, /, **changes: Any) -> Discovery:
    """Discovery at the issuer, whose metadata is changed in this way."""
    name = at.server.url("")
    metadata = {"issuer": name, "jwks_uri": at.server.url("/keys"), **changes}
    at.document = {"/.well-known/openid-configuration": metadata, "/keys": at.document}
    return Discovery(Fetcher(insecure_allow_http=True), name, Endpoint(openid_metadata_url(name)))


def test_keys_are_found_through_the_metadata_of_the_issuer(issuer: Issuer, clock: Clock) -> None:
    keys = RemoteKeySet(discovering(issuer), ["ES256"], clock=clock, wait=PATIENCE)
    assert keys.find("old", "ES256", clock()).kid == "old"
    clock.now += 301
    keys.find("old", "ES256", clock())
    assert issuer.server.asked("/.well-known/openid-configuration") == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        lambda _: "",
        lambda name: name + "/",
        lambda name: name.upper(),
        lambda name: name.replace("127.0.0.1", "localhost"),
        lambda name: [name],
        lambda _: "https://other.test",
    ],
    ids=["absent", "empty", "slash", "case", "alias", "list", "other"],
)
def test_metadata_that_speaks_for_another_issuer_is_refused(issuer: Issuer, change: Callable[[str], Any]) -> None:
    """R96; RFC 8414 section 3.3"""
    discovery = discovering(issuer, issuer=change(issuer.server.url("")))
    with pytest.raises(Unavailable) as caught:
        discovery()
    assert caught.value.facts["cause"] == Cause.ISSUER_MISMATCH
    assert issuer.server.asked("/keys") == 0


@pytest.mark.parametrize("url", [None, 7, ["https://a.test/"], "", "keys", "file:///etc/passwd", "https://u@a.test/"])
def test_metadata_that_names_no_address_of_keys_is_refused(issuer: Issuer, url: Any) -> None:
    with pytest.raises(Unavailable) as caught:
        discovering(issuer, jwks_uri=url)()
    assert caught.value.facts["cause"] == Cause.URL_REFUSED


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "169.254.169.254", "10.0.0.1", "[::1]"])
def test_metadata_cannot_send_us_to_another_private_host(issuer: Issuer, host: str) -> None:
    """R96: discovery or jwks_uri reached private addresses."""
    with pytest.raises(Unavailable) as caught:
        discovering(issuer, jwks_uri=f"http://{host}:{issuer.server.port}/keys")()
    assert caught.value.facts["cause"] in (Cause.ADDRESS_REFUSED, Cause.NAME_UNRESOLVED)
    assert issuer.server.asked("/keys") == 0


def test_the_credential_stays_with_the_origin_it_was_given_for(issuer: Issuer, old: Key, tmp_path: Path) -> None:
    """The same host on another port gets the question without it."""
    (tmp_path / "token").write_text("for.this.origin")
    with Issuer(old).running() as elsewhere:
        there = discovering(issuer, jwks_uri=elsewhere.server.url("/keys"))
        metadata = Endpoint(there.metadata.url, bearer_token_file=tmp_path / "token")
        Discovery(there.fetcher, there.issuer, metadata)()
        assert "Authorization: Bearer" in issuer.server.requests[0]
        assert "authorization" not in elsewhere.server.requests[0].lower()


def test_the_credential_goes_to_the_keys_of_the_same_origin(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("for.this.origin")
    here = discovering(issuer)
    Discovery(here.fetcher, here.issuer, Endpoint(here.metadata.url, bearer_token_file=tmp_path / "token"))()
    assert all("Authorization: Bearer" in request for request in issuer.server.requests)


def test_discovery_over_tls_trusts_the_configured_authority_for_the_keys_too(old: Key, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    name = "https://cluster.internal"
    documents: dict[str, Any] = {"/keys": jwks(old)}

    def respond(connection: socket.socket) -> None:
        connection.sendall(answer(documents[server.requests[-1].split()[1]]))

    with Server(respond, tls=authority.server_context("cluster.internal")).running() as server:
        issuer = f"{name}:{server.port}"
        metadata = Endpoint(openid_metadata_url(issuer), ca_file=authority.file)
        documents["/.well-known/openid-configuration"] = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
        discovery = Discovery(Fetcher(resolver=lambda _: ["127.0.0.1"]), issuer, metadata)
        assert discovery().document == jwks(old)


def test_where_metadata_is() -> None:
    """R2; OpenID Connect Discovery section 4.1, RFC 8414 section 3.1"""
    assert openid_metadata_url("https://h/p/") == "https://h/p/.well-known/openid-configuration"
    assert openid_metadata_url("https://h") == "https://h/.well-known/openid-configuration"
    assert oauth_metadata_url("https://h/p/") == "https://h/.well-known/oauth-authorization-server/p"
    assert oauth_metadata_url("https://h:8443") == "https://h:8443/.well-known/oauth-authorization-server"
