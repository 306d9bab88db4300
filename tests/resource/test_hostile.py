"""Every row of the hostile table that applies to an access token, at the verifier and over HTTP."""

import pytest
from flask import Flask

from authserver.errors import Reason
from authserver.resource import AccessTokenVerifier
from authserver.resource.flask import ResourceServer
from authserver.testing import FakeIssuer, FrozenClock, Hostile, hostile_tokens
from tests.resource.environment import AUDIENCE, REQUIRED, claims, refusal
from tests.resource.live import get, serving


@pytest.fixture
def hostiles(issuer: FakeIssuer, clock: FrozenClock) -> list[Hostile]:
    return list(hostile_tokens(issuer, claims(issuer, clock), now=clock(), typ="at+jwt", required=REQUIRED))


@pytest.fixture
def app(issuer: FakeIssuer, clock: FrozenClock) -> Flask:
    app = Flask(__name__)
    api = ResourceServer(issuer=issuer.issuer, audience=AUDIENCE, clock=clock)

    @app.get("/images")
    @api.requires("images:read")
    def images() -> str:
        return "images"

    return app


def test_the_verifier_refuses_every_row(verifier: AccessTokenVerifier, hostiles: list[Hostile]) -> None:
    """R38, R91, R92, R94, R95, R99"""
    reasons = {hostile.name: refusal(verifier, hostile.token) for hostile in hostiles}
    assert len(reasons) == len(hostiles) > 90
    assert Reason.KEYS_UNAVAILABLE not in reasons.values()


def test_the_verifier_asks_the_issuer_once_for_all_of_them(
    verifier: AccessTokenVerifier, hostiles: list[Hostile], issuer: FakeIssuer
) -> None:
    """R92: however many unknown keys a caller names, it is not the caller who decides on fetches."""
    for hostile in hostiles:
        refusal(verifier, hostile.token)
    assert issuer.fetches == 1


def test_the_api_answers_every_row_with_401_invalid_token(app: Flask, hostiles: list[Hostile]) -> None:
    """R98, R100: and always with the same words."""
    with app.test_client() as client:
        answers = {
            (hostile.name, answer.status_code, answer.headers["WWW-Authenticate"], answer.text)
            for hostile in hostiles
            if hostile.fits_a_header
            for answer in [client.get("/images", headers={"Authorization": f"Bearer {hostile.token}"})]
        }
    assert {status for _, status, _, _ in answers} == {401}
    assert len({(challenge, body) for _, _, challenge, body in answers}) == 1
    assert len(answers) > 90


def test_a_real_server_answers_every_row_with_401_invalid_token(
    app: Flask, hostiles: list[Hostile], issuer: FakeIssuer
) -> None:
    """R98, R100"""
    with serving(app) as port:
        good = get(port, "/images", ("Authorization", f"Bearer {issuer.access_token(AUDIENCE, 'images:read')}"))
        assert (good.status, good.body) == (200, b"images")
        for hostile in hostiles:
            if hostile.fits_a_header:
                answer = get(port, "/images", ("Authorization", f"Bearer {hostile.token}"))
                assert answer.status == 401, hostile.name
                assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"], hostile.name
