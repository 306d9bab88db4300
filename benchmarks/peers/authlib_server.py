"""Authlib's authorization server on Flask, for clients that sign their assertions (RFC 7523), as its pages have it.

``benchmarks/issuing/authlib_server.py`` starts it under gunicorn. The file that ``BENCHMARK`` names has its keys and
its clients, which it reads once. Which assertions were used it remembers in a dictionary, as long as they are good; a
database would be slower.
"""

import json
import os
import time
from pathlib import Path
from typing import Any, Final

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, Response
from joserfc.jwk import Key, KeySet, import_key

SAID: Final[dict[str, Any]] = json.loads(Path(os.environ["BENCHMARK"]).read_text(encoding="utf-8"))
KEY: Final = import_key(SAID["private_jwk"])
PUBLISHED: Final = json.dumps(KeySet([KEY]).as_dict(private=False))


class Client(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """A client with its public key."""

    def __init__(self, client_id: str, jwk: dict[str, Any]) -> None:
        self.client_id = client_id
        self.key: Key = import_key(jwk)

    def get_client_id(self) -> str:
        """Its name."""
        return self.client_id

    def get_allowed_scope(self, scope: str | None) -> str:
        """What of a scope it may have."""
        return " ".join(each for each in (scope or "").split() if each == SAID["scope"])

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Whether it may authenticate in this way."""
        return endpoint == "token" and method == Assertion.CLIENT_AUTH_METHOD

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether it may use this grant."""
        return grant_type == "client_credentials"


CLIENTS: Final = {each["client_id"]: Client(**each) for each in SAID["clients"]}


class Assertion(JWTBearerClientAssertion):  # type: ignore[misc]  # Authlib has no types
    """How clients authenticate."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self) -> None:
        super().__init__()
        self._used: dict[str, float] = {}

    def get_audiences(self) -> list[str]:
        """Who an assertion must be for."""
        return [SAID["issuer"]]

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        """Whether an assertion was not used before. What ended is forgotten, oldest first."""
        now = time.time()
        while self._used and self._used[first := next(iter(self._used))] < now:
            del self._used[first]
        name = f"{claims['sub']} {jti}"
        return self._used.setdefault(name, ends := claims["exp"] + self.leeway) is ends

    def resolve_client_public_key(self, client: Client) -> Key:
        """The key that an assertion of a client is verified with."""
        return client.key


class Grant(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    """Client credentials."""

    TOKEN_ENDPOINT_AUTH_METHODS = (Assertion.CLIENT_AUTH_METHOD,)


class Tokens(JWTBearerTokenGenerator):  # type: ignore[misc]  # Authlib has no types
    """Access tokens in the form of a JWT (RFC 9068)."""

    def get_jwks(self) -> Key:
        """What signs."""
        return KEY

    def get_audiences(self, *_: object) -> str:
        """Who a token is for."""
        return str(SAID["audience"])


app = Flask(__name__)
server = AuthorizationServer(app, query_client=CLIENTS.get, save_token=lambda _token, _request: None)
server.register_client_auth_method(Assertion.CLIENT_AUTH_METHOD, Assertion())
server.register_grant(Grant)
server.register_token_generator("default", Tokens(issuer=SAID["issuer"], alg="ES256"))


@app.post("/token")
def token() -> Response:
    """The token endpoint."""
    answer: Response = server.create_token_response()
    return answer


@app.get("/jwks")
def jwks() -> Response:
    """The key set."""
    return Response(PUBLISHED, mimetype="application/json")
