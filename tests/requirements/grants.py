"""The same request in each of the three grants, and what each grant answers when it does not believe a credential."""

from typing import Final

import pytest

from tests.served import ASSERTION_TYPE, BEARER_GRANT, EXCHANGE, IMAGES, JWT_TYPE

REJECTED: Final = {
    "token-exchange": (400, "invalid_request"),  # RFC 8693 section 2.2.2
    "jwt-bearer": (400, "invalid_grant"),  # RFC 7523 section 3.1
    "client_credentials": (401, "invalid_client"),  # RFC 7523 section 3.2
}
"""Status and error code for a credential that is rejected."""

each_grant = pytest.mark.parametrize("grant", list(REJECTED))


def form(grant: str, token: str, **changes: str | None) -> dict[str, str]:
    """A request for ``images:read`` by ``token``; None takes a parameter away."""
    credential: dict[str, dict[str, str | None]] = {
        "token-exchange": {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": JWT_TYPE},
        "jwt-bearer": {"grant_type": BEARER_GRANT, "assertion": token},
        "client_credentials": {
            "grant_type": "client_credentials",
            "client_assertion": token,
            "client_assertion_type": ASSERTION_TYPE,
        },
    }
    merged = {"resource": IMAGES, "scope": "images:read", **credential[grant], **changes}
    return {name: value for name, value in merged.items() if value is not None}
