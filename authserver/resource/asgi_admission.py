"""Whether a request that came over ASGI is let in. For :mod:`authserver.resource.asgi` and its frameworks."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from authserver.errors import Refused, Unavailable
from authserver.resource.adapter import Adapter, Denied, has_token
from authserver.resource.asgi_messages import (
    Message,
    Receive,
    Scope,
    Send,
    api_request,
    has_short_form,
    send_answer,
    with_headers,
)
from authserver.resource.challenge import Answer
from authserver.resource.credential import ApiRequest
from authserver.resource.requirement import Needs
from authserver.resource.token import Accepted

_ACCEPTED: Final = "authserver.accepted"

_NOT_ALLOWED: Final = Answer(405, (("Allow", "GET, HEAD"), ("Content-Type", "application/json")), b"{}")


class Admission(Adapter):
    """Lets requests in, by what their scope says of them."""

    async def admit(
        self, scope: Scope, needs: Needs, request: object, read: Callable[[], Awaitable[bytes]]
    ) -> Accepted | None:
        """What a request was accepted with; None if it has no token and needs none.

        ``request`` is what callables are asked with. ``read`` returns the body; it is called for a short form only.

        :raises Denied: it was refused.
        """
        requirement = needs.of(request)
        accepted: dict[Admission, Accepted] = scope.setdefault(_ACCEPTED, {})
        headers = await self._described(scope, read)
        try:
            now = await self.protection.check_async(headers, requirement, accepted.get(self))
        except (Refused, Unavailable) as error:
            raise Denied(self.protection.refuse(error, headers, requirement)) from None
        if now is not None:
            accepted[self] = now
        return now

    def hand_over(self, scope: Scope, send: Send) -> Send:
        """Send with the headers that come with the token of the request, if one is accepted until then."""
        accepted: dict[Admission, Accepted] = scope.setdefault(_ACCEPTED, {})

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept") and self in accepted:
                message = with_headers(message, accepted[self].headers)
            await send(message)

        return send_with_headers

    async def serve_metadata(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve the metadata document (RFC 9728), as an ASGI application."""
        allowed = scope["method"] in ("GET", "HEAD")
        await send_answer(self.protection.metadata if allowed else _NOT_ALLOWED, scope, send)

    async def _described(self, scope: Scope, read: Callable[[], Awaitable[bytes]]) -> ApiRequest:
        # A form is read only where there is a token that it could repeat: nobody else makes anybody wait for a body.
        described = api_request(scope, self.protection.address, self.protection.certificates)
        if not described.authorization or not has_short_form(scope):
            return described
        return replace(described, token_in_form=has_token((await read()).decode("latin-1")))
