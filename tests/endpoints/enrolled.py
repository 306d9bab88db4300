"""Devices that are enrolled already, and what they ask the token endpoint."""

import secrets
from collections.abc import Sequence
from typing import Any

from authserver.model import Device
from tests.devices import PHONES, DeviceKey, token_form
from tests.endpoints.conftest import Application
from tests.served import Answer

TOKEN_URL = "https://auth.example.com/token"

SETTINGS: dict[str, Any] = {"more": PHONES.format(phones=""), "keys": 'algorithms = ["ES256"]', "reports": ""}
"""An application with a device source, which is quick to make: keys for one algorithm are enough."""


def enroll(application: Application, key: DeviceKey, *, source: str = "phones", **members: Any) -> str:
    """Put a device of alice into the store; its ``client_id``."""
    client_id = f"dev_{secrets.token_urlsafe(16)}"
    device = Device(
        client_id=client_id,
        source=source,
        **{
            "sub": f"{source}:owner/alice",
            "owner": "alice",
            "jwk": key.jwk,
            "thumbprint": key.thumbprint,
            "created_at": application.clock(),
            **members,
        },
    )
    application.service.store.enroll(device, code_hash=None, max_per_owner=None, now=application.clock())
    return client_id


def dpop(*proofs: str) -> list[tuple[str, str]]:
    """The headers that carry proofs."""
    return [("DPoP", proof) for proof in proofs]


def ask_for_token(
    application: Application,
    client_id: str,
    key: DeviceKey,
    *,
    assertion: str | None = None,
    proofs: Sequence[str] | None = None,
    **changes: str | None,
) -> Answer:
    """A device's token request, with an assertion and a proof that are good unless others are given."""
    now = application.clock()
    good = key.assertion(client_id, application.issuer, now=now) if assertion is None else assertion
    proofs = (key.proof("POST", TOKEN_URL, now=now),) if proofs is None else proofs
    return application.post(token_form(client_id, good, **changes), headers=dpop(*proofs))
