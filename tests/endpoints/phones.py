"""Devices that enrol, those who invite them and those who own them, at an application in this process."""

import json
from collections.abc import Mapping
from typing import Any

from authserver.testing import FakeIssuer
from tests import leaks
from tests.devices import DeviceKey
from tests.endpoints.conftest import Application
from tests.endpoints.holders import asks_about, bearer, own_token
from tests.served import AUDIENCE, Answer

COMPANY = "https://company.auth.example.com"
ONCE = "https://once.auth.example.com"
REGISTER = f"{AUDIENCE}/register"
JSON = "application/json"


def settings(
    cluster: FakeIssuer, *, phones: str = 'enroll_with = ["company", "once"]', more: str = ""
) -> dict[str, str]:
    """An application with the device sources ``phones``, ``laptops`` and ``sensors``, and those who manage them.

    ``company`` and ``once`` may enrol phones, and ``company`` may enrol laptops too. The service account ``backend``
    may invite and manage phones, and ``operator`` may manage everything.
    """
    return {
        "keys": 'algorithms = ["ES256"]',
        "reports": "",
        "more": f"""
[sources.company]
type = "oidc"
issuer = "{cluster.issuer}"
audience = "{COMPANY}"
attributes = ["sub"]

[sources.strangers]
type = "oidc"
issuer = "{cluster.issuer}"
audience = "https://strangers.auth.example.com"
attributes = ["sub"]

[sources.phones]
type = "device"
{phones}

[sources.laptops]
type = "device"
max_per_owner = 1

[sources.sensors]
type = "device"

[[allow]]
name = "phones-of-alice"
source = "phones"
match = {{ owner = ["alice", "company:alice"] }}
resource = "https://images.example.com"
scope = ["images:read"]
{asks_about("backend", "devices:invite:phones", "devices:manage:phones")}
{asks_about("operator", "devices:invite:laptops", "devices:manage:laptops", "devices:manage:phones")}
{asks_about("images", "introspect:images")}
{more}
""",
    }


def backend_token(application: Application, cluster: FakeIssuer, scope: str = "devices:invite:phones") -> str:
    """A token with which a backend may invite phones."""
    return own_token(application, cluster, "backend", scope)


def invite(application: Application, cluster: FakeIssuer, **members: Any) -> Answer:
    """``POST /devices/invitations`` for a phone of alice; None leaves a member out."""
    document = {"source": "phones", "owner": "alice", **members}
    return post_json(
        application,
        "/devices/invitations",
        {name: value for name, value in document.items() if value is not None},
        headers=bearer(backend_token(application, cluster)),
    )


def code_for(application: Application, cluster: FakeIssuer, **members: Any) -> str:
    """An enrolment code."""
    answer = invite(application, cluster, **members)
    assert answer.status == 201, answer.json
    return leaks.handled(str(answer.json["code"]))


def signed_in(cluster: FakeIssuer, audience: str = COMPANY, **claims: Any) -> str:
    """The ID token of alice, who signed in."""
    return leaks.handled(cluster.identity_token(audience, **{"sub": "alice", **claims}))


def register(
    application: Application,
    key: DeviceKey,
    token: str | None,
    *,
    document: Mapping[str, Any] | None = None,
    proof: str | None = None,
    **more: Any,
) -> Answer:
    """``POST /register`` with an enrolment code or an ID token."""
    proof = proof or key.proof("POST", REGISTER, now=application.clock())
    headers = [*(bearer(token) if token else []), ("DPoP", proof), *more.pop("headers", [])]
    return post_json(application, "/register", key.registration() if document is None else document, headers, **more)


def enrolled(application: Application, cluster: FakeIssuer, key: DeviceKey, **members: Any) -> str:
    """The ``client_id`` of a phone that was invited just now."""
    answer = register(application, key, code_for(application, cluster, **members))
    assert answer.status == 201, answer.json
    return str(answer.json["client_id"])


def nonce(application: Application) -> str:
    """A nonce, as a device gets one: it asks without."""
    key = DeviceKey()
    proof = key.proof("GET", f"{REGISTER}/nobody", now=application.clock())
    answer = application.ask("GET", "/register/nobody", headers=[("DPoP", proof)])
    assert answer.json["error"] == "use_dpop_nonce"
    return answer.headers["DPoP-Nonce"]


def manage(application: Application, key: DeviceKey, method: str, client_id: str, **more: Any) -> Answer:
    """A request of a device about its own registration; ``claims`` are further claims of its proof."""
    claims = {"nonce": nonce(application), **more.pop("claims", {})}
    proof = more.pop("proof", None) or key.proof(method, f"{REGISTER}/{client_id}", now=application.clock(), **claims)
    headers = [("DPoP", proof)]
    if "document" in more:
        return post_json(application, f"/register/{client_id}", more.pop("document"), headers, method=method)
    return application.ask(method, f"/register/{client_id}", headers=headers, **more)


def post_json(
    application: Application,
    path: str,
    document: Mapping[str, Any] | bytes,
    headers: list[tuple[str, str]],
    *,
    method: str = "POST",
    **more: Any,
) -> Answer:
    """A request with a JSON body."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return application.ask(method, path, body=body, headers=headers, **{"content_type": JSON, **more})
