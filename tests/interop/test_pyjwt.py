"""PyJWT, with its own client for key sets, takes our access tokens; a resource server in Python may have no more."""

from typing import Any

import jwt
import pytest

from tests.interop.conftest import RESOURCES, Issue
from tests.served import IMAGES, REPORTS, Server

pytestmark = pytest.mark.slow

REQUIRED = ["iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti"]


def decode(server: Server, token: str, *, audience: str, algorithm: str) -> dict[str, Any]:
    """The header and the claims of a token that PyJWT accepts."""
    key = jwt.PyJWKClient(f"{server.url}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    decoded = jwt.decode_complete(
        token, key, algorithms=[algorithm], issuer=server.url, audience=audience, options={"require": REQUIRED}
    )
    return {**decoded["header"], **decoded["payload"]}


@pytest.mark.parametrize(("resource", "scope", "algorithm"), RESOURCES)
def test_pyjwt_accepts_our_token(server: Server, issue: Issue, resource: str, scope: str, algorithm: str) -> None:
    decoded = decode(server, issue(resource, scope), audience=resource, algorithm=algorithm)
    assert decoded["typ"] == "at+jwt"
    assert decoded["aud"] == resource
    assert decoded["scope"] == scope


def test_pyjwt_refuses_our_token_for_another_audience(server: Server, issue: Issue) -> None:
    with pytest.raises(jwt.InvalidAudienceError):
        decode(server, issue(IMAGES, "images:read"), audience=REPORTS, algorithm="ES256")


def test_pyjwt_refuses_our_token_where_another_algorithm_is_expected(server: Server, issue: Issue) -> None:
    with pytest.raises(jwt.InvalidAlgorithmError):
        decode(server, issue(IMAGES, "images:read"), audience=IMAGES, algorithm="RS256")
