"""What FastAPI's users see beyond the contract."""

from typing import Annotated, Any

import pytest
from fastapi import Body, Depends, FastAPI, Form, HTTPException
from fastapi.responses import PlainTextResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route

from authserver.resource import VerifiedToken
from authserver.resource.asgi import ResourceServer
from tests.resource.adapters.fastapi_app import build
from tests.resource.adapters.wire import Call, over_asgi
from tests.resource.environment import AUDIENCE


def test_the_openapi_document_shows_the_scheme(settings: dict[str, Any]) -> None:
    """Issue criterion 2"""
    document = build(**settings).openapi()
    scheme = document["components"]["securitySchemes"]["AccessToken"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert AUDIENCE in scheme["description"]
    assert "RFC 9449" in scheme["description"]
    assert document["paths"]["/images"]["get"]["security"] == [{"AccessToken": []}]
    assert "security" not in document["paths"]["/open"]["get"]
    assert not any("well-known" in path for path in document["paths"])
    parameters = document["paths"]["/albums/{name}"]["get"].get("parameters", [])
    assert {parameter["name"] for parameter in parameters} <= {"name"}


def test_an_api_without_bearer_tokens_shows_dpop(settings: dict[str, Any]) -> None:
    document = build(**settings, sender_constrained=True).openapi()
    assert document["components"]["securitySchemes"]["AccessToken"]["scheme"] == "dpop"


def test_without_init_app_status_and_challenge_are_the_same(settings: dict[str, Any]) -> None:
    app, api = FastAPI(), ResourceServer(**settings)

    @app.get("/images", dependencies=[Depends(api.requires("images:read"))])
    async def images() -> None:
        """Nobody gets here."""

    got, ours = over_asgi(app)(Call()), over_asgi(build(**settings))(Call())
    assert got.status == ours.status == 401
    assert got.all("WWW-Authenticate") == ours.all("WWW-Authenticate")
    assert got.one("Cache-Control") == "no-store"
    assert got.json == {"detail": "Unauthorized"}


def test_a_request_is_refused_before_its_parameters_are_judged(
    settings: dict[str, Any], bearer: tuple[str, str]
) -> None:
    app, api = FastAPI(), ResourceServer(**settings)

    @app.post("/images")
    async def images(
        _token: Annotated[VerifiedToken, Depends(api.requires("images:read"))], width: Annotated[int, Body(embed=True)]
    ) -> None:
        raise AssertionError(f"nobody gets here: {width}")

    ask, content = over_asgi(app), ("Content-Type", "application/json")
    assert ask(Call("POST", headers=[content], body=b'{"width": "wide"}')).status == 401
    assert ask(Call("POST", headers=[content, bearer], body=b'{"width": "wide"}')).status == 422


def test_the_form_of_a_path_operation_is_looked_at_too(settings: dict[str, Any], bearer: tuple[str, str]) -> None:
    """R98: FastAPI has parsed it before any dependency runs."""
    app, api = FastAPI(), ResourceServer(**settings)

    @app.post("/images", dependencies=[Depends(api.requires("images:read"))])
    async def images(name: Annotated[str, Form()]) -> str:
        return name

    ask, content = over_asgi(app), ("Content-Type", "application/x-www-form-urlencoded")
    assert ask(Call("POST", headers=[content, bearer], body=b"name=a")).json == "a"
    assert ask(Call("POST", headers=[content, bearer], body=b"name=a&access_token=b")).status == 400


def test_whatever_makes_the_response_it_has_the_nonce(settings: dict[str, Any], phone: Any, clock: Any) -> None:
    """R67"""
    app, api = FastAPI(), ResourceServer(**settings)

    @app.get("/images", dependencies=[Depends(api.requires("images:read"))])
    async def images(missing: bool = False) -> PlainTextResponse:
        if missing:
            raise HTTPException(404)
        return PlainTextResponse("images")

    api.init_app(app)

    def call(nonce: str, target: str = "/images") -> Any:
        return over_asgi(app)(Call(target=target, headers=list(phone.headers(nonce=nonce).items())))

    nonce = call("old").one("DPoP-Nonce")
    clock.advance(200)
    for target, status in (("/images", 200), ("/images?missing=true", 404)):
        got = call(nonce, target)
        assert (got.status, len(got.all("DPoP-Nonce")), got.one("Cache-Control")) == (status, 1, "no-store")


def test_several_apis_live_in_one_application(settings: dict[str, Any], issuer: Any) -> None:
    app = FastAPI()
    for name in ("first", "second"):
        api = ResourceServer(**{**settings, "audience": f"https://a.example/{name}"})

        @app.get(f"/{name}")
        async def view(token: Annotated[VerifiedToken, Depends(api.requires())]) -> str:
            return token.audience

        api.init_app(app)
    ask = over_asgi(app)
    for name, other in (("first", "second"), ("second", "first")):
        bearer = ("Authorization", "Bearer " + issuer.access_token(f"https://a.example/{name}"))
        assert ask(Call(target=f"/{name}", headers=[bearer])).json == f"https://a.example/{name}"
        assert ask(Call(target=f"/{other}", headers=[bearer])).status == 401
        document = ask(Call(target=f"/.well-known/oauth-protected-resource/{name}")).json
        assert document["resource"] == f"https://a.example/{name}"


def test_init_app_is_for_applications_that_have_routes(settings: dict[str, Any]) -> None:
    async def app(*_: Any) -> None:
        """An ASGI application."""

    with pytest.raises(TypeError, match=r"api\.middleware"):
        ResourceServer(**settings).init_app(app)


def test_an_endpoint_without_its_request_cannot_be_decorated_and_is_not_open(
    settings: dict[str, Any], bearer: tuple[str, str]
) -> None:
    app, api = FastAPI(), ResourceServer(**settings)

    @app.get("/images")
    @api.requires("images:read")
    async def images() -> None:
        raise AssertionError("nobody gets here")

    with pytest.raises(TypeError, match="use Depends"):
        over_asgi(app)(Call(headers=[bearer]))


def test_a_mounted_starlette_serves_its_document_below_the_mount(settings: dict[str, Any]) -> None:
    api = ResourceServer(**settings)

    @api.requires("images:read")
    async def images(_: Request) -> PlainTextResponse:
        return PlainTextResponse("images")

    inner = Starlette(routes=[Route("/images", images)])
    api.init_app(inner)
    ask = over_asgi(Starlette(routes=[Mount("/v1", inner)]))
    assert ask(Call(target="/v1/images")).status == 401
    assert ask(Call(target="/v1/.well-known/oauth-protected-resource")).status == 200


def test_an_audience_that_is_no_web_address_adds_no_route(settings: dict[str, Any]) -> None:
    app = Starlette()
    ResourceServer(**{**settings, "audience": "images"}).init_app(app)
    assert app.routes == []
