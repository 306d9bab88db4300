"""An issuer that is asked about its tokens, made by joserfc: what it answers is up to the test."""

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qs

from authserver.testing import FrozenClock
from authserver.testing.loopback import Form, Loopback, Page
from tests import leaks, oracle
from tests.resource import environment

Answer = tuple[int, bytes]


class AskedIssuer:
    """Answers a question with what ``answer`` makes of the claims that the token has; they are as it signed them."""

    def __init__(self, clock: FrozenClock) -> None:
        self.clock = clock
        self.key = oracle.make_key()
        self.server = Loopback(self._page, self._form)
        self.asked: list[Mapping[str, Any]] = []
        self.credentials: list[str] = []
        self.metadata: dict[str, Any] = {}
        self.active: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda claims: {"active": True, **claims}
        self.raw: Callable[[str], Answer | None] = lambda _: None
        self.gate = threading.Event()
        self.gate.set()
        self._claims: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self.server.stop()

    @property
    def issuer(self) -> str:
        return self.server.origin

    def token(self, **changes: Any) -> str:
        """An access token for the API under test; None takes a claim away."""
        claims = environment.claims(self.issuer, self.clock, **changes)
        token = leaks.handled(oracle.sign(self.key, claims, typ="at+jwt"))
        self._claims[token] = claims
        return token

    def _page(self, path: str) -> Page | None:
        documents = {
            "/.well-known/oauth-authorization-server": {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
                "introspection_endpoint": f"{self.issuer}/ask",
                **self.metadata,
            },
            "/keys": oracle.jwks(self.key),
        }
        return _page(documents[path]) if path in documents else None

    def _form(self, form: Form) -> Page | None:
        asked = {name: values[0] for name, values in parse_qs(form.body.decode("ascii")).items()}
        self.asked.append(asked)
        self.credentials.append(form.authorization)
        self.gate.wait(30)
        raw = self.raw(form.authorization)
        if raw is not None:
            return Page("application/json", raw[1], HTTPStatus(raw[0]))
        return _page(self.active(self._claims[asked["token"]])) if form.path == "/ask" else None


def _page(document: Mapping[str, Any]) -> Page:
    return Page("application/json", json.dumps(document).encode("ascii"))
