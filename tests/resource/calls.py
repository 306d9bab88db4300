"""A Flask application and a device that calls it."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.test import Client, TestResponse

from authserver.resource.flask import ResourceServer
from authserver.testing import FakeIssuer, FrozenClock
from tests.devices import DeviceKey
from tests.resource.environment import AUDIENCE, bound_token

OUTSIDE = {"REMOTE_ADDR": "203.0.113.7"}
"""The environment of a request from another machine."""

MakeApp = Callable[..., Flask]


def make_app(issuer: FakeIssuer, clock: FrozenClock, **options: Any) -> Flask:
    """An API with a few views; ``options`` are those of the resource server."""
    app = Flask(__name__)
    api = ResourceServer(issuer=issuer.issuer, clock=clock, **{"audience": AUDIENCE, **options})

    @app.route("/images", methods=["GET", "POST"])
    @app.get("/images/<path:name>")
    @api.requires("images:read")
    def images(name: str = "") -> dict[str, str | None]:
        return {"caller": api.token.subject, "device": api.token.thumbprint, "name": name}

    @app.get("/secret")
    @api.requires("images:admin")
    def secret() -> str:
        return "secret"

    @app.get("/broken")
    @api.requires()
    def broken() -> str:
        raise KeyError("the view's own mistake")

    api.init_app(app)
    return app


class Device:
    """Calls an application as a device does."""

    def __init__(self, issuer: FakeIssuer, clock: FrozenClock) -> None:
        self.key = DeviceKey()
        self.clock = clock
        self.token = bound_token(issuer, self.key)

    def headers(self, path: str = "/images", *, url: str | None = None, **proof: Any) -> dict[str, str]:
        members = {"now": self.clock(), "access_token": self.token, **proof}
        made = self.key.proof(members.pop("method", "GET"), url or AUDIENCE + path, **members)
        return {"Authorization": f"DPoP {self.token}", "DPoP": made}

    def call(self, client: Client, path: str = "/images", **proof: Any) -> TestResponse:
        return client.get(path, headers=self.headers(path, **proof), environ_overrides=OUTSIDE)
