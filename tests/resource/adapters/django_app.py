"""The application of the contract in Django, with synchronous views (WSGI) and with asynchronous ones (ASGI).

Django has one configuration in a process, so what differs from one application to the next is put in its place
for the time of a call.
"""

from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import path

from authserver.resource.django import ResourceServer
from tests.resource.adapters.views import BOTH, EITHER, Whole, has_token, optional_token, seen
from tests.resource.adapters.wire import Application, over_asgi, over_wsgi

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"], ROOT_URLCONF=(), MIDDLEWARE=[], USE_TZ=True, LOGGING_CONFIG=None, APPEND_SLASH=False
    )
    django.setup()

View = Callable[..., Any]
AsView = Callable[[View], View]
MIDDLEWARE: list[Any] = []
"""The middleware of the application that is being made: settings name it by its path."""


def current_middleware(get_response: Any) -> Any:
    return MIDDLEWARE[0](get_response)


current_middleware.sync_capable = True  # type: ignore[attr-defined]
current_middleware.async_capable = True  # type: ignore[attr-defined]


def synchronous(view: View) -> View:
    return view


def asynchronous(view: View) -> View:
    async def asynchronous_view(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return asynchronous_view


def album(request: HttpRequest) -> str:
    assert request.resolver_match is not None
    return f"images:read:{request.resolver_match.kwargs['name']}"


def routes(api: ResourceServer, as_view: AsView) -> tuple[Any, ...]:
    def view(request: HttpRequest, name: str = "") -> HttpResponse:
        assert request.authserver_token is api.optional_token
        return JsonResponse(seen(api.optional_token, name))

    def unprotected(_request: HttpRequest) -> HttpResponse:
        return JsonResponse(has_token(api))

    def broken(_request: HttpRequest) -> HttpResponse:
        raise KeyError("the view's own mistake")

    def body(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.body)

    def protected(view: View, *needs: Any, **more: Any) -> View:
        return api.requires(*needs, **more)(as_view(view))

    reads = protected(view, "images:read")
    return (
        path("images", reads),
        path("images/<path:name>", reads),
        path("both", protected(view, *BOTH)),
        path("either", protected(view, any_of=EITHER)),
        path("anybody", protected(view)),
        path("optional", protected(view, optional=True)),
        path("albums/<name>", protected(view, album)),
        path("twice", api.requires("images:read")(reads)),
        path("body", protected(body, "images:read")),
        path("open", as_view(unprotected)),
        path("broken", protected(broken)),
        *api.urls,
    )


def make_sync(**options: Any) -> Application:
    return serve_sync(routes(ResourceServer(**options), synchronous), [])


def make_async(**options: Any) -> Application:
    return serve_async(routes(ResourceServer(**options), asynchronous), [])


def make_whole_sync(whole: Whole, **options: Any) -> Application:
    return serve_sync(*everything(whole, synchronous, **options))


def make_whole_async(whole: Whole, **options: Any) -> Application:
    return serve_async(*everything(whole, asynchronous, **options))


def everything(whole: Whole, as_view: AsView, **options: Any) -> tuple[tuple[Any, ...], list[Any]]:
    api = ResourceServer(**options)

    def view(_request: HttpRequest, name: str = "") -> HttpResponse:
        return JsonResponse(seen(optional_token(api), name))

    stricter = path("stricter", api.requires("images:write")(as_view(view)))
    middleware = api.middleware(*whole.needs, exempt=whole.exempt)
    return (stricter, path("", as_view(view)), path("<path:name>", as_view(view))), [middleware]


def serve_sync(urls: tuple[Any, ...], middleware: list[Any]) -> Application:
    changes = configuration(urls, middleware)
    with override_settings(**changes):
        handler = WSGIHandler()

    def app(environ: Any, start_response: Any) -> Any:
        with override_settings(**changes):
            return handler(environ, start_response)

    return over_wsgi(app)


def serve_async(urls: tuple[Any, ...], middleware: list[Any]) -> Application:
    changes = configuration(urls, middleware)
    with override_settings(**changes):
        handler = ASGIHandler()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with override_settings(**changes):
            await handler(scope, receive, send)

    return over_asgi(app)


def configuration(urls: tuple[Any, ...], middleware: list[Any]) -> dict[str, Any]:
    MIDDLEWARE[:] = middleware
    return {"ROOT_URLCONF": urls, "MIDDLEWARE": [f"{__name__}.current_middleware"] if middleware else []}
