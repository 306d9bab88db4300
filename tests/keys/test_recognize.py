"""Recognizing our own tokens: every row of the hostile table, and which keys of the ring speak for them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.jose.jwk import VerificationKey
from authserver.keys.recognize import OwnTokens, RingKeys
from authserver.keys.rotate import KeyRing
from authserver.keys.wrapping import MasterKeys
from authserver.store.sqlite import SqliteStore
from authserver.testing import FakeIssuer, FrozenClock, hostile_tokens
from tests.keys.fixtures import ISSUER, NOW, PLAN, Clock
from tests.keys.memory import Line, SharedRing

AUDIENCE = "https://images.example.com"
OTHER = "https://reports.example.com"


class KeysOf:
    """The keys of a test issuer, looked up as verification wants them."""

    def __init__(self, issuer: FakeIssuer) -> None:
        self._issuer = issuer

    def find(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        del now
        key = self._issuer.key
        if kid != key.kid:
            raise CredentialRejected(Reason.KEY_UNKNOWN)
        if algorithm != key.algorithm:
            raise CredentialRejected(Reason.ALGORITHM_NOT_ALLOWED)
        return VerificationKey(key.kid, key.algorithm, key.private.public_key())


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def issuer(clock: FrozenClock) -> Iterator[FakeIssuer]:
    """It stands in for us, because it signs whatever it is told to."""
    with FakeIssuer(clock=clock) as issuer:
        yield issuer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "authserver.db")
    yield store
    store.close()


@pytest.fixture
def tokens(issuer: FakeIssuer, store: SqliteStore, clock: FrozenClock) -> OwnTokens:
    return OwnTokens(issuer.issuer, KeysOf(issuer), store, clock=clock, skew=30)


def claims(clock: FrozenClock) -> dict[str, object]:
    """Those of a token that is recognized, beside the ones that the issuer adds."""
    return {"aud": AUDIENCE, "sub": "prod:somebody", "client_id": "prod:somebody", "exp": int(clock()) + 600}


def test_every_row_of_the_hostile_table_is_refused(tokens: OwnTokens, issuer: FakeIssuer, clock: FrozenClock) -> None:
    """R38, R91, R92, R94, R95, R99"""
    required = ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")
    rows = list(hostile_tokens(issuer, claims(clock), now=clock(), typ="at+jwt", required=required))
    assert len(rows) > 90
    for row in rows:
        with pytest.raises(CredentialRejected):
            tokens.verify(row.token, (AUDIENCE, OTHER))
    assert tokens.verify(issuer.token(claims(clock), header={"typ": "at+jwt"}), (AUDIENCE, OTHER)).audience == AUDIENCE


def test_a_token_for_two_of_the_audiences_is_for_none(
    tokens: OwnTokens, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    token = issuer.token({**claims(clock), "aud": [AUDIENCE, OTHER]}, header={"typ": "at+jwt"})
    with pytest.raises(CredentialRejected) as refused:
        tokens.verify(token, (AUDIENCE, OTHER))
    assert refused.value.reason is Reason.AUDIENCE_WRONG


@pytest.mark.parametrize(
    ("age", "believed", "active"), [(599.5, True, True), (600, True, False), (629.5, True, False), (630, False, False)]
)
def test_a_credential_has_the_leeway_of_the_clocks_and_what_is_active_has_none(
    age: float, believed: bool, active: bool, tokens: OwnTokens, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    spelled = issuer.token(claims(clock), header={"typ": "at+jwt"})
    token = tokens.verify(spelled, (AUDIENCE,))
    clock.advance(age)
    with contextlib.nullcontext() if believed else pytest.raises(CredentialRejected, match="expired"):
        tokens.verify(spelled, (AUDIENCE,))
    with contextlib.nullcontext() if active else pytest.raises(CredentialRejected, match="expired"):
        tokens.check_active(token)


@pytest.fixture
def ring() -> KeyRing:
    """A ring with one key that signs and one that is next."""
    ring = KeyRing(Line(SharedRing()), PLAN, ISSUER, MASTER, Clock())
    ring.refresh()
    return ring


MASTER = MasterKeys(bytes(range(32)))


def refused(ring: KeyRing, kid: str, algorithm: str = "ES256", now: float = NOW) -> Reason:
    """Why a key of the ring does not speak for a token."""
    with pytest.raises(CredentialRejected) as caught:
        RingKeys(ring).find(kid, algorithm, now)
    return caught.value.reason


def test_the_keys_that_the_ring_shows_speak_for_what_they_signed(ring: KeyRing) -> None:
    for entry in ring.ring.published(NOW):
        assert RingKeys(ring).find(entry.kid, "ES256", NOW).kid == entry.kid
    key = ring.signing_key("ES256", NOW)
    RingKeys(ring).find(key.kid, "ES256", NOW).verify(b"something", key.sign(b"something"))


def test_a_key_speaks_in_its_own_algorithm_alone(ring: KeyRing) -> None:
    """R14"""
    assert refused(ring, ring.signing_key("ES256", NOW).kid, "RS256") is Reason.ALGORITHM_NOT_ALLOWED


def test_a_key_that_is_unknown_withdrawn_or_gone_speaks_for_nothing(ring: KeyRing) -> None:
    assert refused(ring, "unknown") is Reason.KEY_UNKNOWN
    kid = ring.signing_key("ES256", NOW).kid
    ring.revoke(kid, force=True)
    assert refused(ring, kid) is Reason.KEY_UNKNOWN


def test_without_a_ring_nothing_can_be_known() -> None:
    line = Line(SharedRing())
    line.readable = False
    with pytest.raises(Unavailable):
        RingKeys(KeyRing(line, PLAN, ISSUER, MASTER, Clock())).find("kid", "ES256", NOW)
