"""While an API moves to this issuer it takes its old tokens, too, and believes ours not one bit more easily."""

import asyncio
import base64
import hmac
import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authserver.errors import CredentialRejected, ProofRejected, Reason, Refused, Unavailable
from authserver.jose.compact import MAX_BYTES
from authserver.resource import AcceptedTokens, LegacyToken
from authserver.resource.credential import ApiRequest, OfferedProof
from authserver.resource.legacy import LegacyTokens
from authserver.resource.protection import Protection
from authserver.resource.requirement import Requirement
from authserver.resource.token import Accepted, VerifiedToken
from authserver.testing import FakeIssuer, FrozenClock, hostile_tokens
from tests import leaks, oracle
from tests.devices import DeviceKey
from tests.resource.environment import AUDIENCE, bound_token, claims

SECRET: Final = "a secret that only the old program and its callers knew"
READ: Final = Requirement(("images:read",))
ANY_TOKEN: Final = Requirement()

Make = Callable[..., Protection]


def old_token(clock: FrozenClock | None = None, *, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """A token as the program before made it; None takes a claim away."""
    now = int(clock() if clock else 0)
    members = {"sub": "alice", "scope": "images:read", "iat": now, "exp": now + 900, **changes}
    members = {name: value for name, value in members.items() if value is not None}
    return leaks.handled(jwt.encode(members, SECRET, "HS256", headers=dict(header or {})))


def old_check(token: str) -> dict[str, Any]:
    """What somebody wrote by hand; its clock is not the one of the test."""
    return jwt.decode(token, SECRET, ["HS256"], options={"verify_exp": False, "verify_iat": False, "verify_nbf": False})


class Gullible:
    """An old check that believes everything, and remembers what it was shown."""

    def __init__(self, **believed: Any) -> None:
        self.shown: list[str] = []
        self.believed = {"sub": "anybody", "scope": "images:read", **believed}

    def __call__(self, token: str) -> dict[str, Any]:
        self.shown.append(token)
        return self.believed


@pytest.fixture
def make(issuer: FakeIssuer, clock: FrozenClock) -> Make:
    def protection(**options: Any) -> Protection:
        given = {"issuer": issuer.issuer, "audience": AUDIENCE, "clock": clock, "also_accept": old_check, **options}
        return Protection(**given)

    return protection


def accept(
    protection: Protection, token: str, *, scheme: str = "Bearer", proof: str | None = None, needs: Requirement = READ
) -> VerifiedToken:
    offered = None if proof is None else OfferedProof((proof,), "GET", (f"{AUDIENCE}/images",))
    accepted = protection.check(ApiRequest((f"{scheme} {token}",), proof=offered), needs)
    assert isinstance(accepted, Accepted)
    return accepted.token


def refused(protection: Protection, token: str, **request: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        accept(protection, token, **request)
    return caught.value.reason


# What is accepted


def test_both_kinds_of_tokens_open_the_same_view_and_are_counted_apart(
    make: Make, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    api = make()
    ours = issuer.access_token(AUDIENCE, "images:read", sub="prod:thumbnailer")
    assert api.accepted == AcceptedTokens(0, 0, None)
    assert [accept(api, ours).subject for _ in range(3)] == ["prod:thumbnailer"] * 3
    old = accept(api, old_token(clock))
    assert isinstance(old, LegacyToken)
    assert (old.subject, old.client_id, old.scope) == ("alice", "alice", frozenset({"images:read"}))
    assert (old.issuer, old.audience, old.jti, old.kid) == ("", AUDIENCE, "", "")
    assert (old.issued_at, old.expires_at) == (clock(), clock() + 900)
    assert old.thumbprint is None
    assert api.accepted == AcceptedTokens(current=3, legacy=1, last_legacy=clock())
    assert not isinstance(accept(api, ours), LegacyToken)


def test_an_old_token_says_what_it_has_and_no_more(make: Make, clock: FrozenClock) -> None:
    api = make()
    least = accept(api, old_token(exp=None, iat=None, scope=None), needs=ANY_TOKEN)
    assert (least.scope, least.issued_at, least.expires_at) == (frozenset(), 0.0, math.inf)
    most = accept(api, old_token(clock, client_id="web", scope=["images:read", "x"], iss="https://old", jti="7"))
    assert (most.client_id, most.issuer, most.jti) == ("web", "https://old", "7")
    assert most.scope == {"images:read", "x"}
    assert most.claims["sub"] == "alice"


def test_an_old_token_needs_the_scope_that_ours_need(make: Make, clock: FrozenClock) -> None:
    assert refused(make(), old_token(clock, scope="images:write")) is Reason.SCOPE_INSUFFICIENT


def test_an_access_token_of_another_issuer_is_an_old_one(make: Make, clock: FrozenClock) -> None:
    """RFC 9068 is not ours alone: its ``typ`` says whose a token is only where no issuer is named."""
    token = old_token(clock, header={"typ": "at+jwt"}, iss="https://old.example.com")
    assert accept(make(), token).issuer == "https://old.example.com"
    assert refused(make(), old_token(clock, header={"typ": "at+jwt"})) is Reason.ALGORITHM_NOT_ALLOWED


def test_an_old_token_need_not_be_a_jwt(make: Make) -> None:
    api = make(also_accept={"opaque-0123": {"sub": "bob", "scope": "images:read"}}.get)
    assert accept(api, "opaque-0123").subject == "bob"
    assert refused(api, "opaque-4567") is Reason.LEGACY_TOKEN_REFUSED


def test_on_an_event_loop_an_old_check_may_block(make: Make, clock: FrozenClock) -> None:
    async def ask() -> Accepted | None:
        loop = asyncio.get_running_loop()
        reached = asyncio.Event()

        def slow(token: str) -> dict[str, Any]:
            asyncio.run_coroutine_threadsafe(_set(reached), loop).result(30)  # would never end if it held the loop
            return old_check(token)

        return await make(also_accept=slow).check_async(ApiRequest((f"Bearer {old_token(clock)}",)), READ)

    accepted = asyncio.run(ask())
    assert accepted is not None
    assert accepted.token.subject == "alice"


async def _set(reached: asyncio.Event) -> None:
    reached.set()


def test_without_also_accept_nothing_changes(make: Make, clock: FrozenClock) -> None:
    api = make(also_accept=None)
    assert refused(api, old_token(clock)) is Reason.ALGORITHM_NOT_ALLOWED
    assert api.accepted == AcceptedTokens()


# What is refused


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(lambda clock: old_token(clock)[:-3] + "abc", Reason.LEGACY_TOKEN_REFUSED, id="signature"),
        pytest.param(lambda clock: old_token(clock, exp=int(clock()) - 100), Reason.EXPIRED, id="expired"),
        pytest.param(lambda clock: old_token(clock, nbf=int(clock()) + 100), Reason.NOT_YET_VALID, id="nbf"),
        pytest.param(lambda clock: old_token(clock, exp=True), Reason.CLAIM_MALFORMED, id="exp"),
        pytest.param(lambda clock: old_token(clock, sub=None), Reason.LEGACY_TOKEN_REFUSED, id="no-sub"),
        pytest.param(lambda clock: old_token(clock, sub=""), Reason.LEGACY_TOKEN_REFUSED, id="empty-sub"),
        pytest.param(lambda clock: old_token(clock, sub="a\nb"), Reason.LEGACY_TOKEN_REFUSED, id="line-break"),
        pytest.param(lambda clock: old_token(clock, scope=7), Reason.LEGACY_TOKEN_REFUSED, id="scope"),
        pytest.param(lambda clock: old_token(clock, scope=["a", 7]), Reason.LEGACY_TOKEN_REFUSED, id="scopes"),
        pytest.param(lambda clock: old_token(clock, client_id=7), Reason.LEGACY_TOKEN_REFUSED, id="client-id"),
        pytest.param(lambda clock: old_token(clock, cnf={"jkt": "x"}), Reason.SENDER_UNPROVEN, id="bound"),
        pytest.param(lambda clock: old_token(clock, note="x" * MAX_BYTES), Reason.TOKEN_TOO_LARGE, id="large"),
    ],
)
def test_a_bad_old_token_is_refused(
    make: Make, clock: FrozenClock, token: Callable[[FrozenClock], str], reason: Reason
) -> None:
    api = make()
    assert refused(api, token(clock)) is reason
    assert api.accepted.legacy == 0


@pytest.mark.parametrize("believed", [None, False, "alice", ["alice"]])
def test_a_check_says_yes_with_claims_and_with_nothing_else(make: Make, believed: object) -> None:
    assert refused(make(also_accept=lambda _: believed), "opaque") is Reason.LEGACY_TOKEN_REFUSED


def test_a_check_that_fails_refuses_and_its_words_are_not_repeated(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(token: str) -> dict[str, Any]:
        raise KeyError(token)

    with caplog.at_level(logging.DEBUG), pytest.raises(CredentialRejected) as caught:
        accept(make(also_accept=failing), leaks.handled("opaque-and-secret"))
    assert (caught.value.reason, caught.value.facts) == (Reason.LEGACY_TOKEN_REFUSED, {"because": "KeyError"})
    assert caught.value.__cause__ is None


def test_a_check_may_say_that_it_cannot_know(make: Make) -> None:
    def away(_: str) -> dict[str, Any]:
        raise Unavailable(Reason.STORE_UNAVAILABLE)

    with pytest.raises(Unavailable):
        accept(make(also_accept=away), "opaque")


def test_where_tokens_must_be_bound_no_old_one_is_accepted(make: Make, clock: FrozenClock) -> None:
    gullible = Gullible()
    api = make(also_accept=gullible, sender_constrained=True)
    assert refused(api, old_token(clock)) is Reason.ALGORITHM_NOT_ALLOWED
    assert gullible.shown == []


def test_an_old_token_is_a_bearer_token_and_proves_nothing(make: Make, clock: FrozenClock) -> None:
    gullible, device, token = Gullible(), DeviceKey(), old_token(clock)
    api = make(also_accept=gullible)
    proof = device.proof("GET", f"{AUDIENCE}/images", now=clock(), access_token=token)
    assert refused(api, token, scheme="DPoP", proof=proof) is Reason.ALGORITHM_NOT_ALLOWED
    assert gullible.shown == []
    with pytest.raises(ProofRejected):
        accept(api, token, proof=proof)
    assert api.accepted.legacy == 0


# What our tokens must still satisfy, whatever the old check believes


def test_no_hostile_token_reaches_the_old_check_with_our_name_on_it(
    make: Make, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    """R99: each is one deviation from a token of ours, and what still names us is refused as ours."""
    gullible = Gullible()
    api = make(also_accept=gullible)
    for hostile in hostile_tokens(issuer, claims(issuer, clock), now=clock(), typ="at+jwt"):
        if hostile.fits_a_header:
            with pytest.raises(Refused):
                accept(api, hostile.token, needs=Requirement(("never-granted",)))
    ours = [token for token in gullible.shown if _lenient(token, 1).get("iss") == issuer.issuer]
    assert [token for token in ours if _signed_by(issuer, token)] == []


def test_a_stolen_bound_token_cannot_be_passed_off_as_an_old_one(make: Make, issuer: FakeIssuer) -> None:
    """R68"""
    gullible = Gullible()
    assert refused(make(also_accept=gullible), bound_token(issuer, DeviceKey())) is Reason.SENDER_UNPROVEN
    assert gullible.shown == []


@pytest.fixture(scope="module")
def signer() -> Iterator[FakeIssuer]:
    with FakeIssuer(clock=FrozenClock()) as issuer:
        yield issuer


_NOISE: Final = st.just("") | st.text("=.-_~+/AaQgw09", max_size=4)
_HEADERS: Final = st.dictionaries(
    st.sampled_from(["typ", "alg", "kid", "cty", "crit", "jku", "iss"]),
    st.sampled_from(["JWT", "jwt", "at+jwt", "AT+JWT", "none", "HS256", "ES256", "old", "", None, 1]),
)
_CLAIMS: Final = st.dictionaries(
    st.sampled_from(["iss", "aud", "sub", "type", "typ"]),
    st.sampled_from(["https://old.example.com", "ISS", "", None, 1, ["iss"]]),
)


@settings(max_examples=300, deadline=None)
@given(
    before=_NOISE,
    after_header=_NOISE,
    after_claims=_NOISE,
    after=_NOISE,
    cut=st.just(0) | st.integers(0, 6),
    claims=_CLAIMS,
)
def test_nothing_that_our_key_signed_is_ever_taken_for_an_old_token(
    signer: FakeIssuer, before: str, after_header: str, after_claims: str, after: str, cut: int, claims: dict[str, Any]
) -> None:
    """However a token of ours is spelled anew: if any reader still finds our signature over it, it is ours."""
    others = {name: value for name, value in claims.items() if name not in ("iss", "aud")}
    header, payload, signature = signer.access_token(AUDIENCE, "images:read", **others).split(".")
    spelled = f"{before}{header}{after_header}.{payload}{after_claims}.{signature[: len(signature) - cut]}{after}"
    if _signed_by(signer, spelled):
        assert not LegacyTokens(signer.issuer, AUDIENCE, Gullible(), 0).is_legacy(spelled)


@settings(max_examples=300, deadline=None)
@given(header=_HEADERS, changes=_CLAIMS)
def test_whoever_signs_a_token_that_names_us_is_asked_for_our_signature(
    signer: FakeIssuer, header: dict[str, Any], changes: dict[str, Any]
) -> None:
    """With any header: a token is the old program's only by naming another issuer, or none and not our ``typ``."""
    members = {"iss": signer.issuer, "aud": AUDIENCE, "sub": "x", **changes}
    forged = ".".join(_encoded(part) for part in ({"alg": "HS256", **header}, members)) + ".c2ln"
    legacy = LegacyTokens(signer.issuer, AUDIENCE, Gullible(), 0).is_legacy(forged)
    names_us = members["iss"] == signer.issuer
    names_nobody = not isinstance(members["iss"], str)
    typ = header.get("typ")
    assert legacy is not (names_us or (names_nobody and isinstance(typ, str) and typ.lower() == "at+jwt"))


def test_our_public_key_is_no_secret_that_an_old_token_could_be_signed_with(make: Make, issuer: FakeIssuer) -> None:
    """RFC 8725 section 2.1: with our ``kid`` and another algorithm it goes to the old check, which has its own key."""
    signed = ".".join(_encoded(part) for part in ({"alg": "HS256", "kid": issuer.key.kid}, {"sub": "eve"}))
    mac = hmac.digest(json.dumps(issuer.jwks["keys"][0]).encode(), signed.encode(), "sha256")
    forged = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    assert refused(make(), forged) is Reason.LEGACY_TOKEN_REFUSED


@pytest.mark.parametrize(
    "respell",
    [lambda token: token + "==", oracle.with_negated_s],
    ids=["padding", "negated-s"],
)
def test_another_spelling_of_our_signature_is_still_ours(signer: FakeIssuer, respell: Callable[[str], str]) -> None:
    spelled = respell(signer.access_token(AUDIENCE, "images:read"))
    assert _signed_by(signer, spelled)
    assert not LegacyTokens(signer.issuer, AUDIENCE, Gullible(), 0).is_legacy(spelled)


def _encoded(members: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


def _lenient(token: str, segment: int) -> dict[str, Any]:
    """A segment as the most forgiving reader has it."""
    try:
        raw = base64.urlsafe_b64decode(re.sub(r"[^\w-]", "", token.split(".")[segment]) + "==")
        read = json.loads(raw)
    except (ValueError, IndexError):
        return {}
    return read if isinstance(read, dict) else {}


def _signed_by(issuer: FakeIssuer, token: str) -> bool:
    """Whether PyJWT or joserfc finds a signature of the issuer's key, whatever the claims say."""
    key = jwt.PyJWK(issuer.jwks["keys"][0])
    try:
        jwt.decode(token, key, ["ES256"], options={"verify_aud": False, "verify_exp": False, "verify_iat": False})
    except Exception:
        try:
            oracle.read(token, issuer.jwks)
        except Exception:
            return False
    return True


# What is counted, logged and told


def test_the_log_says_once_an_hour_that_old_tokens_still_come(
    make: Make, issuer: FakeIssuer, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    api = make()
    accept(api, issuer.access_token(AUDIENCE, "images:read"))
    with caplog.at_level(logging.WARNING, "authserver.resource"):
        for _ in range(3):
            accept(api, old_token(clock))
        clock.advance(3599)
        accept(api, old_token(clock))
        clock.advance(1)
        accept(api, old_token(clock))
    assert caplog.messages == [
        "accepted so far: 1 legacy tokens, 1 of the issuer",
        "accepted so far: 5 legacy tokens, 1 of the issuer",
    ]


def test_the_hook_gets_each_old_token_and_cannot_break_a_request(
    make: Make, issuer: FakeIssuer, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def on_legacy(token: LegacyToken) -> None:
        told.append(token.client_id)
        raise RuntimeError(token.claims)

    api = make(on_legacy=on_legacy)
    accept(api, issuer.access_token(AUDIENCE, "images:read"))
    accept(api, old_token(clock, client_id="web"))
    assert refused(api, old_token(clock)[:-3] + "abc") is Reason.LEGACY_TOKEN_REFUSED
    assert told == ["web"]
    assert "on_legacy failed: RuntimeError" in caplog.messages


def test_threads_lose_no_count(make: Make, issuer: FakeIssuer) -> None:
    api, token = make(), issuer.access_token(AUDIENCE, "images:read")
    accept(api, token)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: accept(api, token), range(400)))
    assert api.accepted.current == 401
