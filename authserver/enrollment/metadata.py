"""What a device says of itself when it registers: client metadata (RFC 7591 section 2) and the device's own words.

A member that is not known is ignored, and ``null`` is as good as absent, as the RFC has it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from authserver.enrollment.attest import Statement, read_statement
from authserver.enrollment.rules import is_text
from authserver.errors import MetadataRefused, Reason
from authserver.jose.jwk import import_public, public_members, thumbprint
from authserver.oauth import DPOP_ALGORITHMS, Grant

AUTH_METHOD: Final = "private_key_jwt"
"""How every device authenticates at the token endpoint (OpenID Connect Core section 9)."""

GRANT_TYPES: Final = (Grant.CLIENT_CREDENTIALS.value,)
"""The grants that a device can use."""

OWN_WORDS: Final = ("platform", "model", "app_id", "app_version")
"""The members of ``device``, each of which may be left out."""

_ONLY: Final[Mapping[str, object]] = {
    "token_endpoint_auth_method": AUTH_METHOD,
    "grant_types": list(GRANT_TYPES),
    "redirect_uris": [],
    "response_types": [],
}
"""Members that may be left out, and have one value that will do."""

_NEVER: Final = ("jwks_uri", "client_secret")


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """The public key of a device: the members that its thumbprint is made of, and the ``kid`` that the device gave."""

    jwk: Mapping[str, str]
    thumbprint: str
    key_id: str | None


@dataclass(frozen=True, slots=True)
class DeviceMetadata:
    """What a device says of itself. Only the form of it was checked.

    ``source`` is the device source that it wants to belong to, None where it leaves that to us.
    """

    key: DeviceKey
    source: str | None
    name: str | None
    platform: str | None
    model: str | None
    app_id: str | None
    app_version: str | None
    attestation: Statement | None


def read_metadata(document: Mapping[str, Any]) -> DeviceMetadata:
    """Read the body of a registration.

    :raises MetadataRefused: with the first member that cannot be registered.
    """
    _refuse_unsupported(document)
    device = document.get("device")
    if not isinstance(device, Mapping | None):
        raise _malformed("device")
    platform, model, app_id, app_version = (_text(device or {}, member) for member in OWN_WORDS)
    return DeviceMetadata(
        key=read_key(document),
        source=_text(document, "source"),
        name=_text(document, "client_name"),
        platform=platform,
        model=model,
        app_id=app_id,
        app_version=app_version,
        attestation=read_statement(document.get("attestation")),
    )


def read_key(document: Mapping[str, Any]) -> DeviceKey:
    """Read ``jwks``, which has exactly one public key, of an algorithm that proofs can be made with.

    :raises MetadataRefused: ``metadata_malformed`` or ``key_unsuitable``.
    """
    jwks = document.get("jwks")
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(keys, list) or len(keys) != 1 or not isinstance(keys[0], Mapping):
        raise _malformed("jwks")
    (jwk,) = keys
    key_id = jwk.get("kid")
    if key_id is not None and not is_text(key_id):
        raise _malformed("jwks")
    try:
        import_public(jwk, DPOP_ALGORITHMS)
    except ValueError as error:
        raise MetadataRefused(Reason.KEY_UNSUITABLE) from error
    return DeviceKey(public_members(jwk), thumbprint(jwk), key_id)


def _refuse_unsupported(document: Mapping[str, Any]) -> None:
    for member, value in _ONLY.items():
        if document.get(member) not in (None, value):
            raise MetadataRefused(Reason.METADATA_UNSUPPORTED, member=member)
    for member in _NEVER:
        if document.get(member) is not None:
            raise MetadataRefused(Reason.METADATA_UNSUPPORTED, member=member)


def _text(document: Mapping[str, Any], member: str) -> str | None:
    value = document.get(member)
    if value is not None and not is_text(value):
        raise _malformed(member)
    return value


def _malformed(member: str) -> MetadataRefused:
    return MetadataRefused(Reason.METADATA_MALFORMED, member=member)
