"""``POST /register``: how a device enrols (RFC 7591). It gets no secret: what it has is its key."""

from collections.abc import Callable
from typing import Any, Final

from authserver.audit import AboutDevice, Audit
from authserver.endpoints import respond
from authserver.endpoints.documents import read_document
from authserver.endpoints.http import Request, Response, TrustedProxies
from authserver.endpoints.limits import FailureLimit
from authserver.endpoints.proofs import Proofs
from authserver.enrollment.enroll import Candidate, Enrollment
from authserver.enrollment.invitation import CODE_PREFIX
from authserver.enrollment.metadata import AUTH_METHOD, GRANT_TYPES, OWN_WORDS, DeviceMetadata, read_metadata
from authserver.enrollment.owners import Owner
from authserver.errors import (
    CredentialMissing,
    CredentialRejected,
    NonceWanted,
    Refused,
    TooManyFailures,
    Unavailable,
)
from authserver.identity.authenticate import Identity
from authserver.jose.dpop import check_key, check_token
from authserver.model import Credential, Device, Subject
from authserver.oauth import BEARER, DPOP, REGISTRATION_PATH, ErrorCode
from authserver.resource.credential import ApiRequest, presented_credential

_REALM: Final = f'{BEARER} realm="register"'


class RegistrationEndpoint:
    """Enrolment (RFC 7591 section 3). One request, one decision, one audit event.

    ``clock`` gives seconds since the epoch. ``limit`` counts the failures here, and no others: an enrolment code is all
    that could be guessed, and workloads that fail elsewhere must not keep the devices of their network from enrolling.
    """

    def __init__(
        self,
        issuer: str,
        enrollment: Enrollment,
        identity: Identity,
        proofs: Proofs,
        audit: Audit,
        limit: FailureLimit,
        proxies: TrustedProxies,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._issuer = issuer
        self._enrollment = enrollment
        self._identity = identity
        self._proofs = proofs
        self._audit = audit
        self._limit = limit
        self._proxies = proxies
        self._clock = clock

    def __call__(self, request: Request) -> Response:
        """Enrol a device."""
        address = self._proxies.client_address(request)
        try:
            with self._audit.enrollment(request.request_id, address) as event:
                device = self._limited(request, event)
        except (CredentialMissing, CredentialRejected) as refused:
            return _challenge(request, refused)
        except Refused as refused:
            return respond.refused(request, refused, None)
        except Unavailable as unavailable:
            return respond.unavailable(request, unavailable)
        answer = respond.json_response(201, described(device, self._issuer), *respond.NO_STORE)
        return self._proofs.with_nonce(request, answer)

    def _limited(self, request: Request, event: AboutDevice) -> Device:
        try:
            return self._enroll(request, event)
        except (NonceWanted, TooManyFailures):
            raise  # the first half of a conversation, or counted already
        except Refused as refused:
            self._limit.count(event.address, refused)
            raise

    def _enroll(self, request: Request, event: AboutDevice) -> Device:
        self._proxies.refuse_plain_http(request)
        scheme, unverified_token = presented_credential(ApiRequest(request.header_values("authorization")))
        if unverified_token.startswith(CODE_PREFIX):
            self._limit.check(event.address)
        metadata = read_metadata(read_document(request))
        proven = self._proofs.demand(request.header_values("dpop"), request, REGISTRATION_PATH)
        check_key(proven.proof, metadata.key.thumbprint)
        if scheme == DPOP or "ath" in proven.proof.claims:
            check_token(proven.proof, unverified_token)  # it says what the proof is for, and with that scheme it must
        candidate, subject = self._candidate(unverified_token, metadata, event)
        event.candidate(candidate.device)
        self._proofs.spend(proven, subject=subject)
        device = self._enrollment.complete(candidate)
        event.device(device)
        return device

    def _candidate(
        self, unverified_token: str, metadata: DeviceMetadata, event: AboutDevice
    ) -> tuple[Candidate, Subject | None]:
        """What would be enrolled, and the owner where one signed in."""
        if unverified_token.startswith(CODE_PREFIX):
            return self._enrollment.invited(unverified_token, metadata), None
        subject = self._identity.authenticate(Credential(unverified_token), self._clock())
        event.caller = subject.sub
        return self._enrollment.owned(Owner(subject.source, subject.subject), metadata), subject


def described(device: Device, issuer: str) -> dict[str, Any]:
    """What is registered of a device (RFC 7591 section 3.2.1), as the device itself may know it."""
    named = {} if device.key_id is None else {"kid": device.key_id}
    document = {
        "client_id": device.client_id,
        "client_id_issued_at": int(device.created_at),
        "registration_client_uri": f"{issuer.rstrip('/')}{REGISTRATION_PATH}/{device.client_id}",
        "client_name": device.name,
        "token_endpoint_auth_method": AUTH_METHOD,
        "grant_types": list(GRANT_TYPES),
        "dpop_bound_access_tokens": True,  # RFC 9449 section 5.2
        "jwks": {"keys": [{**device.jwk, **named}]},
        "device": own_words(device),
    }
    return {name: value for name, value in document.items() if value is not None}


def own_words(device: Device) -> dict[str, str]:
    """What a device says of itself, and what was believed instead."""
    return {name: value for name in OWN_WORDS if (value := getattr(device, name)) is not None}


def _challenge(request: Request, refused: Refused) -> Response:
    """RFC 6750 section 3: nothing is said of an error to who brought no credential."""
    if isinstance(refused, CredentialMissing):
        document = {"request_id": request.request_id}
        return respond.json_response(401, document, *respond.NO_STORE, ("WWW-Authenticate", _REALM))
    code = ErrorCode.INVALID_TOKEN
    challenge = f'{_REALM}, error="{code}", error_description="{respond.DESCRIPTIONS[code]}"'
    return respond.error_response(request, 401, code, ("WWW-Authenticate", challenge))
