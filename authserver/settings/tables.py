"""Every table of the configuration that does not belong to a room: names, types, defaults and bounds."""

import ipaddress
import os
import re
from typing import Annotated, Final, Literal

import limits
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from authserver.oauth import LONGEST_LIFETIME
from authserver.policy.rules import ScopeTokens, SomeScopeTokens, TokenLifetime
from authserver.policy.target import is_absolute_uri
from authserver.settings.urls import bind_address, network, own_issuer
from authserver.table import Duration, Mistake, SecretReference, Strings, Table, different, seconds, within

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
"""The names of environments, resources and sources. Without a colon, so that no ``sub`` is ambiguous."""

NAME_REMEDY: Final = "Use lower-case letters, digits and hyphens, and begin with a letter or a digit."

_LONGEST_SKEW: Final = 60
_REDIS: Final = ("redis:", "rediss:", "redis+sentinel:", "redis+cluster:")
_WRITE_STORE: Final = (
    'Write sqlite: and a path, such as "sqlite:authserver.db" or "sqlite:/var/lib/authserver/store.db".'
)
_WRITE_RATE: Final = 'Write a number and a unit of time, such as "60/minute", or "off".'


def _environment(name: str) -> str:
    if NAME.fullmatch(name) is None:
        raise Mistake("is not a name", NAME_REMEDY)
    return name


def _cores() -> int:
    return os.cpu_count() or 1


def _some_workers(count: int) -> int:
    if count < 1:
        raise Mistake("must be at least 1", "Leave it out for one worker process per core.")
    return count


def _store_url(url: str) -> str:
    if url.startswith(_REDIS):
        raise Mistake("names a Redis store, which this version does not have yet", _WRITE_STORE)
    path = url.removeprefix("sqlite:")
    if path == url or not path or path.startswith(("//", ":")) or not path.isprintable():
        raise Mistake("does not name a store", _WRITE_STORE)
    return url


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
    tuple[Algorithm, ...], Field(strict=False), AfterValidator(_some_algorithm), AfterValidator(different)
]
Bind = Annotated[str, AfterValidator(bind_address)]
Skew = Annotated[int, BeforeValidator(seconds), AfterValidator(within(0, _LONGEST_SKEW))]
Network = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, PlainValidator(network)]
CacheTime = Annotated[int, BeforeValidator(seconds), AfterValidator(within(1, LONGEST_LIFETIME))]


class ServerTable(Table):
    """``[server]``: who this server is, and how it listens. Durations are in seconds."""

    issuer: Annotated[str, AfterValidator(own_issuer)]
    environment: Annotated[str, AfterValidator(_environment)] = "production"
    bind: Bind = "127.0.0.1:8400"
    workers: Annotated[int, AfterValidator(_some_workers)] = Field(default_factory=_cores)
    include: Strings = ()
    clock_skew: Skew = 30
    trusted_proxies: Annotated[tuple[Network, ...], Field(strict=False)] = ()
    insecure_allow_http: bool = False


class StoreTable(Table):
    """``[store]``: where the key ring and what was used once are remembered."""

    url: Annotated[str, AfterValidator(_store_url)] = "sqlite:authserver.db"


class KeysTable(Table):
    """``[keys]``: what tokens are signed with, and how keys change. Durations are in seconds."""

    algorithms: Algorithms = ("ES256", "RS256")
    rotate_every: Duration = 30 * 86400
    publish_ahead: Duration = 86400
    jwks_max_age: CacheTime = 300
    master_key: SecretReference = SecretReference(file="keys/master.key")
    previous_master_keys: Annotated[tuple[SecretReference, ...], Field(strict=False)] = ()


class TokensTable(Table):
    """``[tokens]``: how long an access token may live, in seconds."""

    lifetime: TokenLifetime = LONGEST_LIFETIME


class LimitsTable(Table):
    """``[limits]``: how many failures one address may cause."""

    failures: Annotated[str, AfterValidator(_rate)] = "60/minute"


class TelemetryTable(Table):
    """``[telemetry]``: where metrics are served, apart from everything public."""

    bind: Bind = "127.0.0.1:8401"


class ResourceTable(Table):
    """``[resources.<name>]``: a resource server that tokens are issued for."""

    identifier: Annotated[str, AfterValidator(_identifier)]
    scopes: SomeScopeTokens
    default_scopes: ScopeTokens = ()
    algorithm: Algorithm | None = None
    sender_constrained: bool = False
