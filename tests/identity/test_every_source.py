"""What holds for every source of identity tokens; a new line in the table of sources is tested here by itself.

Devices are the one source without them: what holds for their assertions is in ``test_device.py``.
"""

from collections.abc import Callable

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.identity.authenticate import Identity
from authserver.identity.source import JwtSource
from authserver.model import Credential, Subject
from authserver.testing import FakeIssuer, FrozenClock, hostile_tokens
from authserver.testing.claims import (
    aws_claims,
    azure_claims,
    github_claims,
    gitlab_claims,
    google_claims,
    kubernetes_claims,
    spiffe_claims,
)
from tests import oracle
from tests.identity.conftest import AUDIENCE, JWT_SOURCES, SKEW, TENANT, Remembered

GOOD = {
    "aws": aws_claims("arn:aws:iam::123456789012:role/thumbnailer", AUDIENCE),
    "azure": azure_claims(TENANT, "thumbnailer", AUDIENCE),
    "github": github_claims("octo-org/octo-repo", AUDIENCE),
    "gitlab": gitlab_claims("media/thumbnailer", AUDIENCE),
    "google": google_claims("thumbnailer@media.iam.gserviceaccount.com", AUDIENCE),
    "kubernetes": kubernetes_claims("media", "thumbnailer", AUDIENCE),
    "oidc": {"aud": AUDIENCE, "sub": "somebody"},
    "spiffe": spiffe_claims("spiffe://example.org/ns/media/sa/thumbnailer", AUDIENCE),
}

each_type = pytest.mark.parametrize("kind", sorted(JWT_SOURCES))


def test_every_source_of_identity_tokens_has_a_good_one_here() -> None:
    assert GOOD.keys() == JWT_SOURCES.keys()


@each_type
def test_a_good_token_is_believed(kind: str, issuer: FakeIssuer, authenticate: Callable[..., Subject]) -> None:
    subject = authenticate(kind, issuer.token(GOOD[kind]))
    assert subject.source == "here"
    assert subject.sub == f"here:{subject.subject}"
    assert subject.client_id == subject.sub


@each_type
def test_a_good_token_made_by_another_library_is_believed(
    kind: str, issuer: FakeIssuer, source: Callable[..., JwtSource], clock: FrozenClock
) -> None:
    from authserver.jose.key_set import StaticKeySet

    key = oracle.make_key("RS256")
    trusting = source(kind)
    trusting = JwtSource("here", trusting.table, StaticKeySet(oracle.jwks(key), ["RS256"]), SKEW)
    claims = oracle.identity(
        issuer.issuer, AUDIENCE, now=clock(), **{k: v for k, v in GOOD[kind].items() if k != "aud"}
    )
    assert (
        Identity([trusting], Remembered()).authenticate(Credential(oracle.sign(key, claims)), clock()).source == "here"
    )


@each_type
def test_no_hostile_token_is_believed(
    kind: str, issuer: FakeIssuer, source: Callable[..., JwtSource], clock: FrozenClock
) -> None:
    """R34, R36, R38, R91, R92, R94, R95"""
    identity = Identity([source(kind)], Remembered())
    believed = []
    for hostile in hostile_tokens(issuer, GOOD[kind], now=clock(), required=("iss", "sub", "aud", "exp", "iat")):
        try:
            identity.authenticate(Credential(hostile.token), clock())
        except CredentialRejected:
            continue
        believed.append(hostile.name)
    assert believed == []


@each_type
def test_the_right_claims_signed_by_another_configured_issuer_are_refused(
    kind: str, issuer: FakeIssuer, source: Callable[..., JwtSource], clock: FrozenClock
) -> None:
    """R93; a custom issuer forged the claims of a well-known one (pypi/warehouse)."""
    with FakeIssuer(clock=clock) as other:
        identity = Identity([source(kind), source("oidc", name="other", issuer=other.issuer)], Remembered())
        forged = other.token({**GOOD[kind], "iss": issuer.issuer})
        with pytest.raises(CredentialRejected) as refused:
            identity.authenticate(Credential(forged), clock())
    assert refused.value.reason is Reason.KEY_UNKNOWN


@each_type
def test_a_source_without_an_audience_does_not_load(kind: str, issuer: FakeIssuer) -> None:
    """R94; Vault CVE-2024-5798, vault-plugin-auth-kubernetes#330"""
    for settings in ({}, {"audience": ""}):
        with pytest.raises(ValueError, match="audience"):
            JWT_SOURCES[kind].model_validate({"type": kind, "issuer": issuer.issuer, **settings})


@each_type
def test_a_single_use_token_is_accepted_once_in_any_spelling(
    kind: str, issuer: FakeIssuer, source: Callable[..., JwtSource], clock: FrozenClock
) -> None:
    """R37, R79"""
    for claims in (GOOD[kind], {**GOOD[kind], "jti": None}):
        identity = Identity([source(kind, single_use=True)], Remembered())
        token = issuer.token(claims)
        identity.spend(identity.authenticate(Credential(token), clock()), clock())
        for spelling in (token, oracle.with_negated_s(token)):
            again = identity.authenticate(Credential(spelling), clock())
            with pytest.raises(CredentialRejected) as refused:
                identity.spend(again, clock())
            assert refused.value.reason is Reason.USED_TWICE


@each_type
def test_a_token_is_accepted_again_where_single_use_is_not_asked_for(
    kind: str, issuer: FakeIssuer, source: Callable[..., JwtSource], clock: FrozenClock
) -> None:
    identity = Identity([source(kind)], Remembered())
    token = issuer.token(GOOD[kind])
    for _ in range(2):
        identity.spend(identity.authenticate(Credential(token), clock()), clock())


@each_type
def test_the_edges_of_every_time_are_exact(
    kind: str, issuer: FakeIssuer, authenticate: Callable[..., Subject], clock: FrozenClock
) -> None:
    """R36: now < exp + skew; iat and nbf <= now + skew; not older than max_age, nor made to live longer."""
    now, max_age = int(clock()), 3600

    def refused_for(**times: int) -> Reason | None:
        token = issuer.token({**GOOD[kind], **times})
        try:
            authenticate(kind, token, max_age="1h")
        except CredentialRejected as refused:
            return refused.reason
        return None

    assert refused_for(iat=now - 600, exp=now - SKEW + 1) is None
    assert refused_for(iat=now - 600, exp=now - SKEW) is Reason.EXPIRED
    assert refused_for(nbf=now + SKEW) is None
    assert refused_for(nbf=now + SKEW + 1) is Reason.NOT_YET_VALID
    assert refused_for(iat=now + SKEW) is None
    assert refused_for(iat=now + SKEW + 1) is Reason.ISSUED_IN_FUTURE
    assert refused_for(iat=now - max_age, exp=now) is None
    assert refused_for(iat=now - max_age - SKEW, exp=now - SKEW + 1) is Reason.LIVES_TOO_LONG
    assert refused_for(iat=now - max_age - SKEW - 1, exp=now) is Reason.TOO_OLD
    assert refused_for(iat=now, exp=now + max_age) is None
    assert refused_for(iat=now, exp=now + max_age + 1) is Reason.LIVES_TOO_LONG


@each_type
def test_a_token_bound_to_a_key_or_meant_for_an_actor_is_refused(
    kind: str, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    """R48, R50; keycloak#50963"""
    for claim, reason in (("cnf", Reason.CONFIRMATION_UNSUPPORTED), ("may_act", Reason.ACTOR_NOT_ALLOWED)):
        with pytest.raises(CredentialRejected) as refused:
            authenticate(kind, issuer.token({**GOOD[kind], claim: {"jkt": "x", "sub": "y"}}))
        assert refused.value.reason is reason


@each_type
def test_a_list_of_one_audience_is_that_audience(
    kind: str, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    assert authenticate(kind, issuer.token({**GOOD[kind], "aud": [AUDIENCE]})) is not None


@each_type
def test_another_kind_of_jwt_is_not_an_identity_token(
    kind: str, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    """R60"""
    for typ in ("at+jwt", "application/at+jwt", "dpop+jwt", "statuslist+jwt", ""):
        with pytest.raises(CredentialRejected) as refused:
            authenticate(kind, issuer.token(GOOD[kind], header={"typ": typ}))
        assert refused.value.reason is Reason.TOKEN_TYPE_WRONG


def test_a_token_of_an_unknown_issuer_or_for_another_audience_says_so_to_the_operator_only(
    issuer: FakeIssuer, source: Callable[..., JwtSource], clock: FrozenClock
) -> None:
    identity = Identity([source("oidc")], Remembered())
    for changes, reason in (
        ({"iss": "https://elsewhere.example"}, Reason.ISSUER_UNKNOWN),
        ({"iss": 7}, Reason.ISSUER_UNKNOWN),
        ({"aud": "https://elsewhere.example"}, Reason.AUDIENCE_WRONG),
        ({"aud": [AUDIENCE, "https://elsewhere.example"]}, Reason.AUDIENCE_WRONG),
        ({"aud": None}, Reason.CLAIM_MISSING),
        ({"iss": None}, Reason.CLAIM_MISSING),
    ):
        with pytest.raises(CredentialRejected) as refused:
            identity.authenticate(Credential(issuer.token({**GOOD["oidc"], **changes})), clock())
        assert refused.value.reason is reason
        assert str(refused.value) == reason.value


def test_a_client_id_that_is_not_the_one_we_issue_is_refused(
    issuer: FakeIssuer, source: Callable[..., JwtSource], clock: FrozenClock
) -> None:
    """R40"""
    identity = Identity([source("oidc")], Remembered())
    token = issuer.token(GOOD["oidc"])
    assert identity.authenticate(Credential(token, "here:somebody"), clock()).client_id == "here:somebody"
    with pytest.raises(CredentialRejected) as refused:
        identity.authenticate(Credential(token, "somebody"), clock())
    assert refused.value.reason is Reason.CLIENT_ID_MISMATCH


def test_two_sources_of_one_issuer_are_told_apart_by_audience(
    issuer: FakeIssuer, source: Callable[..., JwtSource], clock: FrozenClock
) -> None:
    identity = Identity(
        [source("oidc", name="one", audience="a"), source("oidc", name="two", audience="b")], Remembered()
    )
    for audience, name in (("a", "one"), ("b", "two")):
        assert identity.authenticate(Credential(issuer.identity_token(audience)), clock()).source == name


def test_a_subject_that_would_break_a_log_line_is_refused(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    for sub in ("two\nlines", "nul\0", "", "\x1b[31m"):
        with pytest.raises(CredentialRejected) as refused:
            authenticate("oidc", issuer.identity_token(AUDIENCE, sub=sub))
        assert refused.value.reason is Reason.CLAIM_MALFORMED
