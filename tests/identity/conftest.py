"""One issuer, one clock, and a way to try a token at a source of any type."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.identity.authenticate import Identity
from authserver.identity.source import JwtSource, JwtSourceTable
from authserver.identity.sources import SOURCES
from authserver.jose.key_set import StaticKeySet
from authserver.model import Credential, Subject, Use
from authserver.testing import FakeIssuer, FrozenClock

AUDIENCE = "https://auth.example.com"
JWT_SOURCES = {kind: table for kind, table in SOURCES.items() if issubclass(table, JwtSourceTable)}
"""The types of source whose callers bring a token of another issuer."""
NEEDED: dict[str, dict[str, Any]] = {"spiffe": {"trust_domain": "example.org", "bundle": {"file": "bundle.json"}}}
"""What a type cannot do without, besides what all have in common."""
SKEW = 30
TENANT = "9bc0d1aa-0000-4000-8000-000000000001"
"""In the issuer of every test, because a source of type azure reads it there."""


class Remembered:
    """A replay memory that forgets nothing."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        """See ReplayStore."""
        assert expires_at > now
        if (source, token_id) in self.seen:
            raise CredentialRejected(Reason.USED_TWICE)
        self.seen.add((source, token_id))

    def use_together(self, uses: Sequence[Use], now: float) -> Use | None:
        """See ReplayStore."""
        assert all(use.expires_at > now for use in uses)
        used = next((use for use in uses if (use.source, use.token_id) in self.seen), None)
        if used is None:
            self.seen.update((use.source, use.token_id) for use in uses)
        return used


@pytest.fixture
def clock() -> FrozenClock:
    """The time of every test."""
    return FrozenClock()


@pytest.fixture
def issuer(clock: FrozenClock) -> Iterator[FakeIssuer]:
    """An issuer with an EC key."""
    with FakeIssuer(algorithms=("ES256",), clock=clock, path=f"/{TENANT}/v2.0") as issuer:
        yield issuer


@pytest.fixture
def source(issuer: FakeIssuer) -> Callable[..., JwtSource]:
    """Make a source of a type that trusts the issuer; other settings can be given."""

    def make(kind: str, /, *, name: str = "here", **settings: Any) -> JwtSource:
        described = {"type": kind, "issuer": issuer.issuer, "audience": AUDIENCE, "algorithms": ["ES256", "RS256"]}
        table = JWT_SOURCES[kind].model_validate({**described, **NEEDED.get(kind, {}), **settings})
        keys = StaticKeySet(issuer.jwks, table.allowed_algorithms)
        return JwtSource(name, table, keys, SKEW)

    return make


@pytest.fixture
def authenticate(source: Callable[..., JwtSource], clock: FrozenClock) -> Callable[..., Subject]:
    """Authenticate a token at a source of a type."""

    def authenticate(kind: str, token: str, **settings: Any) -> Subject:
        return Identity([source(kind, **settings)], Remembered()).authenticate(Credential(token), clock())

    return authenticate
