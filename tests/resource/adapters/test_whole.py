"""An application that is protected as a whole, on every adapter: everything is closed but what is named."""

from collections.abc import Callable

import pytest

from authserver.testing import FakeIssuer
from tests.resource.adapters.views import Whole
from tests.resource.adapters.wire import Application, Call
from tests.resource.calls import Device
from tests.resource.environment import AUDIENCE

MakeWhole = Callable[..., Application]


@pytest.fixture
def whole(make_whole: MakeWhole) -> Application:
    return make_whole()


@pytest.mark.parametrize("path", ["/", "/images", "/no/such/path", "/healthy", "/health/", "/health/x", "/static"])
def test_everything_is_closed(whole: Application, bearer: tuple[str, str], path: str) -> None:
    assert whole(Call(target=path)).status == 401
    got = whole(Call(target=path, headers=[bearer]))
    assert (got.status, got.json["caller"]) == (200, "tests:somebody")


@pytest.mark.parametrize("path", ["/health", "/static/a", "/static/a/b.css", "/health?a=b"])
def test_what_is_exempt_is_open(whole: Application, path: str) -> None:
    got = whole(Call(target=path))
    assert (got.status, got.json["caller"]) == (200, None)


def test_what_is_exempt_looks_at_no_token(whole: Application, bearer: tuple[str, str]) -> None:
    assert whole(Call(target="/health", headers=[bearer])).json["caller"] is None
    assert whole(Call(target="/health", headers=[("Authorization", "Bearer a.b.c")])).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "//health",
        "/Health",
        "/static/../images",
        "/static/..%2Fimages",
        "/static/%2E%2E/images",
        "/static/./images",
        "/static//images",
        "/STATIC/a",
        "/images/../static/a",
        "/images;/static/a",
        "/health%2F",
        "/health%00",
        "/static%2F..%2Fimages",
    ],
)
def test_no_spelling_exempts_more(whole: Application, path: str) -> None:
    """Attacks: a path that one side reads as another. Where the framework itself reads it as exempt, it is."""
    got = whole(Call(target=path))
    assert got.status in (308, 400, 401, 404) or got.json["name"] == "health"


def test_the_metadata_document_is_always_exempt(whole: Application) -> None:
    """R100"""
    document = "/.well-known/oauth-protected-resource"
    got = whole(Call(target=document))
    assert (got.status, got.json["resource"]) == (200, AUDIENCE)
    assert whole(Call(target=f"{document}/more")).status == 401


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "POST", "BREW"])
def test_no_method_is_an_exception(whole: Application, method: str) -> None:
    assert whole(Call(method, "/images")).status == 401


def test_a_view_may_need_more(whole: Application, bearer: tuple[str, str], issuer: FakeIssuer, phone: Device) -> None:
    more = ("Authorization", f"Bearer {issuer.access_token(AUDIENCE, 'images:read images:write')}")
    assert whole(Call(target="/stricter", headers=[bearer])).status == 403
    assert whole(Call(target="/stricter", headers=[more])).status == 200
    phone.token = issuer.access_token(AUDIENCE, "images:read images:write", cnf={"jkt": phone.key.thumbprint})
    assert whole(Call(target="/stricter", headers=list(phone.headers("/stricter").items()))).status == 200


def test_a_mounted_application_exempts_from_its_own_root(whole: Application) -> None:
    assert whole(Call(target="/health", mount="/v1")).status == 200
    assert whole(Call(target="/images", mount="/health")).status == 401
    assert whole(Call(target="/images", mount="/static")).status == 401


@pytest.mark.parametrize("exempt", ["health", "/a/*/b", "/a*", "", "/a/../b", "//a", "*", "/*", "/a%20b"])
def test_what_exempts_nothing_or_everything_is_refused(make_whole: MakeWhole, exempt: str) -> None:
    with pytest.raises(ValueError, match="exempt"):
        make_whole(Whole(exempt=(exempt,)))(Call())  # Starlette makes its middleware with the first request
