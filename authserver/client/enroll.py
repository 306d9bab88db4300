"""Enrolling this machine: from an enrolment code to a key of its own that a server knows (RFC 7591).

The key is made here and never leaves. It is on disk before the request goes out, so that an answer that is lost costs
nothing: the same code with the same key is the same device.
"""

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from authserver.client.device_key import make_key
from authserver.client.enrollment import Draft, Enrollment, EnrollmentRecord, KeptKey
from authserver.client.failures import AnswerUnusable, CallFailed, CallRefused, EnrolledAlready
from authserver.client.http import Answer
from authserver.client.key_places import FILE
from authserver.client.server import Attempt, AuthorizationServer, Outgoing
from authserver.jose.addresses import Location
from authserver.jose.jwk import SigningKey, export_public
from authserver.oauth import BEARER, ErrorCode, Grant

_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,16384}=*")  # RFC 6750 section 2.1
_CLIENT_ID = re.compile(r"[!-~]{1,256}")  # RFC 6749 appendix A.1, without the space
_PLATFORMS: Final[Mapping[str, str]] = {"Darwin": "macos"}

CODE_REFUSED: Final = (
    "The enrolment code is mistyped, expired or used already, or it is for another server: ask for a new one"
)
ID_TOKEN_REFUSED: Final = (
    "The ID token has expired, or it is for another audience, or no device source of the server takes it"
)
KEY_LEFT: Final = (
    "An earlier attempt may be what is in the way: remove it with authserver enroll --remove, and ask for a new code"
)


def this_platform() -> str:
    """What this machine says of its platform when it registers: ``linux``, ``macos``."""
    system = platform.system()
    return _PLATFORMS.get(system, system.lower())


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a machine says of itself when it registers.

    ``source`` names the server's device source, where an ID token would fit several. ``device`` may have the members
    ``platform``, ``model``, ``app_id`` and ``app_version``.
    """

    name: str
    source: str | None = None
    device: Mapping[str, str] = field(default_factory=lambda: {"platform": this_platform()})


def enroll(
    server: AuthorizationServer,
    record: EnrollmentRecord,
    initial_access_token: str,
    introduction: Introduction,
    *,
    algorithm: str = "ES256",
    place: str = FILE,
) -> Enrollment:
    """Enrol this machine with an enrolment code, or with the ID token of its owner.

    Call it again with the same code when it failed for want of an answer.

    :raises EnrolledAlready: it is.
    :raises CallRefused: the server said no.
    :raises NoAnswer: the server cannot be reached, or is away for now.
    :raises AnswerUnusable: what answers is no such server.
    :raises EnrollmentUnusable: the key or what must be remembered cannot be kept here.
    :raises CallFailed: the code has characters that no code has.
    """
    if _B64TOKEN.fullmatch(initial_access_token) is None:
        raise CallFailed(CODE_REFUSED)
    refused = ID_TOKEN_REFUSED if "." in initial_access_token else CODE_REFUSED  # a JWT has dots, and no code has
    endpoint = server.registration_endpoint
    with record.changing():
        known = record.read()
        draft, key = _begun(record, known, algorithm, place)
        headers = {"Authorization": f"{BEARER} {initial_access_token}", "Content-Type": "application/json"}
        outgoing = Outgoing(headers, _request(introduction, key), key)
        answer = _sent(server, endpoint, outgoing, refused, again=draft is known)
        enrollment = _accepted(answer, draft, introduction)
        record.write(enrollment)
    return enrollment


def _begun(
    record: EnrollmentRecord, known: Draft | Enrollment | None, algorithm: str, place: str
) -> tuple[Draft, SigningKey]:
    """A key that is kept here: the one of an attempt that came to nothing if it fits, else a new one."""
    if isinstance(known, Enrollment):
        raise EnrolledAlready(f"this machine is {known.client_id} at {known.issuer} already")
    if known is not None:
        key = record.load(known.key)
        if key is not None and (known.key.algorithm, known.key.place) == (algorithm, place):
            return known, key
        record.forget(known.key)
    key = make_key(algorithm)
    draft = Draft(record.issuer, KeptKey(key.kid, algorithm, place))
    record.write(draft)
    record.keep(key, draft.key)
    return draft, key


def _request(introduction: Introduction, key: SigningKey) -> bytes:
    metadata: dict[str, Any] = {
        "client_name": introduction.name,
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": [Grant.CLIENT_CREDENTIALS.value],
        "jwks": {"keys": [export_public(key.private.public_key())]},
        "device": dict(introduction.device),
    }
    if introduction.source is not None:
        metadata["source"] = introduction.source
    return json.dumps(metadata).encode("ascii")


def _sent(server: AuthorizationServer, endpoint: str, outgoing: Outgoing, hint: str, *, again: bool) -> Answer:
    def make(attempt: Attempt) -> Outgoing:
        del attempt
        return outgoing

    try:
        return server.ask("POST", endpoint, make)
    except CallRefused as refused:
        hints = {ErrorCode.INVALID_TOKEN.value: hint}
        if again:
            hints[ErrorCode.INVALID_CLIENT_METADATA.value] = KEY_LEFT
        raise refused.with_hint(hints.get(refused.code, "")) from refused


def _accepted(answer: Answer, draft: Draft, introduction: Introduction) -> Enrollment:
    said = answer.json
    client_id, uri, name = said.get("client_id"), said.get("registration_client_uri"), said.get("client_name")
    if not isinstance(client_id, str) or _CLIENT_ID.fullmatch(client_id) is None:
        raise AnswerUnusable("the answer to the registration has no client_id")
    try:
        Location.of(str(uri))
    except ValueError:
        raise AnswerUnusable("the answer to the registration has no registration_client_uri") from None
    name = name if isinstance(name, str) else introduction.name
    return Enrollment(draft.issuer, client_id, name, str(uri), draft.key)
