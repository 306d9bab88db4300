"""Protect an ASGI application with access tokens: FastAPI, Starlette, or no framework at all.

    api = ResourceServer(issuer="https://auth.example.com", audience="https://images.example.com")

    @app.get("/images")                                                    # FastAPI
    async def images(token: Annotated[VerifiedToken, Depends(api.requires("images:read"))]):
        return {"owner": token.subject}

    @api.requires("images:read")                                           # Starlette
    async def images(request):
        return JSONResponse({"owner": api.token.subject})

    api.init_app(app)

    app = api.middleware(app, "images:read", exempt=["/health"])           # any ASGI application, as a whole

Needs the base install only. A framework is imported when something of it is protected, and not before.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from authserver.resource.adapter import Denied
from authserver.resource.asgi_admission import Admission
from authserver.resource.asgi_messages import (
    Application,
    Receive,
    Scope,
    Send,
    read_form,
    route_path,
    send_answer,
)
from authserver.resource.requirement import Need, Needs


class ResourceServer(Admission):
    """One API and the authorization server whose tokens it accepts.

    ``issuer``, ``audience`` and ``options`` are those of :class:`~authserver.resource.protection.Protection`.

    Needs no application and no event loop, and may serve several of both. Nothing here ever holds an event loop.

    :raises ValueError: a setting cannot be used.
    """

    def requires(self, *needs: Need, any_of: Sequence[Need] = (), optional: bool = False) -> "Guard":
        """What lets a request pass only with a token that has all of ``needs``, and one of ``any_of`` if there are any.

        It decorates an endpoint of Starlette, and is a dependency for ``Depends`` of FastAPI. Without either, any valid
        token will do. A need is a scope, or a callable that gets Starlette's request and returns scopes. With
        ``optional`` a request without credentials passes, and its token is None.

        :raises ValueError: a scope is malformed.
        """
        return Guard(self, Needs(*needs, any_of=any_of, optional=optional))

    def middleware(
        self,
        app: Application,
        *needs: Need,
        any_of: Sequence[Need] = (),
        optional: bool = False,
        exempt: Iterable[str] = (),
    ) -> Application:
        """An application that is ``app`` for requests that :meth:`requires` would let pass, WebSockets among them.

        A callable among ``needs`` gets the scope of ASGI. ``exempt`` are paths that need no token: exact ones, or
        ending in ``/*`` everything below. The metadata document (RFC 9728) is served, and always exempt. Starlette and
        FastAPI take it as ``app.add_middleware(api.middleware, "images:read", exempt=["/health"])``.

        :raises ValueError: a scope or a path cannot be used.
        """
        needed = Needs(*needs, any_of=any_of, optional=optional)
        exemptions = self.protection.exemptions(exempt)

        async def protected(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":  # nobody's request; every other type is, known here or not
                await app(scope, receive, send)
            elif scope["type"] == "http" and route_path(scope) == self.protection.metadata_path:
                await self.serve_metadata(scope, receive, send)
            elif exemptions.covers(route_path(scope)):
                await app(scope, receive, send)
            else:
                await self._pass(app, needed, scope, receive, send)

        return protected

    def init_app(self, app: Application) -> None:
        """Serve the metadata document (RFC 9728 section 3), write refusals as ours, and hand out nonces (RFC 9449).

        ``app`` is an application of Starlette or FastAPI that has not served anything yet. Without this, status and
        challenge of a refusal by a dependency are the same, with FastAPI's own body, and a device gets its next nonce
        only with a refusal.

        :raises TypeError: ``app`` is another application.
        """
        from authserver.resource.starlette import prepare  # only where there is a Starlette to import

        prepare(app, self)

    async def _pass(self, app: Application, needs: Needs, scope: Scope, receive: Receive, send: Send) -> None:
        async def read() -> bytes:
            nonlocal receive
            form, receive = await read_form(receive)
            return form

        try:
            accepted = await self.admit(scope, needs, scope, read)
        except Denied as denied:
            await send_answer(denied.answer, scope, send)
            return
        with self.during(accepted and accepted.token):
            await app(scope, receive, self.hand_over(scope, send))


class Guard:
    """What :meth:`ResourceServer.requires` returns: a decorator for Starlette, and a dependency for FastAPI."""

    def __init__(self, api: ResourceServer, needs: Needs) -> None:
        self.api = api
        self.needs = needs
        self._dependency: Callable[..., Any] | None = None

    def __call__(self, endpoint: Callable[..., Any] | None = None, /, **injected: Any) -> Any:
        """Decorate ``endpoint``; or be the dependency, when FastAPI calls with what the signature asks for."""
        if endpoint is None:
            return self.__wrapped__(**injected)
        from authserver.resource.starlette import protect  # only where there is a Starlette to import

        return protect(endpoint, self.api, self.needs)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        # FastAPI looks through wrappers for the signature, the kind of callable and the security scheme.
        if self._dependency is None:
            try:
                from authserver.resource.fastapi import Dependency
            except ModuleNotFoundError as error:
                raise AttributeError("__wrapped__") from error
            self._dependency = Dependency(self.api, self.needs)
        return self._dependency
