"""What every adapter stands on: one API, without a framework.

To write an adapter for a framework:

1. Take ``issuer``, ``audience`` and :class:`ProtectionOptions`, and pass them on to :class:`Protection`. Make one per
   API, when the program is loaded; it touches no network.
2. Make :class:`Needs` once where a view is declared, and for each request ``requirement = needs.of(request)`` with the
   framework's own request object. What a callable of the user's raises there is the user's, and passes through.
3. Describe the request as an :class:`~authserver.resource.credential.ApiRequest`: *every* ``Authorization`` header,
   whether ``access_token`` is in the query or in a form that was read anyway, and with a ``DPoP`` header an
   :class:`~authserver.resource.credential.OfferedProof` whose ``urls`` come from :attr:`Protection.address`, which gets
   the path as it was sent. Where :attr:`Protection.certificates` is not None it finds the certificate of the caller.
   For WSGI :mod:`authserver.resource.wsgi` does both.
4. Call :meth:`~Protection.check`, or on an event loop :meth:`~Protection.check_async`, and hand what they raise as
   ``Refused`` or ``Unavailable`` to :meth:`~Protection.refuse`. Send its answer as it is: status, headers in their
   order (``WWW-Authenticate`` may be there twice) and body.
5. Put what was accepted where views find its token, and where the next guard of the same request finds it, for
   ``before``. ``None`` means that there were no credentials and ``optional`` was set; the view runs without a token.
   Set :attr:`Accepted.headers` on the answer of the view.
6. Serve :attr:`Protection.metadata` for GET at :attr:`Protection.metadata_path`, if there is one.
7. For a whole application ask ``protection.exemptions(exempt).covers(path)`` first, with the decoded path by which the
   framework routes; the metadata document is always among them.

An adapter decides nothing else. It never looks at a token, and never writes a challenge.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Unpack
from urllib.parse import unquote

from authserver.errors import CredentialMissing, ProofRejected, Reason, Refused, Unavailable
from authserver.oauth import BEARER
from authserver.resource.address import ExternalAddress
from authserver.resource.certificates import CertificateFinder, ClientCertificates
from authserver.resource.challenge import Answer, answer
from authserver.resource.credential import ApiRequest, OfferedProof, presented_credential
from authserver.resource.exempt import Exemptions
from authserver.resource.legacy import AcceptedTokens, LegacyCheck, LegacyToken, LegacyTokens, Tally
from authserver.resource.metadata import ProtectedResource
from authserver.resource.refusal import Render, as_json
from authserver.resource.requirement import Requirement
from authserver.resource.token import Accepted
from authserver.resource.urls import require_url
from authserver.resource.verifier import LEEWAY, AccessTokenVerifier, VerifierOptions
from authserver.resource.waiting import Blocking, OnLoop, Waits, finish

_log = logging.getLogger("authserver.resource")

_BLOCKING: Final = Blocking()
_NO_PROOF: Final = OfferedProof((), "", ())


class ProtectionOptions(VerifierOptions, total=False):
    """The settings of :class:`Protection` that have a default; an adapter passes them on."""

    url: str | None
    client_certificates: ClientCertificates | None
    scopes: Sequence[str]
    render: Render
    also_accept: LegacyCheck | None
    on_legacy: Callable[[LegacyToken], None] | None


class Protection:
    """One API and the authorization server whose tokens it accepts.

    ``issuer``, ``audience`` and ``options`` are those of :class:`AccessTokenVerifier`. ``url`` is the external address
    of what the application calls ``/``, which DPoP proofs are compared with; left out, the origin of ``audience``.
    ``client_certificates`` says where the certificates of callers are found: ``"tls"``, on the connection to the server
    that runs this application, or a list of the networks of the proxies whose header ``Client-Cert`` is believed; left
    out, tokens that are bound to a certificate are refused. ``scopes`` are shown in the metadata document. ``render``
    writes the bodies of refusals.

    ``also_accept`` verifies bearer tokens that are not this issuer's, while an API moves here; not where
    ``sender_constrained`` is set, because they are bound to nothing. ``on_legacy`` is called with each of them.

    Threads, event loops and forked processes may share it.

    :raises ValueError: a setting cannot be used.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        url: str | None = None,
        client_certificates: ClientCertificates | None = None,
        scopes: Sequence[str] = (),
        render: Render = as_json,
        also_accept: LegacyCheck | None = None,
        on_legacy: Callable[[LegacyToken], None] | None = None,
        **options: Unpack[VerifierOptions],
    ) -> None:
        if url is not None:
            require_url("url", url)
        bound = options.get("sender_constrained", False)
        self.certificates = None if client_certificates is None else CertificateFinder(client_certificates)
        """What finds the certificate of a caller; None where none is looked for."""
        shown = tuple(Requirement(scopes).all_of)
        self._resource = ProtectedResource(audience, issuer, shown, bound, self.certificates is not None)
        self._verifier = AccessTokenVerifier(issuer=issuer, audience=audience, **options)
        self._render = render
        self._clock = options.get("clock", time.time)
        self._legacy = (
            LegacyTokens(issuer, audience, also_accept, options.get("leeway", LEEWAY))
            if also_accept is not None and not bound
            else None
        )
        self._tally = Tally(on_legacy, self._clock)
        self._on_loop = OnLoop()
        self.url = url
        self.address = ExternalAddress(url, audience)
        self.metadata_path = unquote(self._resource.metadata_path) if self._resource.metadata_path else None
        """The decoded path of the metadata document (RFC 9728 section 3.1); None if ``audience`` is no web address."""

    @property
    def accepted(self) -> AcceptedTokens:
        """How many requests brought a token that was believed, by its kind; in this process."""
        return self._tally.accepted

    @property
    def metadata(self) -> Answer:
        """The metadata document (RFC 9728 section 3.2)."""
        body = json.dumps(self._resource.document()).encode("ascii")
        return Answer(200, (("Content-Type", "application/json"),), body)

    def exemptions(self, paths: Iterable[str] = ()) -> Exemptions:
        """The paths of a whole application that need no token, the metadata document among them.

        :raises ValueError: a path cannot be used.
        """
        return Exemptions(paths, self.metadata_path)

    def check(self, request: ApiRequest, requirement: Requirement, before: Accepted | None = None) -> Accepted | None:
        """The verified token of a request that satisfies ``requirement``; None if it has none and need not have one.

        ``before`` is what this object accepted the same request with a moment ago, where one guard is around another:
        a proof is good only once.

        May hold the thread: while there are no keys yet, while a key that nobody knows is asked for (a second at most),
        and while a store or an issuer that was configured to be asked answers.

        :raises RequestMalformed: the token was sent twice, or a scheme without one.
        :raises CredentialMissing: there is no token.
        :raises CredentialRejected: the token is not believed, or needs a proof, or none.
        :raises ProofRejected: the proof is missing or not believed.
        :raises ScopeInsufficient: the token is believed, and it may not do this.
        :raises Unavailable: whether to believe it cannot be known at the moment.
        """
        try:
            accepted = before or self._known(request) or finish(self._accept(request, _BLOCKING))
            requirement.check(accepted.token)
        except (Refused, Unavailable) as error:
            if not _may_pass(error, requirement):
                raise
            return None
        return accepted

    async def check_async(
        self, request: ApiRequest, requirement: Requirement, before: Accepted | None = None
    ) -> Accepted | None:
        """What :meth:`check` does, without ever holding the event loop. Raises the same."""
        # Its lines once more, because a coroutine around both would be dearer than the look-up that most requests are.
        try:
            accepted = before or self._known(request) or await self._accept(request, self._on_loop)
            requirement.check(accepted.token)
        except (Refused, Unavailable) as error:
            if not _may_pass(error, requirement):
                raise
            return None
        return accepted

    def refuse(self, error: Refused | Unavailable, request: ApiRequest, requirement: Requirement) -> Answer:
        """The answer to a request for which :meth:`check` raised ``error``."""
        return answer(
            error,
            self._resource,
            requirement,
            request.scheme,
            render=self._render,
            request_id=request.request_id,
        )

    def _known(self, request: ApiRequest) -> Accepted | None:
        """What nearly all requests come to: a bearer token that was verified before, and nothing else to look at."""
        scheme, token = presented_credential(request)
        accepted = self._verifier.known(token) if scheme == BEARER and request.proof is None else None
        if accepted is not None:
            self._tally.count(accepted.token)
        return accepted

    async def _accept(self, request: ApiRequest, waits: Waits) -> Accepted:
        scheme, token = presented_credential(request)
        if self._legacy is not None and scheme == BEARER and self._legacy.is_legacy(token):
            accepted = Accepted(await self._legacy.verify(token, self._clock(), waits))
        else:
            proof = None if scheme == BEARER else request.proof or _NO_PROOF
            accepted = await self._verifier.believe(token, proof, waits, request.certificate)
        if scheme == BEARER and request.proof is not None:
            raise ProofRejected(Reason.PROOF_UNEXPECTED)  # it would be ignored otherwise
        self._tally.count(accepted.token)
        return accepted


def _may_pass(error: Refused | Unavailable, requirement: Requirement) -> bool:
    """Whether there are no credentials where none are needed. Anything else is told to the log."""
    if requirement.optional and isinstance(error, CredentialMissing):
        return True
    # The reason is from a closed set; facts may quote the token, so they are an attribute and not text.
    extra = {"reason": error.reason.value, "facts": dict(error.facts)}
    _log.info("refused: %s", error.reason.value, extra=extra)
    return False
