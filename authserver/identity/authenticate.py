"""From a credential to a subject, through the one source that the credential says it is from."""

from collections.abc import Iterable

from authserver.errors import CredentialRejected, Reason, Refused, Unavailable
from authserver.identity.devices import DeviceCallers
from authserver.identity.source import Source
from authserver.jose.compact import UnverifiedToken, parse
from authserver.jose.verify import sole_audience
from authserver.model import Credential, Subject
from authserver.oauth import DEVICE_PREFIX
from authserver.store.ports import ReplayStore

_LOGGED_CHARACTERS = 200


class Identity:
    """Knows every source, and which of them a token belongs to."""

    def __init__(self, sources: Iterable[Source], replay: ReplayStore, devices: DeviceCallers | None = None) -> None:
        self._devices = devices
        self._replay = replay
        self._sources = {(source.issuer, source.audience): source for source in sources}
        self._issuers = frozenset(issuer for issuer, _ in self._sources)

    def authenticate(self, credential: Credential, now: float) -> Subject:
        """Verify ``credential`` at its source.

        The source is found by the token's own issuer and audience, which are not believed until that source has
        verified them.

        :raises CredentialRejected: the credential is not believed, or belongs to no source.
        :raises Unavailable: something the source depends on is away.
        """
        token = parse(credential.unverified_token)
        if self._devices is not None and credential.authenticates_client and _is_device(token):
            subject = self._devices.authenticate(token, now)
        else:
            subject = _authenticated(self._source_of(token), token, now)
        if credential.unverified_client_id not in (None, subject.client_id):
            raise CredentialRejected(Reason.CLIENT_ID_MISMATCH, client_id=subject.client_id)  # RFC 7521 section 4.2
        return subject

    def spend(self, subject: Subject, now: float) -> None:
        """Use up the subject's credential, if it is one that may be used only once.

        It is the last thing before a token is signed: a request that is refused for something else, a scope or an
        outage, can be mended and made again with the same credential.

        :raises CredentialRejected: ``used_twice``.
        :raises Unavailable: what was used cannot be remembered at the moment.
        """
        if subject.single_use_until is not None:
            self._replay.use_once(subject.source, subject.credential_id, expires_at=subject.single_use_until, now=now)

    def _source_of(self, token: UnverifiedToken) -> Source:
        claims = token.unverified_claims
        issuer, audience = claims.get("iss"), sole_audience(claims)
        for claim in ("iss", "aud"):
            if claim not in claims:
                raise CredentialRejected(Reason.CLAIM_MISSING, claim=claim)
        if not isinstance(issuer, str) or issuer not in self._issuers:
            raise CredentialRejected(Reason.ISSUER_UNKNOWN, unverified_issuer=_shown(issuer))
        source = self._sources.get((issuer, audience or ""))
        if source is None:
            raise CredentialRejected(
                Reason.AUDIENCE_WRONG, unverified_issuer=issuer, unverified_audience=_shown(claims["aud"])
            )
        return source


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
