"""Who somebody would be that has certain claims, or is a certain device: for explaining, and never for granting."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from authserver.identity.source import JwtSource
from authserver.identity.sources.device import device_attributes
from authserver.jose.jwk import SigningKey, export_public, generate
from authserver.jose.key_set import StaticKeySet
from authserver.jose.sign import sign
from authserver.model import Device, Subject

_ALGORITHM: Final = "ES256"
_KEY_ID: Final = "supposed"

ENVELOPE: Final = frozenset(("iss", "aud", "exp", "nbf", "iat"))
"""The claims that say from whom a token is, for whom and when, and not who the caller is."""


def suppose(source: JwtSource, unverified_claims: Mapping[str, Any], now: float) -> tuple[JwtSource, str]:
    """A source like ``source``, and a token with these claims that has a signature which that source believes.

    The token is signed with a key that exists for this call alone, and that the source made here knows alone, so that
    no way around verification is needed to read claims. An issuer, an audience, an ``iat`` or an ``exp`` that the
    claims do not have is a good one, so far as the other times leave room for one. ``now`` is in seconds since the
    epoch.
    """
    key = SigningKey(_KEY_ID, _ALGORITHM, generate(_ALGORITHM))
    published = export_public(key.private.public_key(), kid=_KEY_ID, algorithm=_ALGORITHM)
    supposed = replace(
        source,
        keys=StaticKeySet({"keys": [published]}, (_ALGORITHM,)),
        table=source.table.model_copy(update={"algorithms": (_ALGORITHM,), "single_use": False}),
    )
    return supposed, sign(key, "JWT", {**_good(source, unverified_claims, now), **unverified_claims})


def suppose_device(device: Device) -> Subject:
    """The caller that a device would be if it had signed an assertion that is believed."""
    return Subject(
        source=device.source,
        subject=device.sub,
        attributes=device_attributes(device),
        credential_id="",
        owner_sub=device.sub,
        registered_id=device.client_id,
        key_thumbprint=device.thumbprint,
    )


def _good(source: JwtSource, unverified_claims: Mapping[str, Any], now: float) -> Mapping[str, Any]:
    issued = unverified_claims.get("iat")
    lives_from = now if isinstance(issued, bool) or not isinstance(issued, int | float) else issued
    longest = source.table.max_age
    # The longest life that the source allows, but not over yet, so that a bad `iat` is refused and not this.
    expires = int(min(max(lives_from + longest, now - source.skew + 1), now + longest))
    return {"iss": source.table.issuer or source.issuer, "aud": source.audience, "iat": int(now), "exp": expires}
