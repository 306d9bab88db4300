"""What the application of the contract does, whichever framework it is written in.

| path | needs | answers |
|---|---|---|
| ``/images``, ``/images/<name>`` | ``images:read`` | who calls, and the name |
| ``/both`` | ``images:read`` and ``images:write`` | the same |
| ``/either`` | one of ``images:write`` and ``images:admin`` | the same |
| ``/anybody`` | a token | the same |
| ``/optional`` | nothing; a token is looked at | the same |
| ``/albums/<name>`` | ``images:read:<name>``, by a callable | the same |
| ``/twice`` | ``images:read``, and then once more | the same |
| ``/body`` | ``images:read`` | the body, as the view reads it |
| ``/open`` | nothing | whether there is a token |
| ``/broken`` | a token | nothing: the view makes a mistake |
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from authserver.resource import VerifiedToken
from tests.resource.adapters.wire import Application

BOTH: Final = ("images:read", "images:write")
EITHER: Final = ("images:write", "images:admin")


class Api(Protocol):
    """What the resource servers of all adapters have in common."""

    @property
    def token(self) -> VerifiedToken: ...

    @property
    def optional_token(self) -> VerifiedToken | None: ...


@dataclass(frozen=True)
class Whole:
    """An application that is protected as a whole: what it needs, and which paths do not."""

    needs: tuple[str, ...] = ("images:read",)
    exempt: tuple[str, ...] = ("/health", "/static/*")
    options: Mapping[str, Any] = field(default_factory=dict)


Make = Callable[..., Application]
"""Makes the application of the contract; the arguments are those of a resource server."""


def seen(token: VerifiedToken | None, name: str = "") -> dict[str, str | None]:
    """What a view answers."""
    caller, device = (None, None) if token is None else (token.subject, token.thumbprint)
    return {"caller": caller, "device": device, "name": name}


def has_token(api: Api) -> dict[str, bool]:
    """Whether a view that is not protected sees a token."""
    try:
        return {"token": bool(api.token)}
    except RuntimeError:
        return {"token": False}


def optional_token(api: Api) -> VerifiedToken | None:
    """The token, in a view that is exempt or not."""
    try:
        return api.optional_token
    except RuntimeError:
        return None
