"""Keys are found by the issuer's metadata, refreshed in the background, and outlive an outage within a bound."""

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.jose.discovery import Discovery, oauth_metadata_url
from authserver.jose.fetch import Endpoint, Fetcher
from authserver.jose.jwk import VerificationKey
from authserver.jose.jwks import RemoteKeySet
from authserver.jose.key_set import StaticKeySet
from authserver.resource import AccessTokenVerifier
from authserver.resource.keys import KeptFresh
from authserver.testing import FakeIssuer, FrozenClock
from tests.resource.environment import AUDIENCE, refusal

LIFETIME = 300
"""Seconds that a key set is fresh when its server does not say (see authserver.jose.remote_keys)."""

STALE_BOUND = 86400


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 30 seconds"
        time.sleep(0.01)


def believes(verifier: AccessTokenVerifier, token: str) -> bool:
    try:
        return bool(verifier.verify(token))
    except Unavailable:
        return False


def find(keys: KeptFresh, kid: str, now: float) -> VerificationKey:
    """The key, waited for in this thread."""
    wait = keys.awaited(kid, now)
    if wait is not None:
        wait.block()
    return keys.find_now(kid, "ES256", now)


def remote(issuer: FakeIssuer, clock: FrozenClock) -> RemoteKeySet:
    discovery = Discovery(Fetcher(insecure_allow_http=True), issuer.issuer, Endpoint(oauth_metadata_url(issuer.issuer)))
    return RemoteKeySet(discovery, ["ES256"], clock=clock, wait=20)


def test_nothing_is_fetched_before_the_first_token(verifier: AccessTokenVerifier, issuer: FakeIssuer) -> None:
    assert not issuer.requests
    verifier.verify(issuer.access_token(AUDIENCE))
    assert issuer.requests == ("/.well-known/oauth-authorization-server", "/.well-known/jwks.json")


def test_the_metadata_of_an_issuer_with_a_path_is_at_the_inserted_address(clock: FrozenClock) -> None:
    """R2"""
    with FakeIssuer(path="/tenant", clock=clock) as issuer:
        verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, clock=clock)
        verifier.verify(issuer.access_token(AUDIENCE))
        assert issuer.requests[0] == "/.well-known/oauth-authorization-server/tenant"


@pytest.mark.parametrize("spelling", ["{}/", "{}/tenant"])
def test_metadata_that_names_another_issuer_leads_to_no_keys(
    issuer: FakeIssuer, clock: FrozenClock, spelling: str
) -> None:
    """R4, R96: equal byte for byte, a trailing slash included."""
    name = spelling.format(issuer.issuer)
    verifier = AccessTokenVerifier(issuer=name, audience=AUDIENCE, clock=clock)
    with pytest.raises(Unavailable):
        verifier.verify(issuer.access_token(AUDIENCE, iss=name))


def test_a_rotation_refuses_nobody(verifier: AccessTokenVerifier, issuer: FakeIssuer, clock: FrozenClock) -> None:
    old = issuer.access_token(AUDIENCE)
    verifier.verify(old)
    issuer.rotate()
    clock.advance(LIFETIME)
    verifier.verify(issuer.access_token(AUDIENCE))
    verifier.verify(old)


def test_a_withdrawn_key_stops_being_accepted_though_its_token_is_remembered(
    verifier: AccessTokenVerifier, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    """Attacks: a key that the issuer has removed is refused within the JWKS lifetime."""
    kid, token = issuer.key.kid, issuer.access_token(AUDIENCE)
    verifier.verify(token)
    issuer.rotate()
    issuer.withdraw(kid)
    clock.advance(LIFETIME)
    assert refusal(verifier, token) is Reason.KEY_UNKNOWN


@pytest.mark.parametrize("fault", [FakeIssuer.down, FakeIssuer.publish_nothing, FakeIssuer.publish_garbage])
def test_known_keys_outlive_an_outage_until_the_stale_bound_and_then_nothing_is_known(
    verifier: AccessTokenVerifier, issuer: FakeIssuer, clock: FrozenClock, fault: Callable[[FakeIssuer], None]
) -> None:
    """Contract section 5: unaffected within the stale bound, then 503 and not 401."""
    verifier.verify(issuer.access_token(AUDIENCE))
    fault(issuer)
    clock.advance(STALE_BOUND - 1)
    known = issuer.access_token(AUDIENCE)
    verifier.verify(known)
    clock.advance(1)
    with pytest.raises(Unavailable) as caught:
        verifier.verify(known)
    assert caught.value.reason is Reason.KEYS_UNAVAILABLE
    assert caught.value.retry_after > 0
    assert caught.value.facts["because"] == "issuer_unreachable"
    issuer.up()
    clock.advance(10)
    eventually(lambda: believes(verifier, known))


def test_without_any_keys_the_answer_is_that_nothing_is_known(
    verifier: AccessTokenVerifier, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    issuer.down()
    with pytest.raises(Unavailable):
        verifier.verify(issuer.access_token(AUDIENCE))
    issuer.up()
    clock.advance(10)
    verifier.verify(issuer.access_token(AUDIENCE))


def test_a_token_that_is_wrong_without_any_key_is_refused_during_an_outage(
    verifier: AccessTokenVerifier, issuer: FakeIssuer
) -> None:
    issuer.down()
    assert refusal(verifier, issuer.access_token("https://elsewhere.example")) is Reason.AUDIENCE_WRONG
    assert issuer.requests == ()


def test_an_issuer_that_hangs_holds_no_request_with_a_known_key(issuer: FakeIssuer, clock: FrozenClock) -> None:
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, keys=remote(issuer, clock), clock=clock)
    verifier.verify(issuer.access_token(AUDIENCE))
    issuer.hang()
    clock.advance(LIFETIME - 1)
    token = issuer.access_token(AUDIENCE)
    verifier.verify(token)  # the refresh that it starts is in the air for as long as the issuer hangs
    eventually(lambda: len(issuer.requests) == 3)
    began = time.monotonic()
    verifier.verify(token)
    assert time.monotonic() - began < 10  # it would be 20 if anybody waited
    issuer.up()


def test_keys_are_refreshed_in_the_background_without_any_request(issuer: FakeIssuer, clock: FrozenClock) -> None:
    keys = KeptFresh(remote(issuer, clock), clock, every=0.01)
    find(keys, issuer.key.kid, clock())
    for fetches in (2, 3, 4):
        clock.advance(LIFETIME)
        eventually(lambda fetches=fetches: issuer.fetches == fetches)  # type: ignore[misc]


def test_a_key_that_was_withdrawn_while_nobody_asked_is_gone_with_the_first_request(
    issuer: FakeIssuer, clock: FrozenClock
) -> None:
    keys, kid = KeptFresh(remote(issuer, clock), clock, every=0.01), issuer.key.kid
    find(keys, kid, clock())
    issuer.rotate()
    issuer.withdraw(kid)
    clock.advance(LIFETIME)
    eventually(lambda: issuer.fetches == 2)
    with pytest.raises(CredentialRejected):
        find(keys, kid, clock())


def test_the_background_thread_ends_with_its_keys(issuer: FakeIssuer, clock: FrozenClock) -> None:
    before = set(threading.enumerate())
    keys = KeptFresh(remote(issuer, clock), clock, every=0.01)
    find(keys, issuer.key.kid, clock())
    [thread] = [new for new in set(threading.enumerate()) - before if new.name == "key-refresh"]
    del keys
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


def test_however_many_requests_come_first_one_thread_refreshes(issuer: FakeIssuer, clock: FrozenClock) -> None:
    before = set(threading.enumerate())

    def refreshers() -> int:
        return sum(thread.name == "key-refresh" for thread in set(threading.enumerate()) - before)

    keys, together = KeptFresh(remote(issuer, clock), clock, every=0.01), threading.Barrier(16)

    def ask() -> None:
        together.wait()
        find(keys, issuer.key.kid, clock())

    callers = [threading.Thread(target=ask) for _ in range(16)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    eventually(lambda: refreshers() == 1)
    assert issuer.fetches == 1


_FORK = """
import os, threading
from authserver.resource import AccessTokenVerifier
from authserver.testing import FakeIssuer

def refreshers():
    return [thread for thread in threading.enumerate() if thread.name == "key-refresh"]

with FakeIssuer() as issuer:
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience="images")
    tokens = [issuer.access_token("images") for _ in range(2)]
    verifier.verify(tokens[0])
    assert len(refreshers()) == 1
    child = os.fork()
    if child == 0:
        inherited = len(refreshers())
        verifier.verify(tokens[1])
        os._exit(0 if (inherited, len(refreshers())) == (0, 1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_forked_process_starts_a_thread_of_its_own() -> None:
    """What gunicorn --preload does."""
    subprocess.run([sys.executable, "-c", _FORK], check=True, timeout=60)


# Where keys are found, and what is kept of them


def test_a_configured_address_is_asked_instead_of_the_metadata(issuer: FakeIssuer, clock: FrozenClock) -> None:
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, jwks_url=issuer.jwks_url, clock=clock)
    verifier.verify(issuer.access_token(AUDIENCE))
    assert issuer.requests == ("/.well-known/jwks.json",)


def test_a_configured_address_does_not_make_other_issuers_right(issuer: FakeIssuer, clock: FrozenClock) -> None:
    """R93"""
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, jwks_url=issuer.jwks_url, clock=clock)
    assert refusal(verifier, issuer.access_token(AUDIENCE, iss="https://auth.example.com")) is Reason.ISSUER_WRONG


def test_a_fleet_that_is_started_again_does_not_ask(issuer: FakeIssuer, clock: FrozenClock, tmp_path: Path) -> None:
    def start() -> AccessTokenVerifier:
        cache = tmp_path / "keys.json"
        return AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, key_cache=cache, clock=clock)

    token = issuer.access_token(AUDIENCE)
    start().verify(token)
    issuer.down()
    asked = issuer.requests
    for verifier in [start() for _ in range(20)]:
        verifier.verify(token)
    assert issuer.requests == asked


def test_the_cache_of_one_issuer_is_not_that_of_another(issuer: FakeIssuer, clock: FrozenClock, tmp_path: Path) -> None:
    cache = tmp_path / "keys.json"
    AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, key_cache=cache, clock=clock).verify(
        issuer.access_token(AUDIENCE)
    )
    with FakeIssuer(clock=clock) as other:
        verifier = AccessTokenVerifier(issuer=other.issuer, audience=AUDIENCE, key_cache=str(cache), clock=clock)
        verifier.verify(other.access_token(AUDIENCE))
        assert other.fetches == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jwks_url": "http://keys.example.com/"}, "jwks_url must be"),
        ({"stale_bound": -1}, "stale_bound"),
        ({"stale_bound": float("nan")}, "stale_bound"),
        ({"stale_bound": float("inf")}, "stale_bound"),
        ({"keys": StaticKeySet, "jwks_url": "https://keys.example.com/"}, "handed in"),
        ({"keys": StaticKeySet, "key_cache": "keys.json"}, "handed in"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(issuer: FakeIssuer, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, **options)
