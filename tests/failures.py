"""A token request for every reason that one can be refused or put off for.

They are for the configuration of :mod:`tests.served` with the loopback as a trusted proxy, and ``UNREACHABLE``,
``DEVICES`` and the trust domain of :mod:`tests.mesh` added.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from authserver.endpoints.http import MAX_BODY
from authserver.errors import Reason
from authserver.model import Device
from authserver.store.sqlite import SqliteStore
from authserver.testing import FakeIssuer
from tests import leaks
from tests.devices import PHONES, DeviceKey, token_form
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

DEVICES: Final = (
    PHONES.format(phones="")
    + """
[sources.tablets]
type = "device"
require_nonce = true

[[allow]]
name = "tablets-of-alice"
source = "tablets"
match = { owner = "alice" }
resource = "https://images.example.com"
scope = ["images:read"]
"""
)

ELSEWHERE: Final[Mapping[Reason, str]] = {
    Reason.HEADER_REPEATED: "WSGI joins what is repeated into one value, which is refused for what it says",
    Reason.ISSUER_WRONG: "a token of another issuer has another source, or none",
    Reason.REVOKED: "only a token of ours is taken back",
    Reason.CREDENTIAL_MISSING: "only at a resource server",
    Reason.CREDENTIAL_REPEATED: "only at a resource server",
    Reason.SCOPE_INSUFFICIENT: "only at a resource server",
    Reason.TOKEN_INACTIVE: "only at a resource server",
    Reason.INTROSPECTION_MISMATCH: "only at a resource server",
    Reason.INTROSPECTION_UNAVAILABLE: "only at a resource server",
    Reason.LEGACY_TOKEN_REFUSED: "only at a resource server",
    Reason.KEYS_UNAVAILABLE: "only at a resource server",
    Reason.CERTIFICATE_MISSING: "only where a token of ours is presented",
    Reason.CERTIFICATE_WRONG: "only where a token of ours is presented",
    Reason.CERTIFICATE_MALFORMED: "only of a client certificate",
    Reason.CERTIFICATE_UNTRUSTED: "only of a client certificate",
    Reason.CERTIFICATE_UNSUITABLE: "only of a client certificate",
    Reason.CERTIFICATE_NAME_WRONG: "only of a client certificate",
    Reason.CERTIFICATE_REVOKED: "only of a client certificate",
    Reason.AUTHORITIES_UNAVAILABLE: "only of a client certificate",
    Reason.REVOCATION_LIST_UNAVAILABLE: "only of a client certificate",
    Reason.SIGNED_REQUEST_MALFORMED: "only of a caller at AWS",
    Reason.SIGNED_HEADER_MISSING: "only of a caller at AWS",
    Reason.STS_HOST_NOT_ALLOWED: "only of a caller at AWS",
    Reason.STS_REFUSED: "only of a caller at AWS",
    Reason.STS_ANSWER_MALFORMED: "only of a caller at AWS",
    Reason.ACCOUNT_NOT_ALLOWED: "only of a caller at AWS",
    Reason.PRINCIPAL_UNSUPPORTED: "only of a caller at AWS",
    Reason.NOT_JSON: "only when a device enrols or is invited",
    Reason.JSON_MALFORMED: "only when a device enrols or is invited",
    Reason.PROOF_TOKEN_WRONG: "a proof for the token endpoint names no token",
    Reason.PROOF_MEMORY_FULL: "only at a resource server",
    Reason.PROOF_UNEXPECTED: "only where a token of ours is presented",
    Reason.SENDER_UNPROVEN: "only where a token of ours is presented",
    Reason.CODE_MALFORMED: "only when a device enrols",
    Reason.CODE_UNKNOWN: "only when a device enrols",
    Reason.CODE_EXPIRED: "only when a device enrols",
    Reason.CODE_USED: "only when a device enrols",
    Reason.INVITATION_MISMATCH: "only when a device enrols",
    Reason.ENROLLMENT_NOT_ALLOWED: "only when a device enrols",
    Reason.METADATA_MALFORMED: "only when a device enrols",
    Reason.METADATA_UNSUPPORTED: "only when a device enrols",
    Reason.KEY_UNSUITABLE: "only when a device enrols",
    Reason.KEY_ENROLLED_BEFORE: "only when a device enrols",
    Reason.TOO_MANY_DEVICES: "only when a device enrols",
    Reason.ATTESTATION_UNSUPPORTED: "only when a device enrols",
    Reason.DEVICE_CHANGED: "only where a token of ours is presented, or a device changes its key",
    Reason.REKEY_NOT_ALLOWED: "only when a device changes its key",
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


class Devices:
    """Three devices of alice: one as it should be, one that was revoked, and one of which a nonce is wanted."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.good, self.revoked, self.strict = (f"dev_{letter * 22}" for letter in "grs")
        self.keys = {client_id: DeviceKey() for client_id in (self.good, self.revoked, self.strict)}

    def enroll(self, database: Path) -> None:
        """Put them into the store of a server."""
        store = SqliteStore(database, create=False)
        for client_id, key in self.keys.items():
            source = "tablets" if client_id == self.strict else "phones"
            device = Device(
                client_id, source, f"{source}:owner/alice", "alice", key.jwk, key.thumbprint, created_at=time.time()
            )
            store.enroll(device, code_hash=None, max_per_owner=None, now=time.time())
        store.revoke_device(self.revoked, time.time())
        store.close()

    def proof(self, client_id: str, **claims: object) -> tuple[str, str]:
        """The header with a proof for the token endpoint."""
        members = {"method": "POST", "url": f"{self.issuer}/token", **claims}
        return ("DPoP", self.keys[client_id].proof(**members))  # type: ignore[arg-type]

    def asks(self, client_id: str, *headers: tuple[str, str], iss: str | None = None) -> Asked:
        """A token request with a good assertion; ``iss`` is of whom it is said to be."""
        who = iss or client_id
        return _form(token_form(who, self.keys[client_id].assertion(who, self.issuer)), *headers)


def failures(cluster: FakeIssuer, identity: str, devices: Devices) -> dict[Reason, Asked]:
    """The requests. ``identity`` is a good token of the service account that has rules."""
    return {
        **_of_the_request(identity),
        **_of_the_client(identity),
        **_of_the_target(identity),
        **_of_the_token(cluster),
        **_of_its_claims(cluster),
        **_of_the_mesh(cluster),
        **_of_the_rules(cluster, identity),
        **_of_the_proof(identity, devices),
        **_of_the_device(devices),
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


def _of_the_mesh(cluster: FakeIssuer) -> dict[Reason, Asked]:
    elsewhere = cluster.spiffe_token("spiffe://other.example/a", AUDIENCE, iss="spiffe://example.org")
    return {
        Reason.SPIFFE_ID_MALFORMED: _bearer(cluster.spiffe_token("spiffe://example.org/a//b", AUDIENCE)),
        Reason.TRUST_DOMAIN_WRONG: _bearer(elsewhere),
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
        Reason.PROOF_MISSING: _form(bound),
    }


def _of_the_proof(identity: str, devices: Devices) -> dict[Reason, Asked]:
    good, (_, proof) = exchange_form(identity), devices.proof(devices.good)
    _, other = devices.proof(devices.good)
    forged = f"{proof.rpartition('.')[0]}.{other.rpartition('.')[2]}"

    def claiming(**claims: object) -> Asked:
        return _form(good, devices.proof(devices.good, **claims))

    return {
        Reason.PROOF_REPEATED: _form(good, ("DPoP", f"{proof},{other}")),
        Reason.PROOF_MALFORMED: _form(good, ("DPoP", "x")),
        Reason.PROOF_SIGNATURE_WRONG: _form(good, ("DPoP", leaks.handled(forged))),
        Reason.PROOF_METHOD_WRONG: claiming(method="GET"),
        Reason.PROOF_ADDRESS_WRONG: claiming(url=f"{devices.issuer}/other"),
        Reason.PROOF_TIME_WRONG: claiming(iat=1),
        Reason.NONCE_WRONG: claiming(nonce="none-of-ours"),
        Reason.PROOF_REPLAYED: _form(good, ("DPoP", proof)),  # which is good the first time
    }


def _of_the_device(devices: Devices) -> dict[Reason, Asked]:
    good = devices.good
    return {
        Reason.PROOF_KEY_WRONG: devices.asks(good, devices.proof(devices.strict)),
        Reason.NONCE_MISSING: devices.asks(devices.strict, devices.proof(devices.strict)),
        Reason.DEVICE_UNKNOWN: devices.asks(good, devices.proof(good), iss=f"dev_{'u' * 22}"),
        Reason.DEVICE_REVOKED: devices.asks(devices.revoked, devices.proof(devices.revoked)),
    }


def _bearer(token: str) -> Asked:
    leaks.handled(token)
    return _form({"grant_type": BEARER_GRANT, "assertion": token, "resource": IMAGES, "scope": "images:read"})
