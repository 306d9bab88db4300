"""Programs written for node, with the libraries most used there, against ``authserver serve``: ``make interop``."""

import json
import shutil
import subprocess
from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from authserver.testing import FakeIssuer
from tests import leaks
from tests.absent import absent
from tests.interop.conftest import RESOURCES, WORKLOAD, Issue
from tests.served import (
    AUDIENCE,
    BEARER_GRANT,
    EXCHANGE,
    IMAGES,
    JWT_TYPE,
    REPORTS,
    Server,
    ask,
    free_port,
    write_configuration,
)

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
GRANTS = (EXCHANGE, BEARER_GRANT, "client_credentials")
LIBRARIES = ("oauth4webapi", "openid-client")
DISCOVERIES = ("oauth2", "oidc")


@pytest.fixture(scope="module", autouse=True)
def node() -> None:
    """Without node and the libraries there is nothing to show; a run that others rely on must not pass like that."""
    if shutil.which("node") and (HERE / "node_modules").is_dir():
        return
    absent("these tests need node and the libraries of package-lock.json; `make interop` installs the libraries")


def run(library: str, **question: Any) -> dict[str, Any]:
    """Let a program answer: what the library ``accepted``, or with which error it ``refused``."""
    done = subprocess.run(
        ["node", f"{library}.mjs"],
        cwd=HERE,
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    leak = leaks.find(done.stdout + done.stderr)
    assert leak is None, f"the program's output holds {leak}"
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def accepted(library: str, **question: Any) -> dict[str, Any]:
    """What the library made of an answer that it accepts."""
    outcome = run(library, **question)
    assert "accepted" in outcome, outcome
    return dict(outcome["accepted"])


def refused(library: str, **question: Any) -> dict[str, Any]:
    """The error that the library raised."""
    outcome = run(library, **question)
    assert "refused" in outcome, outcome
    return dict(outcome["refused"])


# A resource server that has `jose`


def verification(server: Server, token: str, **changes: str) -> dict[str, str]:
    """What a resource server for images asks of `jose`."""
    expected = {"issuer": server.url, "audience": IMAGES, "algorithm": "ES256"}
    jwks_uri = ask("GET", f"{server.url}/.well-known/oauth-authorization-server").json["jwks_uri"]
    return {"token": token, "jwks_uri": jwks_uri, **expected, **changes}


def with_scope(token: str, scope: str) -> str:
    """The same token with another scope, under the old signature."""
    header, payload, signature = token.split(".")
    claims = {**json.loads(urlsafe_b64decode(payload + "==")), "scope": scope}
    altered = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return leaks.handled(f"{header}.{altered}.{signature}")


@pytest.mark.parametrize(("resource", "scope", "algorithm"), RESOURCES)
def test_jose_accepts_our_token(server: Server, issue: Issue, resource: str, scope: str, algorithm: str) -> None:
    token = issue(resource, scope)
    verified = accepted("jose", **verification(server, token, audience=resource, algorithm=algorithm))
    assert verified["header"].keys() == {"alg", "kid", "typ"}
    claims = verified["claims"]
    assert claims["aud"] == resource
    assert claims["scope"] == scope
    assert claims["sub"] == claims["client_id"] == WORKLOAD


@pytest.mark.parametrize(
    ("changes", "claim"),
    [({"audience": REPORTS}, "aud"), ({"issuer": "https://elsewhere.example"}, "iss")],
    ids=["audience", "issuer"],
)
def test_jose_refuses_our_token_where_something_else_is_expected(
    server: Server, issue: Issue, changes: dict[str, str], claim: str
) -> None:
    error = refused("jose", **verification(server, issue(IMAGES, "images:read"), **changes))
    assert (error["code"], error["claim"]) == ("ERR_JWT_CLAIM_VALIDATION_FAILED", claim)


@pytest.mark.parametrize(("resource", "scope", "algorithm"), RESOURCES)
def test_jose_refuses_our_token_after_tampering(
    server: Server, issue: Issue, resource: str, scope: str, algorithm: str
) -> None:
    token = with_scope(issue(resource, scope), f"{scope} images:write")
    error = refused("jose", **verification(server, token, audience=resource, algorithm=algorithm))
    assert error["code"] == "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"


# A workload that has `oauth4webapi` or `openid-client`


def question(server: Server, identity: str, grant: str, **changes: Any) -> dict[str, Any]:
    """What a workload asks for images with; None takes a parameter away.

    The libraries send a ``client_id`` with every grant. It is ours where it means something, and made up elsewhere.
    """
    parameters = {"resource": IMAGES, "scope": "images:read", **changes}
    asked: dict[str, Any] = {"client_id": "made-up"}
    if grant == EXCHANGE:
        parameters |= {"subject_token": identity, "subject_token_type": JWT_TYPE}
    elif grant == BEARER_GRANT:
        parameters |= {"assertion": identity}
    else:
        asked = {"client_id": WORKLOAD, "client_assertion": identity}
    return {
        **asked,
        "issuer": server.url,
        "discovery": "oauth2",
        "grant_type": grant,
        "parameters": {name: value for name, value in parameters.items() if value is not None},
        "audience": IMAGES,
        "algorithm": "ES256",
    }


@pytest.mark.parametrize("discovery", DISCOVERIES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_discovers_the_server(server: Server, identity: str, library: str, discovery: str) -> None:
    found = accepted(library, **{**question(server, identity, EXCHANGE), "discovery": discovery})["metadata"]
    assert found["issuer"] == server.url
    assert found["token_endpoint"] == f"{server.url}/token"
    assert set(GRANTS) <= set(found["grant_types_supported"])


def test_every_library_discovers_an_issuer_with_a_path(tmp_path: Path, cluster: FakeIssuer, identity: str) -> None:
    """R2: RFC 8414 inserts the well-known path before the issuer's own, and OpenID Connect appends it."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}/auth"
    server = Server(write_configuration(tmp_path, cluster=cluster.issuer, port=port, issuer=issuer))
    server.url = issuer
    with server:
        for library, discovery in product(LIBRARIES, DISCOVERIES):
            answer = accepted(library, **{**question(server, identity, EXCHANGE), "discovery": discovery})
            assert answer["metadata"]["issuer"] == issuer


@pytest.mark.parametrize("grant", GRANTS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_gets_a_token(server: Server, identity: str, library: str, grant: str) -> None:
    response = accepted(library, **question(server, identity, grant))["response"]
    issued_token_type = response.pop("issued_token_type", None)
    assert response == {"token_type": "bearer", "expires_in": 3600, "scope": "images:read"}
    assert issued_token_type == ("urn:ietf:params:oauth:token-type:access_token" if grant == EXCHANGE else None)


@pytest.mark.parametrize("grant", GRANTS)
@pytest.mark.parametrize(("resource", "scope", "algorithm"), RESOURCES)
def test_oauth4webapi_validates_the_token_it_got(
    server: Server, identity: str, resource: str, scope: str, algorithm: str, grant: str
) -> None:
    asked = question(server, identity, grant, resource=resource, scope=scope)
    claims = accepted("oauth4webapi", **{**asked, "audience": resource, "algorithm": algorithm})["claims"]
    assert (claims["iss"], claims["aud"], claims["scope"]) == (server.url, resource, scope)
    assert claims["sub"] == claims["client_id"] == WORKLOAD


def test_oauth4webapi_refuses_the_token_it_got_for_another_audience(server: Server, identity: str) -> None:
    error = refused("oauth4webapi", **{**question(server, identity, EXCHANGE), "audience": REPORTS})
    assert error["code"] == "OAUTH_JWT_CLAIM_COMPARISON_FAILED"


# What a workload is told when it gets no token


def is_told(library: str, status: int, code: str, asked: dict[str, Any]) -> None:
    """The library raises the error of RFC 6749 section 5.2 as what it is."""
    error = refused(library, **asked)
    assert (error["name"], error["status"], error["error"]) == ("ResponseBodyError", status, code)


@pytest.mark.parametrize("grant", GRANTS)
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scope": "images:write"}, "invalid_scope"),
        ({"scope": "images:unknown"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"resource": "https://nowhere.example"}, "invalid_target"),
        ({"resource": None}, "invalid_target"),
    ],
    ids=["scope-beyond-the-rules", "unknown-scope", "no-scope", "unknown-resource", "no-resource"],
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_tells_why_a_request_is_refused(
    server: Server, identity: str, library: str, changes: dict[str, str | None], code: str, grant: str
) -> None:
    is_told(library, 400, code, question(server, identity, grant, **changes))


@pytest.mark.parametrize(
    ("grant", "status", "code"),
    [
        (EXCHANGE, 400, "invalid_request"),
        (BEARER_GRANT, 400, "invalid_grant"),
        ("client_credentials", 401, "invalid_client"),
    ],
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_tells_that_an_identity_is_rejected(
    server: Server, cluster: FakeIssuer, library: str, grant: str, status: int, code: str
) -> None:
    identity = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE, exp=1))
    is_told(library, status, code, question(server, identity, grant))


@pytest.mark.parametrize(
    ("grant", "code"),
    [
        (EXCHANGE, "invalid_request"),
        (BEARER_GRANT, "invalid_grant"),
        ("client_credentials", "unauthorized_client"),
    ],
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_tells_that_no_rule_admits_a_workload(
    server: Server, cluster: FakeIssuer, library: str, grant: str, code: str
) -> None:
    identity = leaks.handled(cluster.kubernetes_token("media", "stranger", AUDIENCE))
    asked = {**question(server, identity, grant), "client_id": "cluster:system:serviceaccount:media:stranger"}
    is_told(library, 400, code, asked)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_tells_that_a_client_id_is_not_of_this_identity(server: Server, identity: str, library: str) -> None:
    asked = {**question(server, identity, "client_credentials"), "client_id": "made-up"}
    is_told(library, 401, "invalid_client", asked)
