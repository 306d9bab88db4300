"""Where the keys of each source are, put together from the configuration."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from authserver.identity.source import JwksTable, JwtSourceTable
from authserver.identity.sources.spiffe import SpiffeTable
from authserver.identity.spiffe_bundle import BundleKeys, TrustBundle
from authserver.jose.discovery import Discovery, openid_metadata_url
from authserver.jose.fetch import Endpoint, Fetched, Fetcher
from authserver.jose.jwks import RemoteKeySet
from authserver.jose.key_file import read_key_file
from authserver.jose.key_set import KnownKeys, StaticKeySet
from authserver.jose.remote_keys import RemoteKeys
from authserver.settings import Settings


def open_key_sets(
    settings: Settings, clock: Callable[[], float], fetched: Callable[[str, str], None] = lambda _source, _outcome: None
) -> dict[str, RemoteKeys[KnownKeys]]:
    """The keys of each source, by its name. None are fetched yet; ``fetched`` is told how each fetch went.

    Those of a ``spiffe`` source are a :class:`TrustBundle`.
    """
    return {
        name: (TrustBundle if isinstance(table, SpiffeTable) else RemoteKeySet)(
            key_fetch(table, settings), table.allowed_algorithms, clock=clock, on_fetch=partial(fetched, name)
        )
        for name, table in settings.jwt_sources.items()
    }


def read_keys(table: JwtSourceTable, document: Mapping[str, Any]) -> KnownKeys:
    """The keys of a source in what :func:`key_fetch` got.

    :raises ValueError: there is none, where there must be one.
    """
    return (BundleKeys if isinstance(table, SpiffeTable) else StaticKeySet)(document, table.allowed_algorithms)


def key_fetch(table: JwtSourceTable, settings: Settings) -> Callable[[], Fetched]:
    """How the keys of a source are had: by discovery at its issuer, from an address, or from a file.

    What it returns raises :class:`Unavailable` when they cannot be had.
    """
    fetcher = Fetcher(insecure_allow_http=settings.server.insecure_allow_http)
    jwks = table.jwks
    if jwks is None:
        return Discovery(fetcher, table.issuer, Endpoint(openid_metadata_url(table.issuer)))
    if jwks.file is not None:
        file = settings.base / jwks.file
        return lambda: read_key_file(file)
    endpoint = _endpoint(jwks, settings.base)
    return lambda: fetcher.get_json(endpoint)


def _endpoint(jwks: JwksTable, base: Path) -> Endpoint:
    return Endpoint(
        url=jwks.url or "",
        ca_file=base / jwks.ca_file if jwks.ca_file else None,
        bearer_token_file=base / jwks.bearer_token_file if jwks.bearer_token_file else None,
    )
