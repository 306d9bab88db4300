"""The steps of the demo that are about a device: it enrols, calls, is robbed of its token, and is revoked."""

import json
from collections.abc import Iterator
from dataclasses import replace

from authserver.cli.demo.stage import IMAGES, Stage, expect
from authserver.client import (
    AuthorizationServer,
    BoundCalls,
    CallRefused,
    DeviceSupplier,
    EnrollmentRecord,
    Introduction,
    IssuedToken,
    Registration,
    enroll,
    request_token,
)
from authserver.jose.compact import parse
from authserver.jose.jwk import SigningKey, generate
from authserver.oauth import BEARER

Lines = Iterator[str]


def enroll_a_phone(stage: Stage) -> Lines:
    """One invitation, one key, one device."""
    invitation = json.loads(stage.command("devices", "invite", "--source", "phones", "--owner", "alice", "--json"))
    server, record = _phone(stage)
    enrolled = enroll(server, record, invitation["code"], Introduction("Alice's phone"))
    yield "An operator invited a device of alice. The phone made a key, showed the code once and proved the key."
    yield f"It is {enrolled.client_id} now. Nothing secret was sent to it, and its key never left it."
    thief, elsewhere = AuthorizationServer(stage.issuer), EnrollmentRecord(stage.issuer, stage.phone / "elsewhere")
    try:
        enroll(thief, elsewhere, invitation["code"], Introduction("A thief's phone"))
    except CallRefused as refused:
        yield f"The same code on another phone: {refused.status} {refused.code}. A code is good for one device."
    else:
        expect(False, "one code enrolled two devices")


def call_as_the_phone(stage: Stage) -> Lines:
    """A token that is bound to the phone's key."""
    server, _ = _phone(stage)
    token = _token(stage, server)
    claims = parse(token.value).unverified_claims
    status, _, body = stage.request(BoundCalls(server).headers("GET", stage.images, token))
    expect(status == 200, f"the API answered {status}")
    yield f"The phone got a {token.token_type} token for {token.expires_in} seconds, bound to its key:"
    for name in ("sub", "client_id", "scope", "cnf"):
        yield f"    {name:<9} {claims[name]}"
    yield f"GET /images: {status} for {json.loads(body)['caller']}"


def rob_the_phone(stage: Stage) -> Lines:
    """Whoever has the token and not the key has nothing."""
    server, _ = _phone(stage)
    token = _token(stage, server)
    used = BoundCalls(server).headers("GET", stage.images, token)
    expect(stage.request(used)[0] == 200, "the API did not accept the phone itself")
    own = replace(token, key=SigningKey("thief", "ES256", generate("ES256")))
    for how, headers in (
        ("as a bearer token", {"Authorization": f"{BEARER} {token.value}"}),
        ("with a proof by a key of his own", BoundCalls(server).headers("GET", stage.images, own)),
        ("with the proof that the phone has just used", used),
    ):
        status, answer, _ = stage.request(headers)
        expect(status == 401, f"the API answered {status} to the thief")
        yield f"A thief uses its token {how}: {status} {_error(answer['WWW-Authenticate'])}"


def revoke_the_phone(stage: Stage) -> Lines:
    """One device is revoked, and no other notices."""
    server, record = _phone(stage)
    client_id = Registration(server, record).current().client_id
    stage.command("devices", "revoke", client_id)
    try:
        _token(stage, server)
    except CallRefused as refused:
        reason = stage.event(refused.request_id)["reason"]
        expect(reason == "device_revoked", f"the audit event says {reason}")
        yield f"{client_id} asks for a token: {refused.status} {refused.code}; the operator's log says {reason}"
    else:
        expect(False, "the revoked phone got a token")
    stage.token()
    yield "Workloads go on as before."


def _phone(stage: Stage) -> tuple[AuthorizationServer, EnrollmentRecord]:
    return AuthorizationServer(stage.issuer), EnrollmentRecord(stage.issuer, stage.phone)


def _token(stage: Stage, server: AuthorizationServer) -> IssuedToken:
    supplier = DeviceSupplier(server, EnrollmentRecord(stage.issuer, stage.phone))
    return request_token(server, supplier, resource=IMAGES, scope="images:read")


def _error(challenge: str) -> str:
    return challenge.partition('error="')[2].partition('"')[0]
