"""``/register/<client_id>``: what a device does with its own registration (RFC 7592).

Where that has a registration access token, a device proves its key, with a nonce of ours.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from authserver.audit import AboutDevice, Audit
from authserver.endpoints import respond
from authserver.endpoints.documents import read_document
from authserver.endpoints.http import Request, Response, TrustedProxies
from authserver.endpoints.proofs import Proofs
from authserver.endpoints.registration import described
from authserver.enrollment.attest import read_statement, refuse_statement
from authserver.enrollment.metadata import read_key
from authserver.enrollment.registered import Registered, check_succession
from authserver.errors import CredentialRejected, NonceWanted, ProofRejected, Refused, Unavailable
from authserver.identity.possession import Proven
from authserver.model import Device
from authserver.oauth import DPOP, DPOP_ALGORITHMS, DPOP_NONCE, REGISTRATION_PATH, ErrorCode

_DELETED: Final = Response(204, respond.NO_STORE)


class RegisteredEndpoint:
    """The client configuration endpoint (RFC 7592 section 2). A question that is answered leaves no audit event."""

    def __init__(
        self, issuer: str, registered: Registered, proofs: Proofs, audit: Audit, proxies: TrustedProxies
    ) -> None:
        self._issuer = issuer
        self._registered = registered
        self._proofs = proofs
        self._audit = audit
        self._proxies = proxies

    def read(self, request: Request) -> Response:
        """What is registered (section 2.1)."""
        return self._answer(request, self._read, success=None)

    def replace_key(self, request: Request) -> Response:
        """Another key in the place of the one that proves the request; of section 2.2 there is nothing else here."""
        return self._answer(request, self._replace_key, success="rekeyed")

    def delete(self, request: Request) -> Response:
        """The end of the device (section 2.3)."""
        return self._answer(request, self._delete, success="deleted")

    def _answer(
        self, request: Request, action: Callable[[Request, AboutDevice], Response], *, success: str | None
    ) -> Response:
        try:
            with self._audit.device(request.request_id, self._proxies.client_address(request), success) as event:
                self._proxies.refuse_plain_http(request)
                response = action(request, event)
        except (CredentialRejected, ProofRejected) as refused:
            return _challenge(request, refused)
        except Refused as refused:
            return respond.refused(request, refused, None)
        except Unavailable as unavailable:
            return respond.unavailable(request, unavailable)
        return self._proofs.with_nonce(request, response)

    def _read(self, request: Request, event: AboutDevice) -> Response:
        device, proven = self._recognized(request, event)
        self._proofs.spend(proven)
        return self._described(device)

    def _replace_key(self, request: Request, event: AboutDevice) -> Response:
        device, old = self._recognized(request, event)
        document = read_document(request)
        key = read_key(document)
        refuse_statement(read_statement(document.get("attestation")))
        new = self._proofs.demand(_new_key_proof(document), request, _path(request))
        check_succession(old.proof, new.proof, key)
        self._proofs.spend(old)
        self._proofs.spend(new)
        device = self._registered.replace_key(device, key)
        event.device(device)
        return self._described(device)

    def _delete(self, request: Request, event: AboutDevice) -> Response:
        device, proven = self._recognized(request, event)
        self._proofs.spend(proven)
        self._registered.delete(device)
        return _DELETED

    def _recognized(self, request: Request, event: AboutDevice) -> tuple[Device, Proven]:
        """The device that the path names, once it has proved its key; the proof is not used up yet."""
        proven = self._proofs.demand(request.header_values("dpop"), request, _path(request), nonce_required=True)
        device = self._registered.find(request.client_id, proven.proof)
        event.device(device)
        return device, proven

    def _described(self, device: Device) -> Response:
        return respond.json_response(200, described(device, self._issuer), *respond.NO_STORE)


def _new_key_proof(document: Mapping[str, Any]) -> tuple[str, ...]:
    proof = document.get("new_key_proof")
    return (proof,) if isinstance(proof, str) else ()


def _path(request: Request) -> str:
    return f"{REGISTRATION_PATH}/{request.client_id}"


def _challenge(request: Request, refused: Refused) -> Response:
    """RFC 9449 sections 7.1 and 9; the same for every device that is not there for this key."""
    code, headers = ErrorCode.INVALID_TOKEN, []
    if isinstance(refused, NonceWanted):
        code, headers = ErrorCode.USE_DPOP_NONCE, [(DPOP_NONCE, refused.nonce)]
    elif isinstance(refused, ProofRejected):
        code = ErrorCode.INVALID_DPOP_PROOF
    challenge = f'{DPOP} error="{code}", algs="{" ".join(DPOP_ALGORITHMS)}"'
    return respond.error_response(request, 401, code, ("WWW-Authenticate", challenge), *headers)
