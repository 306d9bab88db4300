"""Every table of the configuration that does not belong to a room: names, types, defaults and bounds."""

import ipaddress
import os
import re
from typing import Annotated, Final, Literal

import limits
from pydantic import AfterValidator, Field, PlainValidator

from authserver.oauth import LONGEST_LIFETIME
from authserver.policy.rules import ScopeTokens, SomeScopeTokens, TokenLifetime
from authserver.policy.target import is_absolute_uri
from authserver.settings.store import StoreTable as StoreTable
from authserver.settings.urls import bind_address, network, own_issuer, web_origin
from authserver.table import IN_SECONDS, Duration, Keywords, Mistake, SecretReference, Strings, Table, different, within

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
"""The names of environments, resources and sources. Without a colon, so that no ``sub`` is ambiguous."""

NAME_REMEDY: Final = "Use lower-case letters, digits and hyphens, and begin with a letter or a digit."

_LONGEST_SKEW: Final = 60
_WRITE_RATE: Final = 'Write a number and a unit of time, such as "60/minute", or "off".'


def _name(name: str) -> str:
    if NAME.fullmatch(name) is None:
        raise Mistake("is not a name", NAME_REMEDY)
    return name


def _cores() -> int:
    return os.cpu_count() or 1


def _some_workers(count: int) -> int:
    if count < 1:
        raise Mistake("must be at least 1", "Leave it out for one worker process per core.")
    return count


def _rate(rate: str) -> str:
    if rate == "off":
        return rate
    try:
        (limit,) = limits.parse_many(rate)
    except ValueError as error:
        raise Mistake("is not a rate", _WRITE_RATE) from error
    if not (limit.amount and limit.multiples):
        raise Mistake("would allow nothing", _WRITE_RATE)
    return rate


def _identifier(identifier: str) -> str:
    # RFC 7519 section 2, StringOrURI: what has a colon must be a URI.
    if not identifier or not identifier.isprintable() or identifier != identifier.strip():
        raise Mistake("is not an identifier", "Write it without control characters, and without spaces at its ends.")
    if ":" in identifier and not is_absolute_uri(identifier):
        raise Mistake("has a colon and is not an absolute URI without fragment", 'Write "https://images.example.com".')
    return identifier


def _some_algorithm(algorithms: tuple[str, ...]) -> tuple[str, ...]:
    if not algorithms:
        raise Mistake("is an empty list", 'Name at least one algorithm, such as "ES256".')
    return algorithms


Algorithm = Literal["ES256", "RS256", "EdDSA"]
Algorithms = Annotated[
    tuple[Algorithm, ...],
    Field(strict=False),
    AfterValidator(_some_algorithm),
    AfterValidator(different),
    Keywords({"minItems": 1, "uniqueItems": True}),
]
Bind = Annotated[str, AfterValidator(bind_address), Keywords({"pattern": ":[0-9]{1,5}$"})]
Skew = Annotated[int, IN_SECONDS, AfterValidator(within(0, _LONGEST_SKEW))]
Network = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, PlainValidator(network, json_schema_input_type=str)]
CacheTime = Annotated[int, IN_SECONDS, AfterValidator(within(1, LONGEST_LIFETIME))]
Name = Annotated[str, AfterValidator(_name), Keywords({"pattern": f"^{NAME.pattern}$"})]
OwnIssuer = Annotated[
    str, AfterValidator(own_issuer), Keywords({"pattern": "^[A-Za-z]+://[^?#@A-Z/]+(/[^?#]*[^?#/])?$"})
]
Origin = Annotated[str, AfterValidator(web_origin), Keywords({"pattern": "^https?://[^/?#@*A-Z]+$"})]
Origins = Annotated[tuple[Origin, ...], Field(strict=False), AfterValidator(different), Keywords({"uniqueItems": True})]
Workers = Annotated[int, AfterValidator(_some_workers), Keywords({"minimum": 1})]


class TlsTable(Table):
    """What this server shows of itself where it speaks TLS on its own, without a proxy before it."""

    cert_file: str = Field(min_length=1)
    """The path of its certificate and of those between it and an authority, in PEM."""
    key_file: str = Field(min_length=1)
    """The path of the private key of the certificate, in PEM and not encrypted."""


class ServerTable(Table):
    """``[server]``: who this server is, and how it listens. Durations are in seconds."""

    issuer: OwnIssuer
    """The `iss` of every token and the base of every published address."""
    environment: Name = "production"
    """The name of this environment, in every audit event."""
    bind: Bind = "127.0.0.1:8400"
    """The address to listen on, as `host:port`."""
    workers: Workers = Field(default_factory=_cores)
    """Worker processes."""
    include: Strings = ()
    """Patterns for files that hold `[[allow]]`, `[[expect]]` and `[[silence]]` tables and nothing else."""
    clock_skew: Skew = 30
    """How far clocks may differ."""
    trusted_proxies: Annotated[tuple[Network, ...], Field(strict=False)] = ()
    """The proxies whose `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Request-Id` and `Client-Cert` are believed."""
    tls: TlsTable | None = None
    """The certificate to speak TLS with; without it the server speaks plain HTTP, for a proxy before it."""
    allowed_origins: Origins = ()
    """The origins of browser pages that may call `/token`, `/revoke`, `/register` and `/devices`, and read metadata."""
    insecure_allow_http: bool = False
    """For a development machine: the issuer, the addresses of sources and origins may be http, on loopback only."""


class KeysTable(Table):
    """``[keys]``: what tokens are signed with, and how keys change. Durations are in seconds."""

    algorithms: Algorithms = ("ES256", "RS256")
    """Each is kept ready to sign."""
    rotate_every: Duration = 30 * 86400
    """How long a key signs before the next one takes over."""
    publish_ahead: Duration = 86400
    """How long a key is published before it signs."""
    jwks_max_age: CacheTime = 300
    """The most that `Cache-Control` says of the published keys."""
    master_key: SecretReference = SecretReference(file="keys/master.key")
    """Wraps every private key at rest."""
    previous_master_keys: Annotated[tuple[SecretReference, ...], Field(strict=False)] = ()
    """Master keys that still unwrap what they have wrapped, while the master key is being replaced."""


class TokensTable(Table):
    """``[tokens]``: how long an access token may live, in seconds."""

    lifetime: TokenLifetime = LONGEST_LIFETIME
    """How long an access token lives, and the most that any rule may give."""


class LimitsTable(Table):
    """``[limits]``: how many failures one address may cause."""

    failures: Annotated[str, AfterValidator(_rate)] = "60/minute"
    """How many failures one address may cause, in each process, before it is answered 429."""


class TelemetryTable(Table):
    """``[telemetry]``: where metrics are served, apart from everything public."""

    bind: Bind = "127.0.0.1:8401"
    """The address that `GET /metrics` is served on, as `host:port`, for all worker processes together."""


class ResourceTable(Table):
    """``[resources.<name>]``: a resource server that tokens are issued for."""

    identifier: Annotated[str, AfterValidator(_identifier)]
    """The `aud` of its tokens."""
    scopes: SomeScopeTokens
    """Every scope that exists at this resource."""
    default_scopes: ScopeTokens = ()
    """What a request that names no scope asks for; rules must grant it all the same."""
    algorithm: Algorithm | None = None
    """What its tokens are signed with."""
    sender_constrained: bool = False
    """Whether only tokens that are bound to a key of the caller are issued for it."""
