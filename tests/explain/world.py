"""A running application, and what it and ``explain`` decide about the same request."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from werkzeug.test import Client

from authserver.cli.explain.answer import answer
from authserver.cli.explain.caller import Callers
from authserver.cli.explain.document import document
from authserver.hosting.flask import create_app
from authserver.model import Device
from authserver.server import build, prepare
from authserver.settings import load
from authserver.testing import FakeIssuer, FrozenClock
from tests import leaks
from tests.devices import PHONES, DeviceKey, token_form
from tests.endpoints.conftest import Application
from tests.served import AUDIENCE, exchange_form, write_configuration

BOUND = "https://bound.example.com"
RULES = """
[[allow]]
name = "media-deletes-nothing"
source = "cluster"
match = { namespace = ["media", "batch"], service_account = { glob = "up*" } }
resource = "https://images.example.com"
scope = ["images:read", "images:write"]
lifetime = "5m"

[[allow]]
name = "watched"
source = "cluster"
match = { namespace = "batch" }
resource = "https://images.example.com"
scope = ["images:write"]
mode = "audit"
"""


class World:
    """An application, the issuer of its callers, and the file that both it and ``explain`` were started with."""

    def __init__(self, folder: Path, issuer: FakeIssuer, clock: FrozenClock) -> None:
        self.issuer, self.clock = issuer, clock
        more = RULES + PHONES.format(phones="")
        self.configuration = write_configuration(folder, cluster=issuer.issuer, issuer=AUDIENCE, more=more)
        self.settings = load(self.configuration)
        prepare(self.settings, clock=clock)
        audit = io.BytesIO()
        self.service = build(self.settings, clock=clock, audit_stream=audit)
        self.application = Application(self.service, Client(create_app(self.service)), clock, audit)
        self.devices: dict[str, DeviceKey] = {}

    def enroll(self, name: str, **changes: Any) -> tuple[str, DeviceKey]:
        """A device of alice's that may read images, and its key."""
        key = DeviceKey()
        device = Device(
            client_id=f"dev_{name:x<22}",
            source="phones",
            sub="phones:owner/alice",
            owner="alice",
            jwk=key.jwk,
            thumbprint=key.thumbprint,
            created_at=self.clock(),
            platform="ios",
        )
        enrolled = self.service.store.enroll(
            replace(device, **changes), code_hash=None, max_per_owner=None, now=self.clock()
        )
        self.devices[enrolled.client_id] = key
        return enrolled.client_id, key

    def token(self, namespace: str, service_account: str, **claims: Any) -> str:
        return leaks.handled(self.issuer.kubernetes_token(namespace, service_account, AUDIENCE, **claims))

    def decided(self, token: str, resource: str, scope: str | None) -> dict[str, Any]:
        """What the token endpoint decides, from its answer and its audit event, when it gets a proof too if it must."""
        form = exchange_form(token, resource=None, audience=resource, scope=scope)
        return self._decided(form, DeviceKey() if resource == BOUND else None)

    def decided_of_device(self, client_id: str, assertion: str, resource: str, scope: str | None) -> dict[str, Any]:
        """What the token endpoint decides about an assertion, when it gets a proof by the device's key too."""
        form = token_form(client_id, assertion, resource=None, audience=resource, scope=scope)
        return self._decided(form, self.devices.get(client_id))

    def _decided(self, form: dict[str, str], key: DeviceKey | None) -> dict[str, Any]:
        proofs = [] if key is None else [("DPoP", key.proof("POST", f"{AUDIENCE}/token", now=self.clock()))]
        reply = self.application.post(form, headers=proofs)
        event = self.application.events[-1]
        lifetime = reply.json.get("expires_in")
        granted = {"scope": event.get("scope"), "lifetime": lifetime, "rules": event.get("rules")}
        return {
            "reason": event.get("reason"),
            "facts": event.get("facts", {}),
            "granted": granted if lifetime else None,
        }

    def explained(self, token: str, resource: str, scope: str | None) -> dict[str, Any]:
        """What ``explain`` says that it decides."""
        callers = Callers(self.settings, self.clock())
        found = answer(self.settings.policy(), resource, scope, lambda: callers.of_token(token), self.clock())
        told = json.loads(json.dumps(document(found)))
        return {name: told[name] for name in ("reason", "facts", "granted")}

    def files(self) -> dict[str, bytes]:
        """Everything that is kept, without the memory that SQLite's readers and writers share (``-shm``)."""
        folder = self.configuration.parent
        return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}
