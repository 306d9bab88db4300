"""What devices sign to be let in: believed from the device alone, for us alone, and once."""

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.identity.authenticate import Identity
from authserver.identity.devices import LONGEST_ASSERTION, DeviceCallers
from authserver.identity.sources.device import DeviceTable, doubt
from authserver.jose.jwk import SigningKey, thumbprint
from authserver.model import DEVICE_ATTRIBUTES, Credential, Device, DeviceRecord, Subject
from authserver.store.sqlite import SqliteStore
from authserver.testing import FakeIssuer, FrozenClock, hostile_tokens
from authserver.testing.splice import splice
from tests import leaks, oracle
from tests.devices import DeviceKey
from tests.identity.conftest import AUDIENCE, SKEW

ISSUER = "https://auth.example.com"
PHONE, LAPTOP = "dev_" + "p" * 22, "dev_" + "l" * 22
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")

TABLES = {"phones": DeviceTable(type="device")}
THREADS = 50


class World:
    """A store with two devices of alice's, and who recognizes them."""

    def __init__(self, folder: Path, clock: FrozenClock) -> None:
        self.clock = clock
        self.store = SqliteStore(folder / "store.db")
        self.phone, self.laptop = DeviceKey("ES256"), DeviceKey("EdDSA")
        self.enroll(PHONE, self.phone.jwk, key_id="key-1")
        self.enroll(LAPTOP, self.laptop.jwk)
        self.identity = self.recognizing(TABLES)

    def recognizing(self, tables: dict[str, DeviceTable], store: Any = None) -> Identity:
        devices = DeviceCallers(ISSUER, tables, store or self.store, skew=SKEW)
        return Identity((), self.store, devices)

    def enroll(self, client_id: str, jwk: dict[str, Any], **changes: Any) -> Device:
        members = {name: value for name, value in jwk.items() if name in ("crv", "kty", "x", "y")}
        device = Device(
            client_id=client_id,
            source="phones",
            sub="phones:owner/alice",
            owner="alice",
            jwk=members,
            thumbprint=thumbprint(members),
            created_at=self.clock(),
        )
        now = self.clock()
        return self.store.enroll(replace(device, **changes), code_hash=None, max_per_owner=None, now=now)

    def assertion(self, **claims: Any) -> str:
        return self.phone.assertion(PHONE, ISSUER, now=self.clock(), **claims)

    def signed(self, key: DeviceKey | None = None, /, *, claims: dict[str, Any] | None = None, **header: Any) -> str:
        """An assertion by joserfc with another header or another key; None takes a header member away."""
        at = int(self.clock())
        good = {"iss": PHONE, "sub": PHONE, "aud": ISSUER, "exp": at + 60, "jti": secrets.token_hex(8)}
        return leaks.handled(oracle.sign((key or self.phone).key, good | (claims or {}), **{"kid": None, **header}))

    def authenticate(self, assertion: str, identity: Identity | None = None) -> Subject:
        credential = Credential(assertion, authenticates_client=True)
        return (identity or self.identity).authenticate(credential, self.clock())

    def refused(self, assertion: str, identity: Identity | None = None) -> CredentialRejected:
        with pytest.raises(CredentialRejected) as refused:
            self.authenticate(assertion, identity)
        return refused.value

    def reason(self, assertion: str) -> Reason | None:
        try:
            self.authenticate(assertion)
        except CredentialRejected as refused:
            return refused.reason
        return None

    def used(self, assertion: str) -> Reason | None:
        """Why an assertion cannot be used, None when it has been."""
        try:
            self.identity.spend(self.authenticate(assertion), self.clock())
        except CredentialRejected as refused:
            return refused.reason
        return None


@pytest.fixture
def world(tmp_path: Path, clock: FrozenClock) -> Iterator[World]:
    made = World(tmp_path, clock)
    yield made
    made.store.close()


def test_a_device_is_who_signed_for_it_and_must_prove_that_key(world: World) -> None:
    """R40, R69"""
    subject = world.authenticate(world.assertion())
    assert (subject.source, subject.sub, subject.client_id) == ("phones", "phones:owner/alice", PHONE)
    assert (subject.key_thumbprint, subject.proof_needs_nonce) == (world.phone.thumbprint, False)
    other = world.authenticate(world.laptop.assertion(LAPTOP, ISSUER, now=world.clock()))
    assert (other.sub, other.client_id, other.key_thumbprint) == (subject.sub, LAPTOP, world.laptop.thumbprint)


def test_a_source_may_want_a_nonce_in_every_proof(world: World) -> None:
    """R67"""
    strict = world.recognizing({"phones": DeviceTable(type="device", require_nonce=True)})
    assert world.authenticate(world.assertion(), strict).proof_needs_nonce


def test_rules_can_match_what_a_device_says_and_what_its_invitation_gave(world: World) -> None:
    key = DeviceKey()
    attributes = {"role": "kiosk", "site": "b2"}
    client_id = "dev_" + "k" * 22
    world.enroll(client_id, key.jwk, owner=None, platform="linux", app_version="1", name="x", attributes=attributes)
    subject = world.authenticate(key.assertion(client_id, ISSUER, now=world.clock()))
    assert subject.attributes == {
        "role": ("kiosk",),
        "site": ("b2",),
        "platform": ("linux",),
        "attestation": ("none",),
    }


def test_no_invitation_overrides_what_is_known_of_a_device(world: World) -> None:
    key = DeviceKey()
    client_id = "dev_" + "k" * 22
    world.enroll(client_id, key.jwk, attributes={"owner": "root", "attestation": "hardware"})
    subject = world.authenticate(key.assertion(client_id, ISSUER, now=world.clock()))
    assert (subject.attributes["owner"], subject.attributes["attestation"]) == (("alice",), ("none",))


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_no_hostile_assertion_is_believed(algorithm: str, world: World, clock: FrozenClock) -> None:
    """R34, R36, R38, R91, R92, R94, R95"""
    client_id, now = "dev_" + "t" * 22, int(clock())
    claims = {"iss": client_id, "sub": client_id, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": "one"}
    with FakeIssuer(algorithms=(algorithm,), clock=clock) as signer:
        (jwk,) = signer.jwks["keys"]
        world.enroll(client_id, jwk, key_id=signer.key.kid)
        assert world.reason(signer.token(claims)) is None
        hostile = [*hostile_tokens(signer, claims, now=now, required=("iss", "sub", "aud", "exp", "jti"))]
    # A device has one key, so it need not name it (RFC 7515 section 4.1.4 leaves that open).
    assert [each.name for each in hostile if world.reason(each.token) is None] == ["kid-absent"]


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "application/jwt", "client-authentication+jwt"])
def test_the_types_of_an_assertion_are_these(typ: str | None, world: World) -> None:
    """R60"""
    assert world.reason(world.signed(typ=typ)) is None


def test_no_other_kind_of_jwt_is_an_assertion(world: World) -> None:
    """R60: an access token, an ID token and a DPoP proof, each signed by the device and with an assertion's claims."""
    for typ in ("at+jwt", "application/at+jwt", "dpop+jwt", "DPoP+JWT", "secevent+jwt"):
        assert world.reason(world.signed(typ=typ)) is Reason.TOKEN_TYPE_WRONG
    proof = world.phone.proof("POST", f"{ISSUER}/token", now=world.clock(), iss=PHONE, sub=PHONE, aud=ISSUER, exp=2**40)
    assert world.reason(proof) is Reason.TOKEN_TYPE_WRONG
    id_token = world.signed(claims={"iss": "https://login.example.com"})
    assert world.reason(id_token) is Reason.ISSUER_UNKNOWN
    assert world.reason(world.phone.proof("POST", f"{ISSUER}/token", now=world.clock())) is Reason.CLAIM_MISSING


def test_an_assertion_is_nothing_but_a_clients_authentication(world: World) -> None:
    """As a subject token or as a grant it is from no source."""
    with pytest.raises(CredentialRejected) as refused:
        world.identity.authenticate(Credential(world.assertion()), world.clock())
    assert refused.value.reason is Reason.ISSUER_UNKNOWN


@pytest.mark.parametrize(
    ("audience", "reason"),
    [
        (ISSUER, None),
        ([ISSUER], None),
        (None, Reason.CLAIM_MISSING),
        (f"{ISSUER}/token", Reason.AUDIENCE_WRONG),
        (f"{ISSUER}/", Reason.AUDIENCE_WRONG),
        ("https://elsewhere.example", Reason.AUDIENCE_WRONG),
        ([ISSUER, "https://elsewhere.example"], Reason.AUDIENCE_WRONG),
        ([ISSUER, ISSUER], Reason.AUDIENCE_WRONG),
        ([[ISSUER]], Reason.AUDIENCE_WRONG),
        ([], Reason.AUDIENCE_WRONG),
        ("", Reason.AUDIENCE_WRONG),
    ],
)
def test_the_audience_is_our_issuer_and_nothing_else(audience: Any, reason: Reason | None, world: World) -> None:
    """R94"""
    assert world.reason(world.assertion(aud=audience)) is reason


def test_the_subject_is_the_device_itself(world: World) -> None:
    """RFC 7523 section 3"""
    assert world.reason(world.assertion(sub=LAPTOP)) is Reason.SUBJECT_MISMATCH
    assert world.reason(world.assertion(sub="phones:owner/alice")) is Reason.SUBJECT_MISMATCH
    assert world.reason(world.assertion(sub=None)) is Reason.CLAIM_MISSING
    assert world.reason(world.assertion(sub=[PHONE])) is Reason.CLAIM_MALFORMED


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"exp": LONGEST_ASSERTION}, None),
        ({"exp": LONGEST_ASSERTION + SKEW}, None),
        ({"exp": LONGEST_ASSERTION + SKEW + 1}, Reason.LIVES_TOO_LONG),
        ({"exp": 10 * 365 * 86400}, Reason.LIVES_TOO_LONG),
        ({"exp": -SKEW + 1}, None),
        ({"exp": -SKEW}, Reason.EXPIRED),
        ({"iat": SKEW}, None),
        ({"iat": SKEW + 1}, Reason.ISSUED_IN_FUTURE),
        ({"iat": -86400}, None),
        ({"nbf": SKEW}, None),
        ({"nbf": SKEW + 1}, Reason.NOT_YET_VALID),
    ],
)
def test_the_edges_of_every_time_are_exact(times: dict[str, int], reason: Reason | None, world: World) -> None:
    """R36: `exp` at most 5 minutes ahead, by a clock that may differ."""
    now = int(world.clock())
    assert world.reason(world.assertion(**{name: now + seconds for name, seconds in times.items()})) is reason


def test_a_time_that_is_missing_is_no_time(world: World) -> None:
    assert world.reason(world.assertion(exp=None)) is Reason.CLAIM_MISSING
    assert world.reason(world.assertion(iat=None)) is None


@pytest.mark.parametrize(
    ("jti", "reason"),
    [(None, Reason.CLAIM_MISSING), ("", Reason.CLAIM_MALFORMED), (7, Reason.CLAIM_MALFORMED)],
)
def test_an_assertion_has_an_identifier(jti: Any, reason: Reason, world: World) -> None:
    """R37"""
    assert world.reason(world.assertion(jti=jti)) is reason


def test_an_assertion_is_used_once_in_any_spelling(world: World) -> None:
    """R37: with the signature (r, n - s), with another header, and with other claims around the same `jti`."""
    assertion = world.assertion(jti="one")
    assert world.used(assertion) is None
    again = (assertion, oracle.with_negated_s(assertion), world.assertion(jti="one", exp=int(world.clock()) + 200))
    assert {world.used(each) for each in again} == {Reason.USED_TWICE}
    assert world.used(world.assertion(jti="two")) is None


def test_a_used_assertion_is_remembered_until_it_can_no_longer_be_believed(world: World) -> None:
    """R37"""
    assertion = world.assertion(exp=int(world.clock()) + 60)
    assert world.used(assertion) is None
    world.clock.advance(60 + SKEW - 1)
    world.store.sweep(world.clock())
    assert world.used(assertion) is Reason.USED_TWICE
    world.clock.advance(1)
    assert world.used(assertion) is Reason.EXPIRED


def test_of_50_uses_at_once_one_succeeds(world: World) -> None:
    """R37"""
    assertion, ready = world.assertion(), threading.Barrier(THREADS)

    def use(_: int) -> Reason | None:
        subject = world.authenticate(assertion)
        ready.wait(timeout=30)
        try:
            world.identity.spend(subject, world.clock())
        except CredentialRejected as refused:
            return refused.reason
        return None

    with ThreadPoolExecutor(THREADS) as threads:
        outcomes = list(threads.map(use, range(THREADS)))
    assert outcomes.count(None) == 1
    assert outcomes.count(Reason.USED_TWICE) == THREADS - 1


def test_no_device_uses_up_the_identifiers_of_another(world: World) -> None:
    assert world.used(world.laptop.assertion(LAPTOP, ISSUER, now=world.clock(), jti="guessed")) is None
    assert world.used(world.assertion(jti="guessed")) is None


@pytest.mark.parametrize(
    ("kid", "reason"),
    [
        (None, None),
        ("key-1", None),
        ("", Reason.KEY_ID_MISSING),
        ("key-2", Reason.KEY_UNKNOWN),
        ("k" * 10240, Reason.KEY_UNKNOWN),
        ("../../etc/passwd", Reason.KEY_UNKNOWN),
        ("' OR 1=1", Reason.KEY_UNKNOWN),
        (PHONE, Reason.KEY_UNKNOWN),
    ],
)
def test_a_device_names_its_key_by_thumbprint_or_as_it_did_once_or_not(
    kid: str | None, reason: Reason | None, world: World
) -> None:
    """R92"""
    assert world.reason(world.signed(kid=kid)) is reason


def test_the_thumbprint_names_a_key_even_where_it_has_no_other_name(world: World) -> None:
    assert world.reason(world.signed(kid=world.phone.thumbprint)) is None
    claims = {"iss": LAPTOP, "sub": LAPTOP}
    assert world.reason(world.signed(world.laptop, claims=claims, kid=world.laptop.thumbprint)) is None
    assert world.reason(world.signed(world.laptop, claims=claims, kid="key-1")) is Reason.KEY_UNKNOWN


def test_no_other_key_speaks_for_a_device(world: World) -> None:
    """R91, R93: another device's, a stranger's, and one that the header brings along."""
    assert world.reason(world.laptop.assertion(PHONE, ISSUER, now=world.clock())) is Reason.ALGORITHM_NOT_ALLOWED
    stranger = DeviceKey()
    assert world.reason(stranger.assertion(PHONE, ISSUER, now=world.clock())) is Reason.SIGNATURE_WRONG
    assert world.reason(world.signed(stranger, jwk=stranger.jwk)) is Reason.SIGNATURE_WRONG
    assert world.reason(world.signed(stranger, kid=stranger.thumbprint)) is Reason.KEY_UNKNOWN


def test_an_ed25519_key_signs_under_both_names_of_its_algorithm(world: World) -> None:
    """RFC 9864 section 2.2"""
    private: Any = world.laptop.key.private_key
    claims = {"iss": LAPTOP, "sub": LAPTOP, "aud": ISSUER, "exp": int(world.clock()) + 60, "jti": "one"}
    for algorithm, reason in (("EdDSA", None), ("Ed25519", None), ("ed25519", Reason.ALGORITHM_NOT_ALLOWED)):
        assertion = splice({"alg": algorithm}, claims, SigningKey("", "EdDSA", private))
        assert world.reason(leaks.handled(assertion)) is reason


@pytest.mark.parametrize("algorithm", ["ES384", "RS256", "PS256"])
def test_no_algorithm_but_a_devices_own_is_tried(algorithm: str, world: World) -> None:
    """R38, R92"""
    assert world.reason(world.signed(DeviceKey(algorithm))) is Reason.ALGORITHM_NOT_ALLOWED


def test_a_key_that_was_replaced_never_speaks_again(world: World) -> None:
    new = DeviceKey()
    world.store.replace_key(PHONE, expected=world.phone.thumbprint, jwk=new.jwk, thumbprint=new.thumbprint, key_id=None)
    for kid in (world.phone.thumbprint, "key-1"):
        assert world.reason(world.signed(kid=kid)) is Reason.KEY_UNKNOWN
    assert world.reason(world.assertion()) is Reason.SIGNATURE_WRONG
    assert world.authenticate(new.assertion(PHONE, ISSUER, now=world.clock())).key_thumbprint == new.thumbprint


def test_a_revoked_device_is_refused_at_once_and_another_of_its_owners_is_not(world: World) -> None:
    assertion = world.assertion()
    world.store.revoke_device(PHONE, world.clock())
    refused = world.refused(assertion)
    assert (refused.reason, refused.source, refused.facts) == (Reason.DEVICE_REVOKED, "phones", {"client_id": PHONE})
    assert world.reason(world.laptop.assertion(LAPTOP, ISSUER, now=world.clock())) is None


def test_that_a_device_is_revoked_is_not_said_of_who_cannot_sign_for_it(world: World) -> None:
    world.store.revoke_device(PHONE, world.clock())
    assert world.reason(DeviceKey().assertion(PHONE, ISSUER, now=world.clock())) is Reason.SIGNATURE_WRONG


@pytest.mark.parametrize(
    "client_id", ["dev_" + "x" * 22, "dev_", "dev_x", f"{PHONE}x", f"{PHONE}\n", "dev_" + "*" * 22]
)
def test_a_device_that_never_enrolled_is_unknown(client_id: str, world: World) -> None:
    refused = world.refused(world.phone.assertion(client_id, ISSUER, now=world.clock()))
    assert (refused.reason, refused.source) == (Reason.DEVICE_UNKNOWN, None)


def test_what_cannot_be_a_device_needs_no_look_into_the_store(world: World) -> None:
    class Away:
        """A store that nobody may ask."""

        def read_record(self, client_id: str) -> DeviceRecord | None:
            raise Unavailable(Reason.STORE_UNAVAILABLE, cause=client_id)

    away = world.recognizing(TABLES, Away())
    refused = world.refused(world.phone.assertion("dev_x", ISSUER, now=world.clock()), away)
    assert refused.reason is Reason.DEVICE_UNKNOWN
    with pytest.raises(Unavailable):
        world.authenticate(world.assertion(), away)


@pytest.mark.parametrize("tables", [{}, {"laptops": DeviceTable(type="device")}])
def test_a_device_of_a_source_that_is_no_longer_configured_is_unknown(
    tables: dict[str, DeviceTable], world: World
) -> None:
    refused = world.refused(world.assertion(), world.recognizing(tables))
    assert (refused.reason, refused.source) == (Reason.DEVICE_UNKNOWN, None)
    assert refused.facts == {"unverified_client_id": PHONE}


def test_an_assertion_that_is_bound_to_a_key_or_meant_for_an_actor_is_refused(world: World) -> None:
    """R48, R50"""
    assert world.reason(world.assertion(cnf={"jkt": "x"})) is Reason.CONFIRMATION_UNSUPPORTED
    assert world.reason(world.assertion(may_act={"sub": "x"})) is Reason.ACTOR_NOT_ALLOWED


def test_a_client_id_beside_the_assertion_is_the_devices(world: World) -> None:
    """RFC 7521 section 4.2"""
    own, foreign = (Credential(world.assertion(), each, authenticates_client=True) for each in (PHONE, LAPTOP))
    assert world.identity.authenticate(own, world.clock()).client_id == PHONE
    with pytest.raises(CredentialRejected) as refused:
        world.identity.authenticate(foreign, world.clock())
    assert refused.value.reason is Reason.CLIENT_ID_MISMATCH


def test_a_workloads_token_as_client_authentication_is_still_its_sources(
    source: Any, issuer: FakeIssuer, world: World, clock: FrozenClock
) -> None:
    devices = DeviceCallers(ISSUER, TABLES, world.store, skew=SKEW)
    identity = Identity([source("oidc")], world.store, devices)
    credential = Credential(issuer.identity_token(AUDIENCE), authenticates_client=True)
    assert identity.authenticate(credential, clock()).sub == "here:somebody"


@pytest.mark.parametrize(
    ("attribute", "doubted"),
    [
        *((name, None) for name in sorted(DEVICE_ATTRIBUTES)),
        ("role", None),
        ("model_year", None),
        ("owner_group", None),
        ("platfrom", "'platform' is probably meant; platfrom is there"),
        ("onwer", "'owner' is probably meant; onwer is there"),
        ("appid", "'app_id' is probably meant; appid is there"),
        ("client_id", "rules cannot match the client_id of a device; client_id is there"),
        ("app_version", "rules cannot match the app_version of a device; app_version is there"),
    ],
)
def test_an_attribute_that_probably_means_another_is_doubted(attribute: str, doubted: str | None) -> None:
    only_invited = " only if the device's invitation gave it"
    assert doubt(attribute) == (doubted and doubted + only_invited)
