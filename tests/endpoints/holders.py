"""Those who hold tokens of ours: what they ask the introspection and revocation endpoints, and where they get them."""

import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from authserver.jose.sign import sign
from authserver.testing import FakeIssuer
from tests import leaks
from tests.endpoints.conftest import FORM, Application
from tests.served import AUDIENCE, IMAGES, Answer, exchange_form

INACTIVE = b'{"active":false}'

SUB = "cluster:system:serviceaccount:media:thumbnailer"
"""Whose tokens are asked about."""


def asks_about(name: str, *scope: str) -> str:
    """A rule that lets the service account ``name`` have this scope at our own issuer."""
    return f"""
[[allow]]
name = "{name}-asks"
source = "cluster"
match = {{ namespace = "media", service_account = "{name}" }}
resource = "{AUDIENCE}"
scope = [{", ".join(f'"{each}"' for each in scope)}]
"""


_RULES = asks_about("images", "introspect:images") + asks_about("gateway", "introspect:images", "introspect:reports")

SETTINGS = {"more": _RULES, "keys": 'algorithms = ["ES256"]', "reports": ""}
"""An application with these rules, which is quick to make: keys for one algorithm are enough."""


def issued(application: Application, cluster: FakeIssuer, account: str = "thumbnailer", **changes: str | None) -> str:
    """A token from the token endpoint: by default one for images."""
    identity = leaks.handled(cluster.kubernetes_token("media", account, AUDIENCE))
    answer = application.post(exchange_form(identity, **changes))
    assert answer.status == 200, answer.json["error"]
    return str(answer.json["access_token"])


def own_token(application: Application, cluster: FakeIssuer, account: str = "images", scope: str = "") -> str:
    """A token for our own issuer, with which ``account`` may ask."""
    return issued(application, cluster, account, resource=AUDIENCE, scope=scope or "introspect:images")


def crafted(application: Application, algorithm: str = "ES256", typ: str = "at+jwt", **claims: Any) -> str:
    """A token that no rule leads to, signed by our own active key; None takes a claim away."""
    now = application.clock()
    usual = {
        "iss": application.issuer,
        "sub": SUB,
        "aud": IMAGES,
        "client_id": SUB,
        "scope": "images:read",
        "iat": int(now),
        "exp": int(now) + 600,
        "jti": secrets.token_urlsafe(16),
    }
    members = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return leaks.handled(sign(application.service.ring.signing_key(algorithm, now), typ, members))


def bearer(token: str) -> list[tuple[str, str]]:
    """The header that carries a token (RFC 6750 section 2.1)."""
    return [("Authorization", f"Bearer {token}")]


def introspect(
    application: Application,
    caller: str | None,
    token: str | None,
    *,
    form: Sequence[tuple[str, str]] = (),
    **more: Any,
) -> Answer:
    """``POST /introspect``; None leaves the caller's token out, or the parameter."""
    headers = [*(bearer(caller) if caller else []), *more.pop("headers", [])]
    return post(application, "/introspect", token, form=form, headers=headers, **more)


def revoke(application: Application, token: str | None, *, form: Sequence[tuple[str, str]] = (), **more: Any) -> Answer:
    """``POST /revoke``; None leaves the parameter out."""
    return post(application, "/revoke", token, form=form, **more)


def post(
    application: Application, path: str, token: str | None, *, form: Sequence[tuple[str, str]] = (), **more: Any
) -> Answer:
    """A form with a token in it."""
    fields = [*([("token", token)] if token is not None else []), *form]
    return application.ask("POST", path, **{"body": urlencode(fields).encode(), "content_type": FORM, **more})
