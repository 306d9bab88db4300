"""A token is verified once and remembered; its time and its key are checked each time."""

import contextlib
import threading
from copy import copy
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.jose.jwk import VerificationKey
from authserver.jose.key_set import KnownKeys, StaticKeySet
from authserver.resource import AccessTokenVerifier
from authserver.resource.introspection import Introspection
from authserver.resource.memory import Remembered, TokenMemory, fingerprint
from authserver.resource.token import VerifiedToken
from authserver.resource.verifier import VerifierOptions
from authserver.testing import FakeIssuer, FrozenClock
from tests.resource.environment import AUDIENCE, refusal


class CountingKeys:
    """Keys that count how often they are looked up, and can be exchanged."""

    def __init__(self, issuer: FakeIssuer) -> None:
        self.keys: KnownKeys = StaticKeySet(issuer.jwks, ["ES256"])
        self.lookups = 0

    def find(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        self.lookups += 1
        return self.keys.find(kid, algorithm, now)


class CountingKeysAtHand(CountingKeys):
    """The same as keys that are kept fresh: they say which of them can be had without more ado."""

    def awaited(self, _kid: str, _now: float) -> None:
        return None

    def at_hand(self, kid: str, _now: float) -> VerificationKey | None:
        self.lookups += 1
        return self.keys.by_id.get(kid)

    def find_now(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        return self.find(kid, algorithm, now)


@pytest.fixture(params=[CountingKeys, CountingKeysAtHand], ids=["handed in", "kept fresh"])
def keys(issuer: FakeIssuer, request: pytest.FixtureRequest) -> CountingKeys:
    kind: type[CountingKeys] = request.param
    return kind(issuer)


@pytest.fixture
def remembering(issuer: FakeIssuer, keys: CountingKeys, clock: FrozenClock) -> AccessTokenVerifier:
    return AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, keys=keys, clock=clock)


def test_the_second_time_the_same_object_comes_back(remembering: AccessTokenVerifier, issuer: FakeIssuer) -> None:
    token = issuer.access_token(AUDIENCE)
    assert remembering.verify(token) is remembering.verify(token)


def test_each_use_asks_for_the_key_again(
    remembering: AccessTokenVerifier, issuer: FakeIssuer, keys: CountingKeys
) -> None:
    token = issuer.access_token(AUDIENCE)
    for _ in range(5):
        remembering.verify(token)
    assert keys.lookups == 5


def test_a_remembered_token_expires_to_the_second(
    remembering: AccessTokenVerifier, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    token = issuer.access_token(AUDIENCE)
    remembering.verify(token)
    clock.advance(600 + 30 - 1)
    remembering.verify(token)
    clock.advance(1)
    assert refusal(remembering, token) is Reason.EXPIRED
    clock.advance(-1)
    remembering.verify(token)


def test_a_remembered_token_dies_with_its_key(
    remembering: AccessTokenVerifier, issuer: FakeIssuer, keys: CountingKeys
) -> None:
    old, token = issuer.key, issuer.access_token(AUDIENCE)
    remembering.verify(token)
    issuer.rotate()
    issuer.withdraw(old.kid)
    keys.keys = StaticKeySet(issuer.jwks, ["ES256"])
    assert refusal(remembering, token) is Reason.KEY_UNKNOWN
    assert refusal(remembering, token) is Reason.KEY_UNKNOWN


def test_a_remembered_token_dies_when_its_key_id_is_given_to_another_key(
    remembering: AccessTokenVerifier, issuer: FakeIssuer, keys: CountingKeys
) -> None:
    token, kid = issuer.access_token(AUDIENCE), issuer.key.kid
    remembering.verify(token)
    issuer.rotate()
    newest = {**issuer.jwks["keys"][-1], "kid": kid}
    keys.keys = StaticKeySet({"keys": [newest]}, ["ES256"])
    assert refusal(remembering, token) is Reason.KEY_UNKNOWN
    assert refusal(remembering, token) is Reason.SIGNATURE_WRONG


def test_a_remembered_token_survives_a_refresh_that_brings_the_same_key_again(
    remembering: AccessTokenVerifier, issuer: FakeIssuer, keys: CountingKeys
) -> None:
    token = issuer.access_token(AUDIENCE)
    first = remembering.verify(token)
    keys.keys = StaticKeySet(issuer.jwks, ["ES256"])
    assert remembering.verify(token) is first


def test_a_key_that_came_again_is_looked_up_as_quickly_as_before(issuer: FakeIssuer, clock: FrozenClock) -> None:
    keys = CountingKeysAtHand(issuer)
    remembering = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, keys=keys, clock=clock)
    token = issuer.access_token(AUDIENCE)
    remembering.verify(token)
    keys.keys = KnownKeys({kid: copy(key) for kid, key in keys.keys.by_id.items()})
    looked_up = []
    for _ in range(3):
        keys.lookups = 0
        remembering.verify(token)
        looked_up.append(keys.lookups)
    assert looked_up == [2, 1, 1]


def test_a_remembered_token_is_not_valid_before_its_time(
    remembering: AccessTokenVerifier, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    at_once, later = issuer.access_token(AUDIENCE), issuer.access_token(AUDIENCE, nbf=int(clock()) + 20)
    for token in (at_once, later):
        remembering.verify(token)
    clock.advance(-11)
    assert refusal(remembering, later) is Reason.NOT_YET_VALID
    clock.advance(-19)
    remembering.verify(at_once)
    clock.advance(-1)
    assert refusal(remembering, at_once) is Reason.ISSUED_IN_FUTURE


def test_a_refused_token_is_not_remembered(
    remembering: AccessTokenVerifier, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    early = issuer.access_token(AUDIENCE, nbf=int(clock()) + 100)
    assert refusal(remembering, early) is Reason.NOT_YET_VALID
    clock.advance(100)
    remembering.verify(early)


def test_a_token_that_differs_in_one_character_is_verified_for_itself(
    remembering: AccessTokenVerifier, issuer: FakeIssuer
) -> None:
    token = issuer.access_token(AUDIENCE)
    remembering.verify(token)
    for variant in (token + "=", token + " ", " " + token, token[:-1], token + "A"):
        refusal(remembering, variant)


@pytest.mark.parametrize("text", ["", "\ud800", "é" * 10, "a" * 100_000, "\0", "a.b.c"])
def test_what_is_no_token_at_all_is_refused(remembering: AccessTokenVerifier, text: str) -> None:
    with pytest.raises(CredentialRejected):
        remembering.verify(text)


def test_a_token_is_known_once_it_was_believed_and_as_long_as_it_would_be(
    issuer: FakeIssuer, clock: FrozenClock
) -> None:
    keys = CountingKeysAtHand(issuer)
    remembering = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, keys=keys, clock=clock)
    token = issuer.access_token(AUDIENCE)
    assert remembering.known(token) is None
    assert remembering.verify(token) is known(remembering, token)
    clock.advance(600 + 30)
    assert remembering.known(token) is None
    clock.advance(-1)
    assert known(remembering, token).jti
    keys.keys = KnownKeys({})
    assert remembering.known(token) is None


@pytest.mark.parametrize(
    ("claims", "options"),
    [
        ({"cnf": {"jkt": "thumbprint"}}, {}),
        ({}, {"sender_constrained": True}),
        ({}, {"introspection": Introspection(token=lambda: "token")}),
    ],
    ids=["bound", "everything has to be bound", "introspected"],
)
def test_a_token_of_which_more_must_be_asked_is_never_known(
    issuer: FakeIssuer, clock: FrozenClock, claims: dict[str, Any], options: VerifierOptions
) -> None:
    keys, token = CountingKeysAtHand(issuer), issuer.access_token(AUDIENCE, **claims)
    here: VerifierOptions = {"keys": keys, "clock": clock}
    more = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, **here | options)
    less = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, **here)
    with contextlib.suppress(CredentialRejected):
        less.verify(token)
    more._memory = less._memory
    assert more._memory.recall(fingerprint(token)) is not None
    assert more.known(token) is None


def known(verifier: AccessTokenVerifier, token: str) -> VerifiedToken:
    """The token as it is known."""
    accepted = verifier.known(token)
    assert accepted is not None
    return accepted.token


def test_the_memory_is_bounded_and_the_oldest_makes_room(remembering: AccessTokenVerifier, issuer: FakeIssuer) -> None:
    key = StaticKeySet(issuer.jwks, ["ES256"]).find(issuer.key.kid, "ES256", 0)
    entry = Remembered.of(remembering.verify(issuer.access_token(AUDIENCE)), key, 0)
    memory = TokenMemory(3)
    for name in "abcd":
        memory.remember(fingerprint(name), entry)
    assert len(memory) == 3
    assert memory.recall(fingerprint("a")) is None
    assert memory.recall(fingerprint("d")) is entry


def test_forgetting_what_was_never_known_is_no_error() -> None:
    TokenMemory(1).forget(fingerprint("a"))


def test_a_verifier_that_remembers_nothing_still_verifies(issuer: FakeIssuer, clock: FrozenClock) -> None:
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, clock=clock, memory=0)
    token = issuer.access_token(AUDIENCE)
    assert verifier.verify(token) is not verifier.verify(token)


def test_many_threads_share_a_small_memory(issuer: FakeIssuer, clock: FrozenClock) -> None:
    keys = StaticKeySet(issuer.jwks, ["ES256"])
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, keys=keys, clock=clock, memory=4)
    tokens = [issuer.access_token(AUDIENCE, jti=str(number)) for number in range(8)]
    seen: list[bool] = []

    def use_all() -> None:
        seen.extend(verifier.verify(token).jti == str(number) for number, token in enumerate(tokens))

    threads = [threading.Thread(target=use_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 64
    assert all(seen)
