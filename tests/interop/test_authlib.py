"""Authlib's validator of RFC 9068 takes our access tokens, with the keys at the address that the metadata names."""

from typing import Any

import pytest
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

from tests.interop.conftest import RESOURCES, WORKLOAD, Issue
from tests.served import IMAGES, REPORTS, Server, ask

pytestmark = pytest.mark.slow


class Validator(JWTBearerTokenValidator):  # type: ignore[misc]  # Authlib ships no types.
    """The validator as its documentation says to write one."""

    def get_jwks(self) -> KeySet:
        metadata = ask("GET", f"{self.issuer}/.well-known/oauth-authorization-server").json
        return KeySet.import_key_set(ask("GET", metadata["jwks_uri"]).json)


def validate(server: Server, token: str, *, audience: str, scope: str) -> Any:
    """The claims of a token that Authlib accepts."""
    validator = Validator(issuer=server.url, resource_server=audience)
    claims = validator.authenticate_token(token)
    validator.validate_token(claims, [scope], request=None)
    return claims


@pytest.mark.parametrize(("resource", "scope", "algorithm"), RESOURCES)
def test_authlib_accepts_our_token(server: Server, issue: Issue, resource: str, scope: str, algorithm: str) -> None:
    claims = validate(server, issue(resource, scope), audience=resource, scope=scope)
    assert claims.header["typ"] == "at+jwt"
    assert claims.header["alg"] == algorithm
    assert claims["sub"] == claims["client_id"] == WORKLOAD


def test_authlib_refuses_our_token_for_another_audience(server: Server, issue: Issue) -> None:
    with pytest.raises(InvalidTokenError):
        validate(server, issue(IMAGES, "images:read"), audience=REPORTS, scope="images:read")


def test_authlib_refuses_our_token_for_another_scope(server: Server, issue: Issue) -> None:
    with pytest.raises(InsufficientScopeError):
        validate(server, issue(IMAGES, "images:read"), audience=IMAGES, scope="images:write")
