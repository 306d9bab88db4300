"""An issuer's key set in the form of RFC 7517."""

from collections.abc import Mapping
from typing import Any

from authserver.jose.key_set import StaticKeySet
from authserver.jose.remote_keys import RemoteKeys


class RemoteKeySet(RemoteKeys[StaticKeySet]):
    """Keys that an issuer publishes as a JWK set (RFC 7517 section 5)."""

    def _read(self, document: Mapping[str, Any]) -> StaticKeySet:
        return StaticKeySet(document, self._algorithms)
