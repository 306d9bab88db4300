"""Section E: token exchange."""

from authserver.testing import FakeIssuer
from authserver.testing.claims import kubernetes_claims
from tests import leaks, oracle
from tests.devices import DeviceKey
from tests.endpoints.conftest import Application
from tests.requirements.grants import REJECTED, each_grant, form
from tests.served import AUDIENCE, JWT_TYPE, exchange_form

FRIEND = kubernetes_claims("media", "thumbnailer", AUDIENCE)
STRANGER = kubernetes_claims("media", "stranger", AUDIENCE)
TOKEN_TYPES = "urn:ietf:params:oauth:token-type"
ADMITTED = {"sub": FRIEND["sub"], "kubernetes.io": FRIEND["kubernetes.io"]}


def test_a_parameter_that_is_required_must_not_be_empty(application: Application, identity: str) -> None:
    """R42; RFC 8693 section 2.1"""
    for empty in ("subject_token", "subject_token_type"):
        answer = application.post(exchange_form(identity, **{empty: ""}))
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")
        assert application.events[-1]["facts"] == {"parameter": empty}


def test_an_actor_token_is_refused_whatever_it_is(application: Application, identity: str) -> None:
    """R43, R44; RFC 8693 section 2.1"""
    for actor, kind, reason in (
        (identity, JWT_TYPE, "actor_token_unsupported"),
        ("broken", "unknown", "actor_token_unsupported"),
        (identity, None, "parameter_missing"),
        (None, JWT_TYPE, "parameter_missing"),
    ):
        answer = application.post(exchange_form(identity, actor_token=actor, actor_token_type=kind))
        assert (answer.status, answer.json["error"], application.reason) == (400, "invalid_request", reason)


def test_a_subject_token_is_judged_by_its_declared_type(application: Application, identity: str) -> None:
    """R44; RFC 8693 sections 2.1 and 3"""
    for kind in ("access_token", "refresh_token", "saml1", "saml2"):
        answer = application.post(exchange_form(identity, subject_token_type=f"{TOKEN_TYPES}:{kind}"))
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")
        assert application.reason == "parameter_unsupported"


def test_nothing_but_an_access_token_is_issued(application: Application, identity: str) -> None:
    """R46: so ``token_type`` is never ``N_A``; RFC 8693 section 2.2.1"""
    for kind in ("refresh_token", "id_token", "saml2", "txn_token"):
        answer = application.post(exchange_form(identity, requested_token_type=f"{TOKEN_TYPES}:{kind}"))
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")
        assert application.reason == "parameter_unsupported"


@each_grant
def test_who_acted_before_is_informational(grant: str, application: Application, cluster: FakeIssuer) -> None:
    """R47; RFC 8693 section 4.1: no actor lends its rights to a subject, nor takes any away."""
    chain = {**ADMITTED, "act": {**ADMITTED, "act": ADMITTED}}
    refused = application.post(form(grant, leaks.handled(cluster.token({**STRANGER, "act": chain}))))
    assert refused.status == 400
    assert application.reason == "no_rule"
    issued = application.post(form(grant, leaks.handled(cluster.token({**FRIEND, "act": {"sub": "stranger"}}))))
    _, claims = oracle.read(issued.json["access_token"], application.ask("GET", "/.well-known/jwks.json").json)
    assert claims["sub"] == f"cluster:{FRIEND['sub']}"
    assert "act" not in claims


@each_grant
def test_a_bound_or_delegated_token_gives_nothing(grant: str, application: Application, cluster: FakeIssuer) -> None:
    """R48, R50; RFC 8693 section 4.4; keycloak#50963: a sender constraint was dropped on exchange."""
    for claims, reason in (
        ({"may_act": {"sub": "somebody-else"}}, "actor_not_allowed"),
        ({"cnf": {"jkt": "x"}}, "confirmation_unsupported"),
        ({"cnf": {"x5t#S256": "x"}}, "confirmation_unsupported"),
        ({"cnf": {}}, "confirmation_unsupported"),
    ):
        answer = application.post(form(grant, leaks.handled(cluster.token({**FRIEND, **claims}))))
        assert (answer.status, answer.json["error"], application.reason) == (*REJECTED[grant], reason)


@each_grant
def test_a_bound_token_gives_nothing_even_to_who_proves_its_key_or_another(
    grant: str, application: Application, cluster: FakeIssuer
) -> None:
    """R50; keycloak#50963: a thief that binds a stolen token to its own key has laundered it."""
    key, thief = DeviceKey(), DeviceKey()
    token = leaks.handled(cluster.token({**FRIEND, "cnf": {"jkt": key.thumbprint}}))
    for prover in (key, thief):
        headers = [("DPoP", prover.proof("POST", f"{AUDIENCE}/token", now=application.clock()))]
        answer = application.post(form(grant, token), headers=headers)
        assert (answer.status, answer.json["error"]) == REJECTED[grant]
        assert application.reason == "confirmation_unsupported"


@each_grant
def test_an_access_token_of_ours_bound_or_not_is_no_credential_for_another(
    grant: str, application: Application, identity: str
) -> None:
    """R50, R60"""
    key = DeviceKey()
    headers = [[], [("DPoP", key.proof("POST", f"{AUDIENCE}/token", now=application.clock()))]]
    for proof in headers:
        token = str(application.post(exchange_form(identity), headers=proof).json["access_token"])
        answer = application.post(form(grant, token))
        assert (answer.status, answer.json["error"]) == REJECTED[grant]
        assert application.reason == "issuer_unknown"


@each_grant
def test_the_scope_of_the_subject_token_is_no_source_of_rights(
    grant: str, application: Application, cluster: FakeIssuer
) -> None:
    """R49: what a platform wrote into its token never widens what the rules grant."""
    for own in ("images:read images:write", "*", "", None):
        token = leaks.handled(cluster.token({**FRIEND, "scope": own}))
        answer = application.post(form(grant, token, scope="images:read images:write"))
        assert (answer.status, answer.json["error"], application.reason) == (400, "invalid_scope", "scope_not_allowed")
        assert application.post(form(grant, token)).json["scope"] == "images:read"
