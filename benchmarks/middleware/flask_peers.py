"""The same Flask application, once for each way to protect it: ``/open`` is open, ``/protected`` takes an access token.

gunicorn calls :func:`application`; the setting comes as JSON in the environment variable ``BENCHMARK_SETTING``. Every
way verifies the token and its scope, and the view answers who it is for.
"""

import json
import os
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, Protocol

import jwt
from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask, abort, g, request
from flask_jwt_extended import JWTManager, get_jwt, jwt_required
from joserfc.jwk import KeySet

from authserver.oauth import JWKS_PATH
from authserver.resource.flask import ResourceServer
from benchmarks.middleware.verifiers import SCOPE, Setting

VARIABLE: Final = "BENCHMARK_SETTING"

View = Callable[[], Any]


class Way(Protocol):
    """One way to protect a view."""

    def protect(self, view: View) -> View:
        """The view, for good tokens only."""
        ...  # a protocol has no body

    def subject(self) -> str:
        """Within the view, who the token is for."""
        ...  # a protocol has no body


class Ours:
    """``requires()`` as it is by default."""

    def __init__(self, _app: Flask, setting: Setting) -> None:
        self._api = ResourceServer(issuer=setting.issuer, audience=setting.audience)

    def protect(self, view: View) -> View:  # noqa: D102 - as the protocol says
        return self._api.requires(SCOPE)(view)

    def subject(self) -> str:  # noqa: D102
        return self._api.token.subject


class ByHand:
    """PyJWT in a decorator, as people write it, with one key that is known."""

    def __init__(self, _app: Flask, setting: Setting) -> None:
        self._setting = setting
        self._key = jwt.PyJWK(dict(setting.jwk)).key

    def key(self, _token: str) -> Any:
        """The key for a token."""
        return self._key

    def protect(self, view: View) -> View:  # noqa: D102
        @wraps(view)
        def protected() -> Any:
            g.claims = self._verified(request.headers.get("Authorization", ""))
            if SCOPE not in g.claims.get("scope", "").split():
                abort(403)
            return view()

        return protected

    def subject(self) -> str:  # noqa: D102
        return str(g.claims["sub"])

    def _verified(self, header: str) -> Mapping[str, Any]:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            abort(401)
        setting = self._setting
        try:
            return jwt.decode(
                token, self.key(token), [setting.algorithm], issuer=setting.issuer, audience=setting.audience
            )
        except jwt.PyJWTError:
            abort(401)


class ByHandWithKeys(ByHand):
    """The same with the key set of the issuer, in which PyJWT looks up the token's ``kid``."""

    def __init__(self, app: Flask, setting: Setting) -> None:
        super().__init__(app, setting)
        self._keys = jwt.PyJWKClient(setting.issuer + JWKS_PATH)

    def key(self, token: str) -> Any:  # noqa: D102
        return self._keys.get_signing_key_from_jwt(token).key


class Authlib:
    """Authlib's ResourceProtector with its validator of RFC 9068, the keys parsed once."""

    def __init__(self, _app: Flask, setting: Setting) -> None:
        keys = KeySet.import_key_set({"keys": [dict(setting.jwk)]})

        class Validator(JWTBearerTokenValidator):  # type: ignore[misc]
            def get_jwks(self) -> KeySet:
                return keys

        self._require = ResourceProtector()
        self._require.register_token_validator(Validator(setting.issuer, setting.audience))

    def protect(self, view: View) -> View:  # noqa: D102
        protected: View = self._require(SCOPE)(view)
        return protected

    def subject(self) -> str:  # noqa: D102
        return str(current_token["sub"])


class Extended:
    """flask-jwt-extended, with the public key as its documentation has it, and the scope checked by hand."""

    def __init__(self, app: Flask, setting: Setting) -> None:
        app.config |= {
            "JWT_ALGORITHM": setting.algorithm,
            "JWT_PUBLIC_KEY": pem(setting),
            "JWT_DECODE_ISSUER": setting.issuer,
            "JWT_DECODE_AUDIENCE": setting.audience,
        }
        JWTManager(app)

    def protect(self, view: View) -> View:  # noqa: D102
        def within_scope() -> Any:
            if SCOPE not in get_jwt().get("scope", "").split():
                abort(403)
            return view()

        protected: View = jwt_required()(within_scope)
        return protected

    def subject(self) -> str:  # noqa: D102
        return str(get_jwt()["sub"])


WAYS: Final[Mapping[str, Callable[[Flask, Setting], Way]]] = {
    "authserver": Ours,
    "PyJWT by hand, one key": ByHand,
    "PyJWT by hand, key set": ByHandWithKeys,
    "Authlib": Authlib,
    "flask-jwt-extended": Extended,
}


def application(name: str) -> Flask:
    """The application that is protected in the way of this name."""
    return protected_in(name, Setting(**json.loads(os.environ[VARIABLE])))


def protected_in(name: str, setting: Setting) -> Flask:
    """The same with a setting that is handed in."""
    app = Flask(__name__)
    way = WAYS[name](app, setting)

    def open_to_all() -> dict[str, str]:
        return {"subject": "tests:somebody"}

    def protected() -> dict[str, str]:
        return {"subject": way.subject()}

    app.add_url_rule("/open", view_func=open_to_all)
    app.add_url_rule("/protected", "protected", way.protect(protected))
    return app


def pem(setting: Setting) -> str:
    """The public key in PEM."""
    key = jwt.PyJWK(dict(setting.jwk)).key
    return str(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii"))
