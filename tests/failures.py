"""A token request for every reason that one can be refused or put off for.

They are for the configuration of :mod:`tests.served` with the loopback as a trusted proxy and ``UNREACHABLE`` added.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from authserver.endpoints.http import MAX_BODY
from authserver.errors import Reason
from authserver.testing import FakeIssuer
from tests import leaks
from tests.served import ASSERTION_TYPE, AUDIENCE, BEARER_GRANT, IMAGES, exchange_form

FORM: Final = "application/x-www-form-urlencoded"
GITHUB: Final = "https://github.auth.example.com"
ONCE: Final = "https://once.auth.example.com"
NOWHERE: Final = "http://127.0.0.1:1"

TRUSTING: Final = 'trusted_proxies = ["127.0.0.1/32"]'
UNREACHABLE: Final = f"""
[sources.unreachable]
type = "oidc"
issuer = "{NOWHERE}"
audience = "{AUDIENCE}"
attributes = ["sub"]

[[allow]]
name = "nobody-yet"
source = "unreachable"
match = {{ sub = "somebody" }}
resource = "{IMAGES}"
scope = ["images:read"]
"""

ELSEWHERE: Final[Mapping[Reason, str]] = {
    Reason.HEADER_REPEATED: "WSGI joins what is repeated into one value, which is refused for what it says",
    Reason.ISSUER_WRONG: "a token of another issuer has another source, or none",
    Reason.REVOKED: "only a token of ours is taken back",
    Reason.CREDENTIAL_MISSING: "only at a resource server",
    Reason.CREDENTIAL_REPEATED: "only at a resource server",
    Reason.SCOPE_INSUFFICIENT: "only at a resource server",
    Reason.KEYS_UNAVAILABLE: "only at a resource server",
    Reason.TOO_MANY_FAILURES: "changes the answer, and the decision keeps the reason of the failure",
    Reason.STORE_UNAVAILABLE: "needs a store that is away: tests/endpoints/test_outages.py",
    Reason.NO_ACTIVE_KEY: "needs a ring without keys: tests/endpoints/test_outages.py",
    Reason.AUDIT_UNWRITABLE: "needs a disk that is full: there is no event then",
    Reason.INTERNAL_ERROR: "needs a mistake of ours",
}
"""Reasons that no token request to a whole server can have, and why."""


@dataclass(frozen=True)
class Asked:
    """A request to the token endpoint."""

    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""
    content_type: str = FORM


def _form(fields: Mapping[str, str] | list[tuple[str, str]], *headers: tuple[str, str], **rest: str) -> Asked:
    return Asked(urlencode(fields).encode(), headers, **rest)


def failures(cluster: FakeIssuer, identity: str) -> dict[Reason, Asked]:
    """The requests. ``identity`` is a good token of the service account that has rules."""
    return {
        **_of_the_request(identity),
        **_of_the_client(identity),
        **_of_the_target(identity),
        **_of_the_token(cluster),
        **_of_its_claims(cluster),
        **_of_the_rules(cluster, identity),
    }


def _of_the_request(identity: str) -> dict[Reason, Asked]:
    good = exchange_form(identity)
    return {
        Reason.BODY_TOO_LARGE: Asked(b"a" * (MAX_BODY + 1)),
        Reason.NOT_A_FORM: _form(good, content_type="application/json"),
        Reason.FORM_MALFORMED: Asked(b"grant_type=%ff"),
        Reason.PARAMETER_IN_QUERY: _form(good, query="a=1"),
        Reason.PARAMETER_REPEATED: _form([*good.items(), ("scope", "images:read")]),
        Reason.PARAMETER_MISSING: _form({}),
        Reason.PARAMETER_UNSUPPORTED: _form({**good, "subject_token_type": "urn:example:saml2"}),
        Reason.PLAIN_HTTP: _form(good, ("X-Forwarded-Proto", "http")),
    }


def _of_the_client(identity: str) -> dict[Reason, Asked]:
    good = exchange_form(identity)
    assertion = {"client_assertion": identity, "client_assertion_type": ASSERTION_TYPE}
    credentials = {"grant_type": "client_credentials", "resource": IMAGES, "scope": "images:read"}
    return {
        Reason.CLIENT_SECRET_OFFERED: _form({**good, "client_secret": "hush"}),
        Reason.CLIENT_AUTHENTICATION_REPEATED: _form({**credentials, **assertion, "client_secret": "hush"}),
        Reason.CLIENT_AUTHENTICATION_MISSING: _form(credentials),
        Reason.CLIENT_AUTHENTICATION_UNEXPECTED: _form({**good, **assertion}),
        Reason.CLIENT_ASSERTION_TYPE_UNKNOWN: _form({**credentials, **assertion, "client_assertion_type": "urn:x"}),
        Reason.CLIENT_ID_MISMATCH: _form({**credentials, **assertion, "client_id": "somebody-else"}),
        Reason.GRANT_UNSUPPORTED: _form({**good, "grant_type": "password"}),
        Reason.ACTOR_TOKEN_UNSUPPORTED: _form({**good, "actor_token": identity, "actor_token_type": "urn:x"}),
    }


def _of_the_target(identity: str) -> dict[Reason, Asked]:
    good = exchange_form(identity)
    return {
        Reason.TARGET_MISSING: _form(exchange_form(identity, resource=None)),
        Reason.TARGET_AMBIGUOUS: _form([*good.items(), ("resource", "https://reports.example.com")]),
        Reason.TARGET_MALFORMED: _form({**good, "resource": "images"}),
        Reason.TARGET_UNKNOWN: _form({**good, "resource": "https://nowhere.example"}),
    }


def _of_the_token(cluster: FakeIssuer) -> dict[Reason, Asked]:
    claims = {"aud": AUDIENCE}
    head, _, _ = cluster.token(claims).rpartition(".")
    forged = head + "." + cluster.token(claims).rpartition(".")[2]
    return {
        Reason.TOKEN_MALFORMED: _bearer("nonsense"),
        Reason.TOKEN_TOO_LARGE: _bearer(cluster.token({**claims, "padding": "x" * 17_000})),
        Reason.TOKEN_TYPE_WRONG: _bearer(cluster.token(claims, header={"typ": "at+jwt"})),
        Reason.ALGORITHM_NOT_ALLOWED: _bearer(cluster.token(claims, header={"alg": "none"})),
        Reason.CRITICAL_HEADER_UNKNOWN: _bearer(cluster.token(claims, header={"crit": ["x"], "x": 1})),
        Reason.KEY_ID_MISSING: _bearer(cluster.token(claims, header={"kid": None})),
        Reason.KEY_UNKNOWN: _bearer(cluster.token(claims, header={"kid": "../../etc/passwd"})),
        Reason.SIGNATURE_WRONG: _bearer(leaks.handled(forged)),
        Reason.ISSUER_UNKNOWN: _bearer(cluster.token({**claims, "iss": "https://elsewhere.example"})),
        Reason.AUDIENCE_WRONG: _bearer(cluster.token({"aud": "https://elsewhere.example"})),
        Reason.ISSUER_UNREACHABLE: _bearer(cluster.token({**claims, "iss": NOWHERE})),
    }


def _of_its_claims(cluster: FakeIssuer) -> dict[Reason, Asked]:
    now = int(time.time())

    def kubernetes(**claims: object) -> Asked:
        return _bearer(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE, **claims))

    return {
        Reason.CLAIM_MISSING: kubernetes(exp=None),
        Reason.CLAIM_MALFORMED: kubernetes(exp="tomorrow"),
        Reason.EXPIRED: kubernetes(iat=now - 7200, exp=now - 3600),
        Reason.NOT_YET_VALID: kubernetes(nbf=now + 3000),
        Reason.ISSUED_IN_FUTURE: kubernetes(iat=now + 3000, exp=now + 6000),
        Reason.TOO_OLD: kubernetes(iat=now - 200_000),
        Reason.LIVES_TOO_LONG: kubernetes(exp=now + 200_000),
        Reason.CONFIRMATION_UNSUPPORTED: kubernetes(cnf={"jkt": "x"}),
        Reason.ACTOR_NOT_ALLOWED: kubernetes(may_act={"sub": "x"}),
        Reason.LEGACY_SERVICE_ACCOUNT_TOKEN: _bearer(cluster.identity_token(AUDIENCE)),
        Reason.SUBJECT_MISMATCH: _bearer(cluster.github_token("a/b", GITHUB, sub="repo:c/d:ref:refs/heads/main")),
    }


def _of_the_rules(cluster: FakeIssuer, identity: str) -> dict[Reason, Asked]:
    once = cluster.identity_token(ONCE)
    good = exchange_form(identity)
    bound = exchange_form(identity, resource="https://bound.example.com", scope="bound:read")
    return {
        Reason.USED_TWICE: _bearer(once),  # which is good the first time
        Reason.NO_RULE: _bearer(cluster.kubernetes_token("media", "stranger", AUDIENCE)),
        Reason.SCOPE_MISSING: _form(exchange_form(identity, scope=None)),
        Reason.SCOPE_MALFORMED: _form({**good, "scope": 'images:read "'}),
        Reason.SCOPE_UNKNOWN: _form({**good, "scope": "images:paint"}),
        Reason.SCOPE_NOT_ALLOWED: _form({**good, "scope": "images:write"}),
        Reason.PROOF_UNSUPPORTED: _form(good, ("DPoP", "x")),
        Reason.PROOF_MISSING: _form(bound),
    }


def _bearer(token: str) -> Asked:
    leaks.handled(token)
    return _form({"grant_type": BEARER_GRANT, "assertion": token, "resource": IMAGES, "scope": "images:read"})
