"""The nouns that travel between the rooms: frozen, and free of behaviour that belongs to a room."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from authserver.oauth import Grant

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Credential:
    """What a caller offers as proof of who it is. Nothing in it has been checked."""

    unverified_token: str = field(repr=False)
    unverified_client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A caller whose credential was verified.

    ``attributes`` are what rules may match, each a tuple of spellings. ``named_only`` holds attributes that
    are dangerous enough that a rule must spell them out to match this caller at all. ``single_use_until`` is the
    instant, in seconds since the epoch, until which the credential must be remembered as used; None if it may be used
    again.
    """

    source: str
    subject: str
    attributes: Mapping[str, tuple[str, ...]]
    credential_id: str
    named_only: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    single_use_until: float | None = None

    @property
    def sub(self) -> str:
        """The ``sub`` claim. The source's name has no colon, so no two sources can produce the same one."""
        return f"{self.source}:{self.subject}"

    @property
    def client_id(self) -> str:
        """A workload has no identifier besides itself (RFC 9068 section 2.2, ``client_id``)."""
        return self.sub


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource server that tokens are issued for. ``algorithm`` signs them."""

    name: str
    identifier: str
    scopes: frozenset[str]
    default_scopes: tuple[str, ...]
    algorithm: str
    sender_constrained: bool = False


@dataclass(frozen=True, slots=True)
class TokenRequest:
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
    proofs: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the rules allow this caller to have now. ``lifetime`` is in seconds."""

    subject: Subject
    resource: Resource
    scope: tuple[str, ...]
    lifetime: int
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed access token and what is worth telling about it. Times are seconds since the epoch."""

    value: str = field(repr=False)
    jti: str
    kid: str
    scope: tuple[str, ...]
    issued_at: int
    expires_at: int
    token_type: str

    @property
    def expires_in(self) -> int:
        """Seconds from issue to expiry, for the token response (RFC 6749 section 5.1)."""
        return self.expires_at - self.issued_at
