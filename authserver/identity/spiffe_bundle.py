"""The trust bundle of a SPIFFE trust domain: the one place where its authorities are known from.

https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md, with section 6 of JWT-SVID.md
and of X509-SVID.md beside it. A bundle is a JWK set whose keys say by ``use`` what they vouch for, and a key never
vouches for anything else. It does not say which trust domain it is of: whoever configures it does.

``spiffe_sequence`` orders the bundles that control planes pass on to one another. Here each one comes from its origin,
so the last one that came counts.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography import x509

from authserver.errors import CredentialRejected
from authserver.identity.certificates import read_certificate
from authserver.jose.fetch import Fetched
from authserver.jose.key_set import KnownKeys, entries_of, usable_keys
from authserver.jose.remote_keys import RemoteKeys
from authserver.jose.verify import Keys

JWT_SVID: Final = "jwt-svid"
X509_SVID: Final = "x509-svid"


class BundleKeys(KnownKeys):
    """The authorities in one bundle: keys that sign JWT-SVIDs, and certificates that X.509-SVIDs lead to.

    There may be none of them: a trust domain that publishes none has revoked all it had (section 4.1.3).
    """

    def __init__(self, document: Mapping[str, Any], algorithms: Sequence[str]) -> None:
        """Keep what is usable, the keys with one of ``algorithms``. What is of another use or malformed is ignored.

        :raises ValueError: it is not a bundle, or has too many keys.
        """
        entries = entries_of(document)
        super().__init__(usable_keys(_for_signatures(entries), algorithms))
        found = [_certificate(entry) for entry in entries if entry.get("use") == X509_SVID]
        self.x509_authorities: Final = tuple(certificate for certificate in found if certificate is not None)


class TrustBundle(RemoteKeys[BundleKeys]):
    """A trust domain's bundle, fetched and renewed as a key set is, but as often as it asks to be."""

    @property
    def jwt_keys(self) -> Keys:
        """The keys of JWT-SVIDs, and of nothing else."""
        return self

    def x509_authorities(self, now: float) -> tuple[x509.Certificate, ...]:
        """The certificates of the authorities of X.509-SVIDs, expired ones among them.

        :raises Unavailable: ``issuer_unreachable``.
        """
        return self.latest(now).x509_authorities

    def _read(self, document: Mapping[str, Any]) -> BundleKeys:
        return BundleKeys(document, self._algorithms)

    def _lifetime(self, fetched: Fetched) -> float:
        # Section 4.1.2: in how many seconds to look again. Where HTTP says something too, the sooner of the two counts.
        hint = fetched.document.get("spiffe_refresh_hint")
        if not isinstance(hint, int) or hint <= 0:
            return super()._lifetime(fetched)
        return hint if fetched.max_age is None else min(hint, fetched.max_age)


def _for_signatures(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The keys of JWT-SVIDs, with the ``use`` that RFC 7517 section 4.2 has for keys that verify signatures."""
    return [{**entry, "use": "sig"} for entry in entries if entry.get("use") == JWT_SVID]


def _certificate(entry: Mapping[str, Any]) -> x509.Certificate | None:
    """The one certificate of an entry; all but the first are ignored (X509-SVID section 6.2)."""
    chain = entry.get("x5c")
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        return None
    try:
        # In base64, and not base64url (RFC 7517 section 4.7).
        return read_certificate(base64.b64decode(chain[0], validate=True))
    except (ValueError, CredentialRejected):
        return None
