"""Callers that show a request to STS which they have signed: from that request to the principal of AWS."""

import hashlib
from collections.abc import Mapping
from typing import Final

from authserver.errors import CredentialRejected, Reason, Refused, Unavailable
from authserver.identity.aws.request import MAX_AGE, UnverifiedSignedRequest, check_freshness, read_signed_request
from authserver.identity.aws.sts import SecurityTokenService
from authserver.identity.sources.aws import AwsTable, SignedRequestsTable
from authserver.model import Subject

_SHOWN: Final = 200


class SignedRequestCallers:
    """Recognizes the principals of AWS that sign requests for the sources in ``tables``. ``skew`` is in seconds."""

    def __init__(self, tables: Mapping[str, AwsTable], sts: SecurityTokenService, *, skew: int) -> None:
        self._tables = {
            table.audience: (name, table.signed_requests)
            for name, table in tables.items()
            if table.signed_requests is not None
        }
        self._sts = sts
        self._skew = skew

    def authenticate(self, unverified_token: str, now: float) -> Subject:
        """Have STS verify a signed request.

        :raises CredentialRejected: it is not believed.
        :raises Unavailable: STS is away.
        """
        request = read_signed_request(unverified_token)
        found = self._tables.get(request.unverified_audience)
        if found is None:
            raise CredentialRejected(Reason.AUDIENCE_WRONG, unverified_audience=request.unverified_audience[:_SHOWN])
        name, table = found
        try:
            return self._authenticated(name, table, request, now)
        except (Refused, Unavailable) as error:
            error.source = name
            raise

    def _authenticated(
        self, name: str, table: SignedRequestsTable, request: UnverifiedSignedRequest, now: float
    ) -> Subject:
        if not (request.audience_is_signed or table.unsigned_audience):
            raise CredentialRejected(Reason.SIGNED_HEADER_MISSING, audience=request.unverified_audience[:_SHOWN])
        if request.host not in table.hosts:
            raise CredentialRejected(Reason.STS_HOST_NOT_ALLOWED, unverified_host=request.host[:_SHOWN])
        check_freshness(request, now, self._skew)
        principal, identified = self._sts.ask(request, now)
        if principal.account not in table.accounts:
            raise CredentialRejected(Reason.ACCOUNT_NOT_ALLOWED, principal=principal.subject)
        return Subject(
            source=name,
            subject=identified.subject,
            attributes=identified.attributes,
            # The signature covers the instant and has one spelling, so it is as good a name as any identifier.
            credential_id=hashlib.sha256(b"sigv4:" + request.signature.encode("ascii")).hexdigest(),
            # With the skew, since the clock of another node may be behind.
            single_use_until=request.signed_at + MAX_AGE + self._skew + 1,
        )
