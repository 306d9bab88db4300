"""The Flask adapter: it translates, and decides nothing."""

import asyncio
import io
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from authserver.resource import AccessTokenVerifier
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

    @app.get("/albums/<name>")
    @api.requires(lambda request: f"images:read:{request.view_args['name']}")
    def album(name: str) -> str:
        return name

    @app.get("/optional")
    @api.requires("images:read", optional=True)
    def optional() -> str:
        return "nobody" if api.optional_token is None else api.token.subject

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


def test_code_that_wants_a_token_is_tested_without_a_request(
    api: ResourceServer, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, clock=clock)
    token = verifier.verify(issuer.access_token(AUDIENCE))
    with api.during(token):
        assert api.token is token
    with Flask(__name__).test_request_context(), api.during(None):
        assert api.optional_token is None


def test_one_request_does_not_see_the_token_of_the_last(client: FlaskClient, bearer: dict[str, str]) -> None:
    assert client.get("/images", headers=bearer).status_code == 200
    assert client.get("/open").status_code == 500


def test_a_context_that_the_application_pushed_itself_lets_nobody_in(
    app: Flask, client: FlaskClient, bearer: dict[str, str]
) -> None:
    """Flask then gives all requests the same ``g``, and whoever came after a good token needed none."""
    with app.app_context():
        assert client.get("/images", headers=bearer).status_code == 200
        assert client.get("/images").status_code == 401
        assert client.get("/optional").text == "nobody"
        assert client.get("/open", headers=bearer).status_code == 500


def test_nobody_without_a_token_makes_a_worker_wait_for_a_form(client: FlaskClient) -> None:
    class NeverSent(io.RawIOBase):
        def readinto(self, _buffer: object) -> int:
            raise AssertionError("the body was read")

    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": "10", "wsgi.input": NeverSent()}
    answer = client.post("/images", environ_overrides=form)
    assert answer.status_code == 401


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


# What depends on the request


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("images:read:cats", 200),
        ("images:read:*", 200),
        ("images:read", 403),
        ("images:*", 403),
        ("images:read:c", 403),
    ],
)
def test_a_view_can_need_what_the_path_says(client: FlaskClient, issuer: FakeIssuer, scope: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {issuer.access_token(AUDIENCE, scope)}"}
    answer = client.get("/albums/cats", headers=headers)
    assert answer.status_code == status
    challenge = answer.headers.get("WWW-Authenticate", "")
    assert ('scope="images:read:cats"' in challenge) == (status == 403)


def test_what_a_path_says_is_not_repeated_where_it_is_no_scope(client: FlaskClient, issuer: FakeIssuer) -> None:
    """R100"""
    headers = {"Authorization": f"Bearer {issuer.access_token(AUDIENCE, 'images:read:*')}"}
    for name in ("*", "c*s", 'a"b', "a b", "é", "a%0d%0aSet-Cookie:%20a=b"):
        answer = client.get(f"/albums/{name}", headers=headers)
        assert (answer.status_code, "scope=" in answer.headers["WWW-Authenticate"]) == (403, False), name


def test_a_view_that_may_run_without_a_token_knows_when_it_does(client: FlaskClient, bearer: dict[str, str]) -> None:
    assert client.get("/optional").text == "nobody"
    assert client.get("/optional", headers=bearer).text == "tests:somebody"
    assert client.get("/optional", headers={"Authorization": "Bearer x"}).status_code == 401


def test_asking_for_a_token_where_there_may_be_none_says_what_to_ask_instead(
    issuer: FakeIssuer, clock: FrozenClock
) -> None:
    app, api = Flask(__name__), ResourceServer(issuer=issuer.issuer, audience=AUDIENCE, clock=clock)
    app.testing = True

    @app.get("/optional")
    @api.requires(optional=True)
    def optional() -> str:
        return api.token.subject

    with app.test_client() as client, pytest.raises(RuntimeError, match="optional_token"):
        client.get("/optional")


# A whole application


@pytest.fixture
def whole(api: ResourceServer) -> Iterator[FlaskClient]:
    app = Flask(__name__)
    api.init_app(app)
    api.protect(app, "images:read", exempt=["/health", "/public/*"])

    @app.get("/")
    @app.get("/<path:path>")
    def everything(path: str = "") -> str:
        return path

    @app.get("/who")
    def who() -> str:
        return api.token.subject

    @app.get("/admin")
    @api.requires("images:admin")
    def admin() -> str:
        return "admin"

    with app.test_client() as client:
        yield client


def test_all_of_an_application_wants_a_token(whole: FlaskClient, bearer: dict[str, str]) -> None:
    assert whole.get("/who").status_code == 401
    assert whole.get("/who", headers=bearer).text == "tests:somebody"
    assert whole.post("/no/such/view").status_code == 401
    assert whole.post("/no/such/view", headers=bearer).status_code == 405


def test_a_view_may_want_more_than_the_whole(whole: FlaskClient, bearer: dict[str, str]) -> None:
    answer = whole.get("/admin", headers=bearer)
    assert (answer.status_code, 'scope="images:admin"' in answer.headers["WWW-Authenticate"]) == (403, True)


@pytest.mark.parametrize("path", ["/health", "/public/", "/public/a/b", DOCUMENT])
def test_what_is_exempt_is_open(whole: FlaskClient, path: str) -> None:
    assert whole.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/Health", "/health/", "/healthz", "/public", "/public/../who", "/public/%2e%2e/who", "/public//a",
     "/public/..%2fwho", "/public%2f..%2fwho", "/public/%252e%252e/who", "/x/../public/a", "/PUBLIC/a"],
)  # fmt: skip
def test_no_spelling_makes_more_of_it(whole: FlaskClient, path: str) -> None:
    with serving(whole.application) as port:
        assert get(port, path).status == 401


# Bodies of one's own


def test_refusals_can_look_as_the_application_likes(issuer: FakeIssuer, clock: FrozenClock) -> None:
    app = Flask(__name__)
    api = ResourceServer(
        issuer=issuer.issuer,
        audience=AUDIENCE,
        clock=clock,
        render=lambda refusal: ("text/plain", f"{refusal.status} {refusal.request_id}".encode()),
    )
    app.get("/images")(api.requires("images:read")(lambda: "images"))
    with app.test_client() as client:
        answer = client.get("/images", headers={"X-Request-ID": "abc"})
    assert (answer.status_code, answer.content_type, answer.text) == (401, "text/plain", "401 abc")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer realm=")


def test_it_counts_what_it_accepts(client: FlaskClient, api: ResourceServer, bearer: dict[str, str]) -> None:
    client.get("/images", headers=bearer)
    client.get("/images")
    assert (api.accepted.current, api.accepted.legacy) == (1, 0)


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
