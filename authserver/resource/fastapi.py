"""FastAPI's part of :mod:`authserver.resource.asgi`, which imports it where FastAPI looks at a dependency."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from fastapi.openapi.models import HTTPBase
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from authserver.oauth import BEARER, DPOP
from authserver.resource.adapter import Denied
from authserver.resource.asgi_admission import Admission
from authserver.resource.requirement import Needs
from authserver.resource.starlette import RequestRefused, read_form
from authserver.resource.token import VerifiedToken

_BOUND: Final = "sent as `Authorization: DPoP`, with a proof of that key in the header `DPoP` (RFC 9449)"


class Dependency(SecurityBase):
    """What ``Depends(api.requires(...))`` runs, and what the OpenAPI document says of it."""

    def __init__(self, api: Admission, needs: Needs) -> None:
        only = api.sender_constrained
        self.model = HTTPBase(
            scheme=(DPOP if only else BEARER).lower(),
            description=f"An access token of {api.issuer} for {api.audience}. "
            + (f"It is bound to a key and {_BOUND}." if only else f"One that is bound to a key is {_BOUND}."),
        )
        self.scheme_name = "AccessToken"
        self._api = api
        self._needs = needs

    async def __call__(self, connection: HTTPConnection) -> AsyncIterator[VerifiedToken | None]:
        """The verified token, which is also the current one until the request has been answered."""
        try:
            accepted = await self._api.admit(connection.scope, self._needs, connection, partial(read_form, connection))
        except Denied as denied:
            raise RequestRefused(denied.answer) from None
        token = accepted and accepted.token
        with self._api.during(token):
            yield token
