"""An enrolled machine vouches for the programs on it: a client assertion by its key (RFC 7523 section 2.2)."""

import secrets
from pathlib import Path
from typing import Final, Self

from authserver.client.enrollment import Enrollment, EnrollmentRecord
from authserver.client.failures import EnrollmentBusy, EnrollmentUnusable
from authserver.client.home import default_home
from authserver.client.registration import Registration
from authserver.client.server import AuthorizationServer
from authserver.client.supplier import Offer, Surroundings
from authserver.jose.jwk import SigningKey
from authserver.jose.sign import sign_under
from authserver.oauth import CLIENT_ASSERTION_JWT, Grant

ASSERTION_LIFETIME: Final = 60
"""For how many seconds an assertion is good. The server accepts up to five minutes."""

_NO_HOME: Final = Path("/nonexistent")  # as Debian and systemd name it


class DeviceSupplier:
    """Signs assertions with the key of this machine's enrolment, which is read anew for each."""

    name: Final = "device"

    def __init__(self, server: AuthorizationServer, record: EnrollmentRecord) -> None:
        self._registration = Registration(server, record)
        self._record = record

    @classmethod
    def around(cls, surroundings: Surroundings) -> Self:
        """The supplier of the enrolment that the user has here."""
        server = surroundings.server
        return cls(server, EnrollmentRecord(server.issuer, _home(surroundings)))

    @property
    def marker(self) -> str:
        """See :class:`authserver.client.supplier.Link`."""
        return f"there is an enrolment in {self._record.path}"

    def present(self) -> bool:
        """Whether this machine has enrolled at the issuer, or has begun to."""
        return self._record.exists()

    def absence(self) -> str | None:
        """See :class:`authserver.client.supplier.Link`."""
        return None if self.present() else f"this machine is not enrolled at {self._record.issuer}"

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        del now
        self._record.require(self._registration.current().key)

    def offer(self, now: float) -> Offer:
        """See :class:`authserver.client.supplier.Supplier`.

        :raises CallFailed: the enrolment is not finished, or cannot be used.
        """
        known = self._known()
        key = self._record.require(known.key)
        parameters = {
            "client_id": known.client_id,
            "client_assertion_type": CLIENT_ASSERTION_JWT,
            "client_assertion": _assertion(known, key, now),
        }
        return Offer(Grant.CLIENT_CREDENTIALS, parameters, key)

    def _known(self) -> Enrollment:
        try:
            return self._registration.settle()
        except EnrollmentBusy:
            return self._registration.current()  # a re-key is under way; until it is done, the old key is good


def _home(surroundings: Surroundings) -> Path:
    try:
        return default_home(surroundings.environ)
    except EnrollmentUnusable:  # who has no home, as in many containers, has not enrolled
        return _NO_HOME


def _assertion(known: Enrollment, key: SigningKey, now: float) -> str:
    header = {"typ": "client-authentication+jwt", "alg": key.algorithm, "kid": key.kid}
    claims = {
        "iss": known.client_id,
        "sub": known.client_id,
        "aud": known.issuer,
        "iat": int(now),
        "exp": int(now) + ASSERTION_LIFETIME,
        "jti": secrets.token_urlsafe(16),
    }
    return sign_under(header, key, claims)
