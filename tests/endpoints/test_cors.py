"""Pages of configured origins may use our endpoints from a browser, and no others."""

import pytest

from authserver.endpoints.cors import RESPONSE_HEADERS, share
from authserver.endpoints.http import Request, Response, Route
from tests.endpoints.conftest import Application, MakeApplication
from tests.served import Answer, exchange_form

PAGE = "https://app.example.com"
OTHER_PAGE = "http://localhost:5173"
ORIGINS = f'allowed_origins = ["{PAGE}", "{OTHER_PAGE}"]'
SHARED = [
    ("POST", "/token"),
    ("POST", "/register"),
    ("GET, PUT, DELETE", "/register/dev_AAAAAAAAAAAAAAAAAAAAAA"),
    ("POST", "/revoke"),
    ("GET", "/devices"),
    ("DELETE", "/devices/dev_AAAAAAAAAAAAAAAAAAAAAA"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/.well-known/jwks.json"),
]
INVITATIONS = "/devices/invitations"
NOT_SHARED = ["/introspect", INVITATIONS, "/livez", "/readyz"]
STRANGERS = [
    None,
    "null",
    "https://app.example.com:8443",
    "https://APP.example.com",
    "http://app.example.com",
    "https://app.example.com/",
    "https://app.example.com.evil.example",
    "https://evil.example",
]


@pytest.fixture
def application(make_application: MakeApplication) -> Application:
    """An application that pages of two origins may use."""
    return make_application(server=ORIGINS)


def from_page(application: Application, method: str, path: str, origin: str | None = PAGE, **options: str) -> Answer:
    """What the server answers to a page's request; ``options`` are further headers."""
    headers = [(name.replace("_", "-"), value) for name, value in options.items()]
    return application.ask(method, path, headers=headers if origin is None else [*headers, ("Origin", origin)])


def preflight(application: Application, path: str, origin: str | None = PAGE) -> Answer:
    """What the server answers to the question that a browser asks before a page's request."""
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization,dpop"}
    return from_page(application, "OPTIONS", path, origin, **asked)


def about_origins(answer: Answer) -> dict[str, str]:
    """The headers of the CORS protocol."""
    return {name: value for name, value in answer.headers.items() if name.lower().startswith("access-control-")}


@pytest.mark.parametrize(("methods", "path"), SHARED)
def test_a_preflight_permits_what_devices_and_their_owners_need(
    application: Application, methods: str, path: str
) -> None:
    for origin in (PAGE, OTHER_PAGE):
        answer = preflight(application, path, origin)
        assert (answer.status, answer.body, answer.headers["Vary"]) == (204, b"", "Origin")
        allowed = about_origins(answer)
        assert set(allowed.pop("Access-Control-Allow-Methods").split(", ")) == set(methods.split(", "))
        assert allowed == {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Headers": "Authorization, Content-Type, DPoP",
            "Access-Control-Max-Age": "7200",
        }


@pytest.mark.parametrize(("methods", "path"), SHARED)
def test_a_page_may_read_every_answer_errors_included(application: Application, methods: str, path: str) -> None:
    for method in methods.split(", "):
        answer = from_page(application, method, path)
        assert (answer.status == 200) == path.startswith("/.well-known/")
        assert answer.headers["Vary"] == "Origin"
        assert about_origins(answer) == {
            "Access-Control-Allow-Origin": PAGE,
            "Access-Control-Expose-Headers": "DPoP-Nonce, WWW-Authenticate, Date, Retry-After, X-Request-Id",
        }


def test_a_page_may_read_a_token(application: Application, identity: str) -> None:
    answer = application.post(exchange_form(identity), headers=[("Origin", PAGE)])
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE


def test_a_page_may_read_that_its_copy_of_the_keys_is_still_good(application: Application) -> None:
    etag = from_page(application, "GET", "/.well-known/jwks.json").headers["ETag"]
    answer = from_page(application, "GET", "/.well-known/jwks.json", If_None_Match=etag)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (304, PAGE)


@pytest.mark.parametrize(("methods", "path"), SHARED)
def test_a_page_of_another_origin_learns_nothing_and_is_otherwise_answered_alike(
    application: Application, methods: str, path: str
) -> None:
    method = methods.split(", ")[0]
    page = from_page(application, method, path)
    for origin in STRANGERS:
        stranger, before = from_page(application, method, path, origin), preflight(application, path, origin)
        assert about_origins(stranger) == about_origins(before) == {}
        assert (stranger.status, before.status) == (page.status, 204)
        # Also for who names no origin: what a cache keeps of that answer must not be given to a page.
        assert stranger.headers["Vary"] == before.headers["Vary"] == "Origin"


def test_two_origins_are_none(application: Application) -> None:
    headers = [("Origin", PAGE), ("Origin", OTHER_PAGE)]
    assert about_origins(application.ask("GET", "/.well-known/jwks.json", headers=headers)) == {}


def test_what_neither_devices_nor_their_owners_need_is_shared_with_no_page(application: Application) -> None:
    for path in NOT_SHARED:
        assert about_origins(from_page(application, "GET", path)) == {}
        assert about_origins(from_page(application, "POST", path)) == {}
    assert {preflight(application, path).status for path in NOT_SHARED if path != INVITATIONS} == {405}
    # A browser that asks is told of a device with this name. The answers of what is there cannot be read all the same.
    assert about_origins(preflight(application, INVITATIONS))["Access-Control-Allow-Methods"] == "DELETE"


def test_without_configured_origins_there_is_nothing_for_pages(make_application: MakeApplication) -> None:
    application = make_application()
    for methods, path in SHARED:
        assert preflight(application, path).status == 405
        answer = from_page(application, methods.split(", ")[0], path)
        assert about_origins(answer) == {}
        assert "Vary" not in answer.headers


def test_an_issuer_with_a_path_is_shared_below_it(make_application: MakeApplication) -> None:
    application = make_application(issuer="https://example.com/auth", server=ORIGINS)
    paths = ["/auth/token", "/.well-known/oauth-authorization-server/auth"]
    assert [preflight(application, path).headers["Access-Control-Allow-Origin"] for path in paths] == [PAGE, PAGE]


def test_no_answer_allows_credentials_or_everybody(application: Application) -> None:
    for _, path in SHARED:
        for answer in (preflight(application, path), from_page(application, "GET", path)):
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert "*" not in str(about_origins(answer))


def test_what_may_be_read_is_spelled_as_it_is_sent() -> None:
    def endpoint(request: Request) -> Response:
        return Response(401, (("WWW-Authenticate", "DPoP"),), request.body)

    shared, preflight = share([Route("/token", "POST", endpoint)], [PAGE])
    request = Request("POST", "0123456789", "127.0.0.1", headers={"origin": (PAGE,)}, body=b"{}")
    answer = shared.endpoint(request)
    assert (answer.status, answer.body, answer.headers[0]) == (401, b"{}", ("WWW-Authenticate", "DPoP"))
    assert dict(answer.headers)["Access-Control-Expose-Headers"] == ", ".join(RESPONSE_HEADERS)
    assert (preflight.path, preflight.method) == ("/token", "OPTIONS")
