"""The nouns that travel between the rooms: frozen, and free of behaviour that belongs to a room.

Those that every token request makes are named tuples, which are made in less than half of the time that a frozen
dataclass takes: it sets each field by a call. What may be seen of one is what its ``repr`` shows. The log keeps to
that; a tool of others that takes sequences apart does not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from authserver.certificate import ClientCertificate
from authserver.oauth import BEARER, DPOP, JKT, Grant

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

DEVICE_ATTRIBUTES: Final = frozenset(("owner", "platform", "model", "app_id", "attestation"))
"""What rules may match of every device. An invitation adds others, and never one of these."""

ATTRIBUTE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""How an attribute that an invitation gives is spelled."""


class Credential(NamedTuple):
    """What a caller offers as proof of who it is. Nothing in it has been checked.

    It is ``certificate`` where there is one (RFC 8705 section 2), else the token. ``authenticates_client`` says that
    the token is a client assertion (RFC 7523 section 2.2), the only thing a device has; ``is_signed_request`` that it
    is no JWT, but a signed request to AWS; ``is_svid`` that it is a JWT-SVID and nothing else will do.
    """

    unverified_token: str = ""
    unverified_client_id: str | None = None
    authenticates_client: bool = False
    certificate: ClientCertificate | None = None
    is_signed_request: bool = False
    is_svid: bool = False

    def __repr__(self) -> str:
        return _shown(self, "unverified_token")


class Use(NamedTuple):
    """Something of a source that may be used only once, until ``expires_at``, in seconds since the epoch.

    What stands before a full stop in ``token_id``, if there is one, says whose it is. Uses by the same holder can be
    remembered together in one step, wherever they are remembered.
    """

    source: str
    token_id: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A device as it stood in a store. ``version`` is what the store compares to tell whether it has changed since."""

    device: "Device"
    version: tuple[Any, ...] = field(repr=False)


class Subject(NamedTuple):
    """A caller whose credential was verified.

    ``attributes`` are what rules may match, each a tuple of spellings. ``named_only`` holds attributes that
    are dangerous enough that a rule must spell them out to match this caller at all. ``single_use_until`` is the
    instant, in seconds since the epoch, until which the credential must be remembered as used; None if it may be used
    again. ``owner_sub`` and ``registered_id`` are those of a device, and ``key_thumbprint`` is the key that the caller
    must prove (RFC 7638), with a nonce of ours where ``proof_needs_nonce``; None lets it choose one, or none.
    ``certificate_thumbprint`` is that of the certificate that it was known by (RFC 8705 section 3.1).
    ``record`` is what was known of a device, which must still be so when it uses something up; ``is_recalled`` says
    that this is what we remember, and that the store was not asked.
    """

    source: str
    subject: str
    attributes: Mapping[str, tuple[str, ...]]
    credential_id: str
    named_only: Mapping[str, str] = NOTHING
    single_use_until: float | None = None
    owner_sub: str | None = None
    registered_id: str | None = None
    key_thumbprint: str | None = None
    proof_needs_nonce: bool = False
    certificate_thumbprint: str | None = None
    record: DeviceRecord | None = None
    is_recalled: bool = False

    def __repr__(self) -> str:
        return _shown(self, "record")

    @property
    def sub(self) -> str:
        """The ``sub`` claim. The source's name has no colon, so no two sources can produce the same one."""
        return self.owner_sub or f"{self.source}:{self.subject}"

    @property
    def use(self) -> Use | None:
        """What is used up when the credential is; None if it may be used again."""
        if self.single_use_until is None:
            return None
        holder = "" if self.key_thumbprint is None else f"{self.key_thumbprint}."
        return Use(self.source, holder + self.credential_id, self.single_use_until)

    @property
    def client_id(self) -> str:
        """A workload has no identifier besides itself (RFC 9068 section 2.2, ``client_id``)."""
        return self.registered_id or self.sub


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource server that tokens are issued for. ``algorithm`` signs them."""

    name: str
    identifier: str
    scopes: frozenset[str]
    default_scopes: tuple[str, ...]
    algorithm: str
    sender_constrained: bool = False


class TokenRequest(NamedTuple):
    """A token request whose form is right. What it says has not been believed yet.

    ``scope`` is the wire's space-separated string or None; ``proofs`` are the raw ``DPoP`` headers.
    """

    request_id: str
    address: str
    grant: Grant
    credential: Credential
    resources: tuple[str, ...]
    audiences: tuple[str, ...]
    scope: str | None
    proofs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return _shown(self, "proofs")


class Confirmation(NamedTuple):
    """What a token is bound to: ``member`` of its ``cnf`` claim (RFC 7800 section 3.1), such as ``jkt``."""

    member: str
    thumbprint: str

    @property
    def token_type(self) -> str:
        """How the token is presented (RFC 9449 section 5; RFC 8705 section 3 leaves it ``Bearer``)."""
        return DPOP if self.member == JKT else BEARER


class Authorization(NamedTuple):
    """What the rules allow this caller to have now. ``lifetime`` is in seconds."""

    subject: Subject
    resource: Resource
    scope: tuple[str, ...]
    lifetime: int
    rules: tuple[str, ...]


class AccessToken(NamedTuple):
    """A signed access token and what is worth telling about it. Times are seconds since the epoch."""

    value: str
    jti: str
    kid: str
    scope: tuple[str, ...]
    issued_at: int
    expires_at: int
    token_type: str

    def __repr__(self) -> str:
        return _shown(self, "value")

    @property
    def expires_in(self) -> int:
        """Seconds from issue to expiry, for the token response (RFC 6749 section 5.1)."""
        return self.expires_at - self.issued_at


@dataclass(frozen=True, slots=True)
class Invitation:
    """Leave for one device to enrol. ``code_hash`` is all that is kept of the code. Times are seconds since the epoch.

    ``owner`` is whom the device is for, None for nobody. ``platform`` is None where any will do. ``used_by`` is the
    device that it became.
    """

    code_hash: str = field(repr=False)
    source: str
    owner: str | None
    platform: str | None
    attributes: Mapping[str, str]
    created_at: float
    expires_at: float
    used_by: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is enrolled, or was. Times are seconds since the epoch.

    ``sub`` is the ``sub`` of its tokens and ``owner`` what rules match; both follow from the enrolment. ``jwk`` has the
    members of its current public key that its ``thumbprint`` is made of (RFC 7638), and ``key_id`` the ``kid`` that it
    gave this key. ``platform`` to ``app_version`` are its own words, unless an invitation or an attestation fixed them.
    """

    client_id: str
    source: str
    sub: str
    owner: str | None
    jwk: Mapping[str, str]
    thumbprint: str
    created_at: float
    key_id: str | None = None
    name: str | None = None
    platform: str | None = None
    model: str | None = None
    app_id: str | None = None
    app_version: str | None = None
    attestation: str = "none"
    attributes: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    revoked_at: float | None = None


def _shown(noun: tuple[Any, ...], hidden: str) -> str:
    """A noun in words, without the one member that no log may have."""
    members = noun._asdict()  # type: ignore[attr-defined]  # every named tuple has it, and mypy no name for them all
    shown = ", ".join(f"{name}={value!r}" for name, value in members.items() if name != hidden)
    return f"{type(noun).__name__}({shown})"
