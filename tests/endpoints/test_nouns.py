"""What is made for each request, and travels between the rooms."""

import logging

from authserver.endpoints.http import Request, Response
from authserver.jose.dpop import Proof
from authserver.model import AccessToken, Credential, DeviceRecord, Subject, TokenRequest
from authserver.oauth import Grant
from authserver.telemetry import json_formatter
from tests.store.device_contract import device


def test_what_travels_between_the_rooms_shows_no_secret() -> None:
    """Whatever ends up in a traceback or in a log by mistake."""
    headers = {"authorization": ("Bearer secret",)}
    credential = Credential("secret", authenticates_client=True)
    record = DeviceRecord(device(1, name="secret"), ("secret",))
    nouns = (
        Subject("phones", "alice", {}, "an-id", record=record),
        Request("POST", "request-1", "192.0.2.1", query="token=secret", headers=headers, body=b"secret"),
        Response(200, body=b"secret"),
        credential,
        TokenRequest("request-1", "192.0.2.1", Grant.JWT_BEARER, credential, (), (), None, proofs=("secret",)),
        AccessToken("secret", "an-id", "a-key", ("images:read",), 0, 900, "Bearer"),
        Proof("thumbprint", {}, "use", 0, "secret", {"nonce": "secret"}),
    )
    for noun in nouns:
        assert "secret" not in repr(noun)
        line = logging.makeLogRecord({"msg": "seen", "noun": noun, "nouns": [noun]})
        assert "secret" not in json_formatter().format(line)
