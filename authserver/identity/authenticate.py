"""From a credential to a subject, through the one source that the credential says it is from."""

from collections.abc import Iterable, Mapping
from typing import Any

from authserver.errors import CredentialRejected, Reason, Refused, Unavailable
from authserver.identity.aws.callers import SignedRequestCallers
from authserver.identity.certificate_source import CertificateCallers
from authserver.identity.devices import DeviceCallers
from authserver.identity.source import Source
from authserver.identity.spiffe_id import SCHEME
from authserver.identity.using import still_usable
from authserver.jose.compact import UnverifiedToken, parse
from authserver.jose.verify import sole_audience
from authserver.model import Credential, Subject
from authserver.oauth import DEVICE_PREFIX
from authserver.store.ports import ReplayStore

_LOGGED_CHARACTERS = 200


class Identity:
    """Knows every source, and which of them a token belongs to."""

    def __init__(
        self,
        sources: Iterable[Source],
        replay: ReplayStore,
        devices: DeviceCallers | None = None,
        signed_requests: SignedRequestCallers | None = None,
        certificates: CertificateCallers | None = None,
    ) -> None:
        self._devices = devices
        self._signed_requests = signed_requests
        self._certificates = certificates or CertificateCallers(())
        self._replay = replay
        self._sources = {(source.issuer, source.audience): source for source in sources}
        self._issuers = frozenset(issuer for issuer, _ in self._sources)

    def authenticate(self, credential: Credential, now: float, *, recall: bool = False) -> Subject:
        """Verify ``credential`` at its source.

        The source is found by the token's own issuer and audience, which are not believed until that source has
        verified them. ``recall`` is that of :meth:`authserver.identity.devices.DeviceCallers.authenticate`.

        :raises CredentialRejected: the credential is not believed, or belongs to no source.
        :raises Unavailable: something the source depends on is away.
        """
        subject = self._subject(credential, now, recall=recall)
        if credential.unverified_client_id not in (None, subject.client_id):
            if self.is_outdated(subject):
                return self.authenticate(credential, now)
            raise CredentialRejected(Reason.CLIENT_ID_MISMATCH, client_id=subject.client_id)  # RFC 7521 section 4.2
        return subject

    def is_outdated(self, subject: Subject) -> bool:
        """Whether a subject is a device as we remembered it, and the store says otherwise; we forget it then.

        :raises Unavailable: ``store_unavailable``.
        """
        if self._devices is None or subject.record is None or not subject.is_recalled:
            return False
        return self._devices.is_outdated(subject.record)

    def spend(self, subject: Subject, now: float) -> None:
        """Use up the subject's credential, if it is one that may be used only once.

        It is the last thing before a token is signed: a request that is refused for something else, a scope or an
        outage, can be mended and made again with the same credential.

        :raises CredentialRejected: ``used_twice``, or ``expired``: it was still good when it was verified.
        :raises Unavailable: what was used cannot be remembered at the moment.
        """
        use = still_usable(subject, now)
        if use is not None and self._replay.use_together([use], now) is not None:
            raise CredentialRejected(Reason.USED_TWICE)

    def _subject(self, credential: Credential, now: float, *, recall: bool) -> Subject:
        if credential.certificate is not None:
            return self._certificates.authenticate(credential.certificate, now)
        if credential.is_signed_request:
            return self._of_signed_request(credential.unverified_token, now)
        token = parse(credential.unverified_token)
        if self._devices is not None and credential.authenticates_client and _is_device(token):
            return self._devices.authenticate(token, now, recall=recall)
        return _authenticated(self._source_of(token, credential), token, now)

    def _of_signed_request(self, unverified_token: str, now: float) -> Subject:
        if self._signed_requests is None:
            raise CredentialRejected(Reason.AUDIENCE_WRONG)
        return self._signed_requests.authenticate(unverified_token, now)

    def _source_of(self, token: UnverifiedToken, credential: Credential) -> Source:
        claims, audience = token.unverified_claims, sole_audience(token.unverified_claims)
        issuer = claims.get("iss")
        if isinstance(issuer, str) and (issuer, audience) in self._sources and not credential.is_svid:
            return self._sources[issuer, audience or ""]  # what is below comes to the same, and takes its time
        origins = [each for each in unverified_origins(claims) if not credential.is_svid or _is_spiffe(each)]
        for claim, there in (("iss", origins), ("aud", "aud" in claims)):
            if not there:
                raise CredentialRejected(Reason.CLAIM_MISSING, claim=claim)
        known = [each for each in origins if isinstance(each, str) and each in self._issuers]
        if not known:
            raise CredentialRejected(Reason.ISSUER_UNKNOWN, unverified_issuer=_shown(origins[0]))
        for origin in known:
            if (origin, audience) in self._sources:
                return self._sources[origin, audience or ""]
        raise CredentialRejected(
            Reason.AUDIENCE_WRONG, unverified_issuer=known[0], unverified_audience=_shown(claims["aud"])
        )


def unverified_origins(unverified_claims: Mapping[str, Any]) -> list[Any]:
    """Whom a token says it is from: its ``iss``, and the trust domain of its ``sub`` where that is a SPIFFE ID.

    A JWT-SVID need not have an ``iss``, and where it has one it says nothing of the trust domain.
    """
    sub = unverified_claims.get("sub")
    issuers = [unverified_claims["iss"]] if "iss" in unverified_claims else []
    if not _is_spiffe(sub):
        return issuers
    return [*issuers, SCHEME + str(sub).removeprefix(SCHEME).partition("/")[0]]


def _is_spiffe(origin: object) -> bool:
    return isinstance(origin, str) and origin.startswith(SCHEME)


def _is_device(token: UnverifiedToken) -> bool:
    """Whether a token says that a device of ours made it. No configured issuer is spelled like one."""
    issuer = token.unverified_claims.get("iss")
    return isinstance(issuer, str) and issuer.startswith(DEVICE_PREFIX)


def _authenticated(source: Source, token: UnverifiedToken, now: float) -> Subject:
    try:
        return source.authenticate(token, now)
    except (Refused, Unavailable) as error:
        error.source = source.name
        raise


def _shown(unverified: object) -> str:
    text = unverified if isinstance(unverified, str) else f"not a string: {type(unverified).__name__}"
    return text[:_LOGGED_CHARACTERS]
