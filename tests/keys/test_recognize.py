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
from authserver.model import Device
from authserver.resource.token import VerifiedToken
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
    return OwnTokens(issuer.issuer, KeysOf(issuer), store, store, clock=clock, skew=30)


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


PHONE = Device("dev_0123456789012345678901", "phones", "phones:owner/alice", "alice", {}, "its-key", created_at=NOW)


def device_token(tokens: OwnTokens, issuer: FakeIssuer, clock: FrozenClock, **members: object) -> VerifiedToken:
    """A token of a device, as it was minted: bound to the key that the device had."""
    given = {**claims(clock), "client_id": PHONE.client_id, "cnf": {"jkt": PHONE.thumbprint}, **members}
    return tokens.verify(issuer.token(given, header={"typ": "at+jwt"}), (AUDIENCE,))


def why_inactive(tokens: OwnTokens, token: VerifiedToken) -> Reason:
    """Why a token is not active; the two questions about it have one answer."""
    reasons = set()
    for check in (tokens.check_active, tokens.check_unrevoked):
        with pytest.raises(CredentialRejected) as refused:
            check(token)
        reasons.add(refused.value.reason)
    (reason,) = reasons
    return reason


def test_the_token_of_a_device_is_as_good_as_the_device(
    tokens: OwnTokens, issuer: FakeIssuer, store: SqliteStore, clock: FrozenClock
) -> None:
    """R75, R76"""
    token = device_token(tokens, issuer, clock)
    assert why_inactive(tokens, token) is Reason.DEVICE_UNKNOWN
    store.enroll(PHONE, code_hash=None, max_per_owner=None, now=NOW)
    tokens.check_active(token)
    store.replace_key(PHONE.client_id, expected="its-key", jwk={}, thumbprint="another", key_id=None)
    assert why_inactive(tokens, token) is Reason.DEVICE_CHANGED
    renewed = device_token(tokens, issuer, clock, cnf={"jkt": "another"})
    tokens.check_active(renewed)
    store.revoke_device(PHONE.client_id, NOW)
    assert why_inactive(tokens, renewed) is Reason.DEVICE_REVOKED


@pytest.mark.parametrize("confirmation", [None, {}, "its-key", {"jkt": 1}, {"jkt": "its-key", "x5t#S256": "x"}])
def test_the_token_of_a_device_is_bound_to_its_key_and_to_nothing_else(
    confirmation: object, tokens: OwnTokens, issuer: FakeIssuer, store: SqliteStore, clock: FrozenClock
) -> None:
    """R76"""
    store.enroll(PHONE, code_hash=None, max_per_owner=None, now=NOW)
    assert why_inactive(tokens, device_token(tokens, issuer, clock, cnf=confirmation)) is Reason.DEVICE_CHANGED


def test_the_token_of_a_workload_needs_no_look_at_the_devices(
    tokens: OwnTokens, issuer: FakeIssuer, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(SqliteStore, "read_device")
    for client_id in ("prod:somebody", "dev:somebody", "dev-:x"):
        tokens.check_active(device_token(tokens, issuer, clock, client_id=client_id, cnf={"jkt": "any"}))


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
