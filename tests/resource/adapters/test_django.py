"""What Django's users see beyond the contract."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncRequestFactory, RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from authserver.resource.django import Middleware, ResourceServer, resource_server
from tests.resource.adapters.wire import Application, Call, over_asgi, over_wsgi
from tests.resource.calls import Device
from tests.resource.environment import AUDIENCE

DOCUMENT = "/.well-known/oauth-protected-resource"


@pytest.fixture
def api(settings: dict[str, Any]) -> ResourceServer:
    return ResourceServer(**settings)


def serve(kind: str, urls: tuple[Any, ...], **changes: Any) -> Application:
    changes = {"ROOT_URLCONF": urls, "MIDDLEWARE": [], **changes}
    with override_settings(**changes):
        handler: Any = WSGIHandler() if kind == "wsgi" else ASGIHandler()

    def call(environ: Any, start_response: Any) -> Any:
        with override_settings(**changes):
            return handler(environ, start_response)

    async def acall(scope: Any, receive: Any, send: Any) -> None:
        with override_settings(**changes):
            await handler(scope, receive, send)

    return over_wsgi(call) if kind == "wsgi" else over_asgi(acall)


def echo(request: HttpRequest) -> HttpResponse:
    token = getattr(request, "authserver_token", None)
    return JsonResponse({"caller": token and token.subject})


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_settings_protect_a_whole_project(kind: str, settings: dict[str, Any], bearer: tuple[str, str]) -> None:
    """R98, R100"""
    chosen = {**settings, "requires": ["images:read"], "exempt": ["/health"]}
    middleware = ["django.middleware.common.CommonMiddleware", "authserver.resource.django.Middleware"]
    urls = (path("images", echo), path("health", echo))
    app = serve(kind, urls, AUTHSERVER=chosen, MIDDLEWARE=middleware)
    assert [app(Call(target=target)).status for target in ("/images", "/health", DOCUMENT)] == [401, 200, 200]
    assert app(Call(headers=[bearer])).json == {"caller": "tests:somebody"}
    assert len(app(Call()).all("WWW-Authenticate")) == 2
    with override_settings(AUTHSERVER=chosen):
        assert resource_server() is resource_server()
        assert resource_server().audience == AUDIENCE


def test_one_scope_in_the_settings_is_not_taken_for_one_of_each_letter(settings: dict[str, Any]) -> None:
    chosen = {**settings, "requires": "images:read"}
    with override_settings(AUTHSERVER=chosen), pytest.raises(ImproperlyConfigured, match="requires must be a sequence"):
        Middleware(echo)


@pytest.mark.parametrize(
    "chosen", [None, {}, {"issuer": "http://images.example.com", "audience": AUDIENCE}, {"isuer": 1}, {"exempt": ["a"]}]
)
def test_settings_that_cannot_be_used_stop_the_start(chosen: Any, settings: dict[str, Any]) -> None:
    if chosen and "exempt" in chosen:
        chosen = {**settings, **chosen}
    with override_settings(AUTHSERVER=chosen), pytest.raises(ImproperlyConfigured, match="AUTHSERVER"):
        Middleware(echo)


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_class_of_views_is_decorated_at_its_dispatch(
    api: ResourceServer, bearer: tuple[str, str], kind: str, asynchronous: bool
) -> None:
    class Images(View):  # type: ignore[misc]  # Django ships no types
        def get(self, _request: HttpRequest) -> HttpResponse:
            return HttpResponse(api.token.subject)

    class AsynchronousImages(View):  # type: ignore[misc]  # Django ships no types
        async def get(self, _request: HttpRequest) -> HttpResponse:
            await asyncio.sleep(0)
            return HttpResponse(api.token.subject)

    views = AsynchronousImages if asynchronous else Images
    decorated = method_decorator(api.requires("images:read"), name="dispatch")(views)
    app = serve(kind, (path("images", decorated.as_view()),))
    assert app(Call(headers=[bearer])).body == b"tests:somebody"
    assert app(Call()).status == 401


@pytest.mark.parametrize("optional", [False, True])
def test_a_token_needs_no_protection_against_forged_requests_and_a_cookie_does(
    api: ResourceServer, bearer: tuple[str, str], optional: bool
) -> None:
    view = api.requires("images:read", optional=optional)(echo)
    middleware = ["django.middleware.csrf.CsrfViewMiddleware"]
    app = serve("wsgi", (path("images", view),), MIDDLEWARE=middleware)
    assert app(Call("POST", headers=[bearer])).status == (403 if optional else 200)


def test_headers_are_one_line_for_who_reads_them_and_two_on_the_wire(api: ResourceServer) -> None:
    response = api.requires("images:read")(echo)(RequestFactory().get("/images"))
    first, second = (value for name, value in response.items() if name == "WWW-Authenticate")
    assert response["WWW-Authenticate"] == f"{first}, {second}"
    del response["WWW-Authenticate"]
    assert "WWW-Authenticate" not in dict(response.items())


@pytest.mark.parametrize("target", ["/images/caf%C3%A9", "/images/a%20b"])
def test_a_server_that_does_not_say_what_was_sent_will_do(api: ResourceServer, phone: Device, target: str) -> None:
    """R63: the test client of Django, for one."""
    headers = phone.headers(target)
    request = RequestFactory().get(target, headers=headers)
    assert api.requires("images:read")(echo)(request).status_code == 200


def test_an_asynchronous_request_needs_no_server_either(api: ResourceServer, phone: Device) -> None:
    @api.requires("images:read")
    async def images(request: HttpRequest) -> HttpResponse:
        return echo(request)

    request = AsyncRequestFactory().get("/images", headers=phone.headers())
    assert json.loads(asyncio.run(images(request)).content) == {"caller": "tests:somebody"}


def test_a_body_that_was_read_already_is_not_searched(api: ResourceServer, bearer: tuple[str, str]) -> None:
    form = "application/x-www-form-urlencoded"
    request = RequestFactory().post("/images", "access_token=a", content_type=form, headers=dict([bearer]))
    assert request.read() == b"access_token=a"
    assert api.requires("images:read")(echo)(request).status_code == 200


def test_an_audience_that_is_no_web_address_has_no_document(settings: dict[str, Any]) -> None:
    assert ResourceServer(**{**settings, "audience": "images"}).urls == []


def test_the_decorator_keeps_the_view_s_name(api: ResourceServer) -> None:
    views: list[Callable[..., Any]] = [api.requires()(echo), api.requires(optional=True)(echo)]
    assert {view.__name__ for view in views} == {"echo"}
