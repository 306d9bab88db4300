"""Protect a Django application with access tokens.

    api = ResourceServer(issuer="https://auth.example.com", audience="https://images.example.com")

    @api.requires("images:read")
    def images(request):                       # or async def
        return JsonResponse({"owner": api.token.subject})

    urlpatterns = [path("images", images), *api.urls]

Or the whole application, by its settings: :class:`Middleware` in ``MIDDLEWARE``, and ``AUTHSERVER``.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cache, wraps
from typing import Any, Final, TypeAlias

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import URLPattern, re_path

from authserver.errors import Refused, Unavailable
from authserver.resource.adapter import Adapter, Denied
from authserver.resource.credential import ApiRequest
from authserver.resource.django_messages import Response, api_request
from authserver.resource.requirement import Need, Needs
from authserver.resource.token import Accepted, VerifiedToken

View: TypeAlias = Callable[..., Any]
GetResponse: TypeAlias = Callable[[HttpRequest], Any]

_OF_MIDDLEWARE: Final = ("requires", "any_of", "optional", "exempt")


class ResourceServer(Adapter):
    """One API and the authorization server whose tokens it accepts.

    ``issuer``, ``audience`` and ``options`` are those of :class:`~authserver.resource.protection.Protection`.

    A request that was let in has its token in ``request.authserver_token`` as well. Under ASGI nothing here ever holds
    the event loop.

    :raises ValueError: a setting cannot be used.
    """

    def requires(self, *needs: Need, any_of: Sequence[Need] = (), optional: bool = False) -> Callable[[View], View]:
        """Let a view run only for a token that has all that it ``needs``, and one of ``any_of`` if there are any.

        A need is a scope, or a callable that gets Django's request and returns one or several. Without any, each valid
        token will do. With ``optional`` the view also runs without credentials; all other views are then exempt from
        Django's check for forged cross-site requests, because no browser adds a token to a request by itself.

        A class of views is decorated with ``method_decorator(api.requires("images:read"), name="dispatch")``.

        :raises ValueError: a scope is malformed.
        """
        declared = Needs(*needs, any_of=any_of, optional=optional)

        def protect(view: View) -> View:
            protected = _asynchronous(self, declared, view)
            if not iscoroutinefunction(view):
                protected = _synchronous(self, declared, view, protected)
            protected.csrf_exempt = not optional or getattr(view, "csrf_exempt", False)  # type: ignore[attr-defined]
            return protected

        return protect

    def middleware(
        self, *needs: Need, any_of: Sequence[Need] = (), optional: bool = False, exempt: Iterable[str] = ()
    ) -> "MiddlewareFactory":
        """A middleware that protects all of an application, for a name in a module that ``MIDDLEWARE`` lists.

        ``exempt`` are paths that are open to everybody: exact ones, or with ``/*`` at the end all below. The metadata
        document is served, and always open. Views may require more of their own.

        :raises ValueError: a scope or a path is malformed.
        """
        return MiddlewareFactory(self, Needs(*needs, any_of=any_of, optional=optional), exempt)

    @property
    def urls(self) -> list[URLPattern]:
        """The route of the metadata document (RFC 9728 section 3), for the root of ``urlpatterns``."""
        path = self.protection.metadata_path
        return [] if path is None else [re_path(f"^{re.escape(path[1:])}$", self.serve_metadata)]

    def serve_metadata(self, request: HttpRequest) -> HttpResponse:
        """The view of the metadata document."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(("GET", "HEAD"))
        return Response(self.protection.metadata)

    def admit(self, request: HttpRequest, needs: Needs) -> VerifiedToken | None:
        """The token of a request that is let in; None if it has none and needs none.

        :raises Denied: it is refused.
        """
        requirement, described = needs.of(request), self._described(request)
        try:
            accepted = self.protection.check(described, requirement, _accepted(request).get(self))
        except (Refused, Unavailable) as error:
            raise Denied(self.protection.refuse(error, described, requirement)) from None
        return self._let_in(request, accepted)

    async def admit_async(self, request: HttpRequest, needs: Needs) -> VerifiedToken | None:
        """What :meth:`admit` does, without ever holding the event loop."""
        requirement, described = needs.of(request), self._described(request)
        try:
            accepted = await self.protection.check_async(described, requirement, _accepted(request).get(self))
        except (Refused, Unavailable) as error:
            raise Denied(self.protection.refuse(error, described, requirement)) from None
        return self._let_in(request, accepted)

    def finish(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The response of a view, with the headers that come with the token of its request."""
        accepted = _accepted(request).get(self)
        for name, value in accepted.headers if accepted else ():
            response.headers[name] = value
        return response

    def _described(self, request: HttpRequest) -> ApiRequest:
        return api_request(request, self.protection.address, self.protection.certificates)

    def _let_in(self, request: HttpRequest, accepted: Accepted | None) -> VerifiedToken | None:
        if accepted is not None:
            _accepted(request)[self] = accepted
        token = accepted and accepted.token
        request.authserver_token = token
        return token


class MiddlewareFactory:
    """What :meth:`ResourceServer.middleware` returns; Django calls it with the rest of the application."""

    sync_capable = True
    async_capable = True

    def __init__(self, api: ResourceServer, needs: Needs, exempt: Iterable[str]) -> None:
        self.api = api
        self.needs = needs
        self.exemptions = api.protection.exemptions(exempt)

    def __call__(self, get_response: GetResponse) -> GetResponse:
        """A middleware, asynchronous if what comes after it is."""
        asynchronous = iscoroutinefunction(get_response)
        make = _asynchronous if asynchronous else _synchronous
        protected = make(self.api, self.needs, get_response)

        def middleware(request: HttpRequest) -> Any:
            if request.path_info == self.api.protection.metadata_path:
                return self.api.serve_metadata(request)
            return (get_response if self.exemptions.covers(request.path_info) else protected)(request)

        async def middleware_async(request: HttpRequest) -> Any:
            response = middleware(request)
            return await response if asyncio.iscoroutine(response) else response

        return middleware_async if asynchronous else middleware


def resource_server() -> ResourceServer:
    """The resource server that the setting ``AUTHSERVER`` describes; one in a process.

    :raises django.core.exceptions.ImproperlyConfigured: the setting is missing or cannot be used.
    """
    return _configured().api


class Middleware:
    """Protects all of an application as the setting ``AUTHSERVER`` says.

    ``AUTHSERVER`` is a dictionary with the arguments of :class:`ResourceServer`, and with ``requires`` (a sequence of
    needs), ``any_of``, ``optional`` and ``exempt`` as in :meth:`ResourceServer.middleware`.

    :raises django.core.exceptions.ImproperlyConfigured: the setting is missing or cannot be used.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self._respond = _configured()(get_response)
        if iscoroutinefunction(self._respond):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """The response to a request."""
        return self._respond(request)


@cache
def _configured() -> MiddlewareFactory:
    chosen = getattr(settings, "AUTHSERVER", None)
    if not isinstance(chosen, dict):
        raise ImproperlyConfigured("AUTHSERVER must be a dictionary with at least issuer and audience")
    options = {name: value for name, value in chosen.items() if name not in _OF_MIDDLEWARE}
    wanted = chosen.get("requires", ())
    try:
        if isinstance(wanted, str):
            raise TypeError("requires must be a sequence of needs, not one string")
        api = ResourceServer(**options)
        needs = Needs(*wanted, any_of=chosen.get("any_of", ()), optional=chosen.get("optional", False))
        return MiddlewareFactory(api, needs, chosen.get("exempt", ()))
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"AUTHSERVER cannot be used: {error}") from error


def _forget(*, setting: str, **_: object) -> None:
    if setting == "AUTHSERVER":  # a test has changed it
        _configured.cache_clear()


setting_changed.connect(_forget)


def _synchronous(api: ResourceServer, needs: Needs, view: View, on_loop: View | None = None) -> View:
    @wraps(view)
    def protected(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if on_loop is not None and _is_on_loop():  # a class of asynchronous views dispatches in a plain method
            return on_loop(request, *args, **kwargs)
        try:
            token = api.admit(request, needs)
        except Denied as denied:
            return Response(denied.answer)
        with api.during(token):
            response = view(request, *args, **kwargs)
        return _later(api, request, token, response) if asyncio.iscoroutine(response) else api.finish(request, response)

    return protected


def _asynchronous(api: ResourceServer, needs: Needs, view: View) -> View:
    @wraps(view)
    async def protected(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            token = await api.admit_async(request, needs)
        except Denied as denied:
            return Response(denied.answer)
        with api.during(token):
            response = view(request, *args, **kwargs)
            return api.finish(request, await response if asyncio.iscoroutine(response) else response)

    return protected


async def _later(
    api: ResourceServer, request: HttpRequest, token: VerifiedToken | None, response: Awaitable[HttpResponseBase]
) -> HttpResponseBase:
    with api.during(token):
        return api.finish(request, await response)


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _accepted(request: HttpRequest) -> dict[ResourceServer, Accepted]:
    """What a request was accepted with: an application may have several resource servers."""
    accepted: dict[ResourceServer, Accepted] = request.__dict__.setdefault("_authserver_accepted", {})
    return accepted
