"""The built-in resource: our own issuer, whose scopes guard our own endpoints.

It exists without being configured, and ordinary rules grant its scopes. Nothing else can be granted on it.
"""

from collections.abc import Iterable
from typing import Final

from authserver.model import Resource

NAME: Final = "this server"
"""What it is called beside the configured resources, none of which can have a name with a space."""


def introspection_scope(resource: str) -> str:
    """The scope that lets a caller ask about the tokens for ``[resources.<resource>]``."""
    return f"introspect:{resource}"


def invitation_scope(source: str) -> str:
    """The scope that lets a caller invite devices to ``[sources.<source>]``."""
    return f"devices:invite:{source}"


def management_scope(source: str) -> str:
    """The scope that lets a caller list and revoke the devices of ``[sources.<source>]``."""
    return f"devices:manage:{source}"


def scopes(resources: Iterable[str], device_sources: Iterable[str]) -> frozenset[str]:
    """Every scope there is at the built-in resource, when these are the names of what is configured."""
    guards = [guard(source) for source in device_sources for guard in (invitation_scope, management_scope)]
    return frozenset((*map(introspection_scope, resources), *guards))


def built_in_resource(issuer: str, resources: Iterable[str], device_sources: Iterable[str], algorithm: str) -> Resource:
    """The resource whose identifier is ``issuer``; its tokens are signed with ``algorithm``."""
    return Resource(NAME, issuer, scopes(resources, device_sources), default_scopes=(), algorithm=algorithm)
