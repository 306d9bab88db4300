"""Where a cluster's keys may be: at its issuer, at another address with its own authority and credential, in a file."""

import json
from pathlib import Path

import pytest

from authserver.testing import FakeIssuer, FrozenClock
from tests.endpoints.conftest import MakeApplication
from tests.jose.servers import Authority, Server, answer, sending
from tests.served import exchange_form

SOURCE = """
[sources.elsewhere]
type = "kubernetes"
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["ES256"]
jwks = {jwks}

[[allow]]
name = "elsewhere"
source = "elsewhere"
match = {{ namespace = "media" }}
resource = "https://images.example.com"
scope = ["images:read"]
"""
ISSUER = "https://kubernetes.default.svc.cluster.local"


@pytest.fixture
def token(cluster: FakeIssuer) -> str:
    """A token whose issuer cannot be reached under its name."""
    return cluster.kubernetes_token("media", "thumbnailer", "elsewhere", iss=ISSUER)


def source(jwks: str) -> str:
    """A source whose keys are at ``jwks``, written as TOML."""
    return SOURCE.format(issuer=ISSUER, audience="elsewhere", jwks=jwks)


def test_keys_at_an_address_with_its_own_authority_and_credential(
    tmp_path: Path, make_application: MakeApplication, cluster: FakeIssuer, token: str
) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "token").write_text("the-reviewers-token\n", encoding="ascii")
    with Server(sending(answer(cluster.jwks)), authority.server_context("127.0.0.1")).running() as server:
        place = f'url = "{server.url()}", ca_file = "{authority.file}", bearer_token_file = "{tmp_path / "token"}"'
        application = make_application(more=source(f"{{ {place} }}"))
        assert application.post(exchange_form(token)).status == 200
        assert "authorization: bearer the-reviewers-token" in server.requests[0].lower()


def test_an_address_whose_certificate_is_of_another_authority_is_not_believed(
    tmp_path: Path, make_application: MakeApplication, cluster: FakeIssuer, token: str
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    with Server(sending(answer(cluster.jwks)), authority.server_context("127.0.0.1")).running() as server:
        application = make_application(more=source(f'{{ url = "{server.url()}", ca_file = "{other.file}" }}'))
        assert application.post(exchange_form(token)).status == 503
        assert application.events[-1]["facts"]["cause"] == "tls_failed"


def test_keys_in_a_file_are_read_again_when_they_change(
    tmp_path: Path, make_application: MakeApplication, cluster: FakeIssuer, clock: FrozenClock, token: str
) -> None:
    file = tmp_path / "cluster-jwks.json"
    file.write_text(json.dumps(cluster.jwks), encoding="utf-8")
    application = make_application(more=source(f'{{ file = "{file}" }}'))
    assert application.post(exchange_form(token)).status == 200
    old = cluster.key.kid
    cluster.rotate()
    cluster.withdraw(old)
    file.write_text(json.dumps(cluster.jwks), encoding="utf-8")
    clock.advance(120)
    fresh = cluster.kubernetes_token("media", "thumbnailer", "elsewhere", iss=ISSUER)
    assert application.post(exchange_form(fresh)).status == 200
    assert application.post(exchange_form(token)).json["error"] == "invalid_request"
    assert application.reason == "key_unknown"


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "file_unreadable"),
        ("{", "answer_malformed"),
        ("x" * 300_000, "too_large"),
        ('{"keys": []}', "no_usable_key"),
    ],
)
def test_a_file_without_keys_is_an_outage_that_says_why(
    content: str | None, cause: str, tmp_path: Path, make_application: MakeApplication, token: str
) -> None:
    file = tmp_path / "cluster-jwks.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    application = make_application(more=source(f'{{ file = "{file}" }}'))
    answer = application.post(exchange_form(token))
    assert (answer.status, application.reason) == (503, "issuer_unreachable")
    assert application.events[-1]["facts"]["cause"] == cause
    assert application.ask("GET", "/readyz").json["degraded"] == ["source:elsewhere"]


def test_the_issuer_is_asked_when_nothing_else_is_said(
    make_application: MakeApplication, cluster: FakeIssuer, identity: str
) -> None:
    assert make_application().post(exchange_form(identity)).status == 200
    assert "/.well-known/openid-configuration" in cluster.requests
