"""The Flask adapter: it translates, and decides nothing."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from authserver.resource.flask import ResourceServer
from authserver.testing import FakeIssuer, FrozenClock
from tests.resource.environment import AUDIENCE
from tests.resource.live import get, serving

DOCUMENT = "/.well-known/oauth-protected-resource"


@pytest.fixture
def api(issuer: FakeIssuer, clock: FrozenClock) -> ResourceServer:
    return ResourceServer(issuer=issuer.issuer, audience=AUDIENCE, clock=clock, scopes=["images:read"])


@pytest.fixture
def app(api: ResourceServer) -> Flask:
    app = Flask(__name__)
    api.init_app(app)

    @app.route("/images", methods=["GET", "POST"])
    @api.requires("images:read")
    def images() -> str:
        return f"{api.token.subject} {sorted(api.token.scope)}"

    @app.get("/either")
    @api.requires(any_of=("images:write", "images:admin"))
    def either() -> str:
        return "either"

    @app.get("/anybody")
    @api.requires()
    def anybody() -> str:
        return "anybody"

    @app.post("/body")
    @api.requires("images:read")
    def body() -> dict[str, object]:
        return {"raw": request.get_data(as_text=True), "form": request.form.to_dict()}

    @app.get("/broken")
    @api.requires("images:read")
    def broken() -> str:
        raise KeyError("the view's own mistake")

    @app.get("/open")
    def unprotected() -> str:
        return api.token.subject

    return app


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


@pytest.fixture
def bearer(issuer: FakeIssuer) -> dict[str, str]:
    return {"Authorization": f"Bearer {issuer.access_token(AUDIENCE, 'images:read')}"}


def test_a_view_sees_who_calls_it(client: FlaskClient, bearer: dict[str, str]) -> None:
    answer = client.get("/images", headers=bearer)
    assert (answer.status_code, answer.text) == (200, "tests:somebody ['images:read']")


def test_no_credentials_are_challenged_without_an_error_code(client: FlaskClient) -> None:
    """R98, R100"""
    answer = client.get("/images")
    assert (answer.status_code, answer.json) == (401, {})
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer realm="{AUDIENCE}", scope="images:read", resource_metadata="{AUDIENCE}{DOCUMENT}"'
    )


def test_a_missing_scope_is_403_and_named(client: FlaskClient, bearer: dict[str, str]) -> None:
    """R98"""
    answer = client.get("/either", headers=bearer)
    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["error"] == "insufficient_scope"
    assert 'scope="images:write"' in answer.headers["WWW-Authenticate"]


def test_one_of_the_alternatives_is_enough(client: FlaskClient, issuer: FakeIssuer) -> None:
    token = issuer.access_token(AUDIENCE, "images:admin")
    assert client.get("/either", headers={"Authorization": f"Bearer {token}"}).text == "either"


def test_without_required_scopes_any_valid_token_will_do(client: FlaskClient, issuer: FakeIssuer) -> None:
    token = issuer.access_token(AUDIENCE)
    assert client.get("/anybody", headers={"Authorization": f"Bearer {token}"}).text == "anybody"
    assert client.get("/anybody").status_code == 401


def test_a_token_in_the_query_is_not_looked_at(client: FlaskClient, issuer: FakeIssuer) -> None:
    """R98"""
    answer = client.get("/images", query_string={"access_token": issuer.access_token(AUDIENCE, "images:read")})
    assert (answer.status_code, answer.json) == (401, {})


def test_a_token_in_the_query_besides_the_header_is_400(client: FlaskClient, bearer: dict[str, str]) -> None:
    """R98"""
    answer = client.get("/images?access_token=", headers=bearer)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["error"] == "invalid_request"


def test_a_token_in_the_form_besides_the_header_is_400(client: FlaskClient, bearer: dict[str, str]) -> None:
    """R98"""
    assert client.post("/images", headers=bearer, data={"access_token": "a"}).status_code == 400
    assert client.post("/images", data={"access_token": "a"}).status_code == 401


@pytest.mark.parametrize("size", [10, 100_000])
def test_the_view_still_reads_the_form_as_it_likes(client: FlaskClient, bearer: dict[str, str], size: int) -> None:
    form = {"name": "x" * size}
    answer = client.post("/body", headers=bearer, data=form)
    assert answer.status_code == 200
    assert answer.json == {"raw": f"name={'x' * size}", "form": form}


def test_a_body_that_is_no_form_is_not_searched(client: FlaskClient, bearer: dict[str, str]) -> None:
    assert client.post("/body", headers=bearer, json={"access_token": "a"}).status_code == 200


def test_an_outage_is_503_with_retry_after(client: FlaskClient, bearer: dict[str, str], issuer: FakeIssuer) -> None:
    """Contract section 5: never 401."""
    issuer.down()
    answer = client.get("/images", headers=bearer)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json is not None
    assert answer.json["error"] == "temporarily_unavailable"


def test_the_metadata_document_is_served_where_the_challenge_says(client: FlaskClient, issuer: FakeIssuer) -> None:
    """R100"""
    answer = client.get(DOCUMENT)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.json == {
        "resource": AUDIENCE,
        "authorization_servers": [issuer.issuer],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519"],
        "scopes_supported": ["images:read"],
    }


def test_several_resource_servers_live_in_one_application(issuer: FakeIssuer, clock: FrozenClock) -> None:
    """R100: each below its own path, and each with its own token."""
    app = Flask(__name__)
    apis = {
        name: ResourceServer(issuer=issuer.issuer, audience=f"https://a.example/{name}", clock=clock)
        for name in ("first", "second", "caf%C3%A9")
    }

    def mount(name: str, api: ResourceServer) -> None:
        api.init_app(app)

        @app.get(f"/{name}", endpoint=name)
        @api.requires()
        def view() -> str:
            return api.token.audience

    for name, api in apis.items():
        mount(name, api)
    with app.test_client() as client:
        for name in apis:
            answer = client.get(f"{DOCUMENT}/{name}")
            assert answer.json is not None
            assert answer.json["resource"] == f"https://a.example/{name}"
        for name in ("first", "second"):
            headers = {"Authorization": "Bearer " + issuer.access_token(f"https://a.example/{name}")}
            assert client.get(f"/{name}", headers=headers).text == f"https://a.example/{name}"
            other = "second" if name == "first" else "first"
            assert client.get(f"/{other}", headers=headers).status_code == 401


def test_an_audience_that_is_no_web_address_adds_no_route(issuer: FakeIssuer) -> None:
    app = Flask(__name__)
    before = len(list(app.url_map.iter_rules()))
    ResourceServer(issuer=issuer.issuer, audience="images").init_app(app)
    assert len(list(app.url_map.iter_rules())) == before


@pytest.mark.parametrize(
    "forged",
    [
        {"Host": "attacker.example"},
        {"X-Forwarded-Host": "attacker.example", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/evil"},
        {"Forwarded": "host=attacker.example;proto=http", "X-Forwarded-For": "10.0.0.1"},
    ],
)
def test_forged_headers_change_nothing(client: FlaskClient, forged: dict[str, str]) -> None:
    """R4, R100, attacks: Host and X-Forwarded-* forged."""
    for path in ("/images", DOCUMENT):
        plain, answer = client.get(path), client.get(path, headers=forged)
        assert (answer.status_code, answer.text, answer.headers) == (plain.status_code, plain.text, plain.headers)


def test_the_token_is_there_only_while_a_protected_view_runs(
    app: Flask, client: FlaskClient, api: ResourceServer
) -> None:
    with pytest.raises(RuntimeError, match="requires"):
        _ = api.token
    with app.app_context(), pytest.raises(RuntimeError, match="requires"):
        _ = api.token
    app.testing = True
    with pytest.raises(RuntimeError, match="requires"):
        client.get("/open")


def test_one_request_does_not_see_the_token_of_the_last(client: FlaskClient, bearer: dict[str, str]) -> None:
    assert client.get("/images", headers=bearer).status_code == 200
    assert client.get("/open").status_code == 500


def test_what_the_view_raises_is_the_application_s_business(client: FlaskClient, bearer: dict[str, str]) -> None:
    client.application.testing = True
    with pytest.raises(KeyError, match="own mistake"):
        client.get("/broken", headers=bearer)


def test_the_decorator_keeps_the_view_s_name(api: ResourceServer) -> None:
    @api.requires()
    def a_view() -> str:
        return "a"

    assert a_view.__name__ == "a_view"


class FlaskWithAsyncio(Flask):
    """Runs coroutines without the extra that Flask would need for it."""

    def async_to_sync(self, func: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        return lambda *args, **kwargs: asyncio.run(func(*args, **kwargs))


def test_an_asynchronous_view_runs_as_flask_runs_it(api: ResourceServer, bearer: dict[str, str]) -> None:
    app = FlaskWithAsyncio(__name__)

    @app.get("/images")
    @api.requires("images:read")
    async def images() -> str:
        await asyncio.sleep(0)
        return api.token.subject

    with app.test_client() as client:
        assert client.get("/images", headers=bearer).text == "tests:somebody"
        assert client.get("/images").status_code == 401


def test_settings_are_checked_at_once(issuer: FakeIssuer) -> None:
    with pytest.raises(ValueError, match="url must be"):
        ResourceServer(issuer=issuer.issuer, audience=AUDIENCE, url="http://images.example.com")
    with pytest.raises(ValueError, match="not a scope"):
        ResourceServer(issuer=issuer.issuer, audience=AUDIENCE, scopes=["a b"])
    assert ResourceServer(issuer=issuer.issuer, audience=AUDIENCE, url=AUDIENCE).url == AUDIENCE


# Over a real server


def test_two_authorization_headers_are_400(app: Flask, bearer: dict[str, str]) -> None:
    """R98, attacks: two Authorization headers."""
    header = ("Authorization", bearer["Authorization"])
    with serving(app) as port:
        assert get(port, "/images", header).status == 200
        assert get(port, "/images", header, header).status == 400
        assert get(port, "/images", ("Authorization", "Basic dXNlcjpwYXNz"), header).status == 400


@pytest.mark.parametrize(
    "value",
    ["Bearer a\r\n Set-Cookie: a=b", "Bearer a\r\n\tX-Evil: 1", 'Bearer "\\r\\nSet-Cookie: a=b', "Bearer \xff\xfe"],
)
def test_nothing_that_was_sent_is_echoed(app: Flask, value: str) -> None:
    """R26, R100, attacks: CR/LF in anything that is echoed."""
    with serving(app) as port:
        answer = get(port, "/images?access_token=Set-Cookie", ("Authorization", value))
    assert 400 <= answer.status < 500
    assert not {"set-cookie", "x-evil"} & {name.lower() for name in answer.headers}
    assert b"Cookie" not in answer.body + str(answer.headers).encode()
