"""An authorization server and an API as a client meets them, over real HTTP. joserfc judges what the client signs.

Nothing in this module imports authserver. It does what the contract says of devices, and can be told to fail.
"""

import json
import sys
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, thumbprint

from tests import leaks
from tests.devices import ASSERTION_TYPE, hash_of

PROOFS = ["ES256", "EdDSA"]
SKEW, MAX_AGE = 30, 60


@dataclass
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Message
    body: bytes = field(repr=False)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Said:
    """What is answered."""

    status: int
    document: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """An error of the protocol."""

    def __init__(self, status: int, code: str, **headers: str) -> None:
        super().__init__(code)
        told = {"error": code, "error_description": f"No: {code}.", "request_id": "r-1"}
        challenge = {"WWW-Authenticate": f'DPoP error="{code}"'} if status == 401 else {}
        self.said = Said(
            status, told, {**challenge, **{key.replace("_", "-"): value for key, value in headers.items()}}
        )


class FakeServer:
    """Listens on 127.0.0.1 while its ``with`` statement lasts."""

    def __init__(self) -> None:
        self.codes = {leaks.handled("asenroll_a-code-that-is-good"), leaks.handled("asenroll_another-good-code")}
        self.code, self.other_code = sorted(self.codes, reverse=True)
        self.by_code: dict[str, tuple[str, str]] = {}
        self.devices: dict[str, dict[str, Any]] = {}
        self.asked: list[Asked] = []
        self.nonce = "nonce-1"
        self.clock_offset = 0.0
        self.plans: list[Callable[[Asked], Said | None]] = []
        self.issued: dict[str, str] = {}
        self.failures: list[BaseException] = []
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.fake = self
        self.issuer = f"http://127.0.0.1:{self._http.server_port}"
        self.api = f"{self.issuer}/images"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()
        assert self.failures == [], "the client sent what it must not"

    def lose_next(self) -> None:
        """Do what the next request asks for, and close the connection without an answer."""

        def lost(asked: Asked) -> None:
            self._done(asked)

        self.plans.append(lost)

    def say_next(self, said: Said) -> None:
        """Answer the next request with this, and do nothing of what it asks for."""
        self.plans.append(lambda _: said)

    def change_next(self, **members: Any) -> None:
        """Do what the next request asks for, and change its answer."""

        def changed(asked: Asked) -> Said:
            said = self._done(asked)
            return replace(said, document={**(said.document or {}), **members})

        self.plans.append(changed)

    def now(self) -> float:
        return time.time() + self.clock_offset

    def answer(self, asked: Asked) -> Said | None:
        with self._lock:
            self.asked.append(asked)
            if asked.path == "/.well-known/oauth-authorization-server":
                return Said(200, self.metadata())
            return self.plans.pop(0)(asked) if self.plans else self._done(asked)

    def metadata(self) -> dict[str, Any]:
        base = self.issuer
        return {"issuer": base, "token_endpoint": f"{base}/token", "registration_endpoint": f"{base}/register"}

    def _done(self, asked: Asked) -> Said:
        try:
            return self._dispatched(asked)
        except Refusal as refusal:
            return refusal.said

    def _dispatched(self, asked: Asked) -> Said:
        if asked.path == "/register":
            return self._register(asked)
        if asked.path.startswith("/register/"):
            return self._registered(asked, asked.path.removeprefix("/register/"))
        if asked.path == "/token":
            return self._token(asked)
        return self._images(asked)

    def _register(self, asked: Asked) -> Said:
        document = json.loads(asked.body)
        code = asked.headers["Authorization"].removeprefix("Bearer ")
        (jwk,) = document["jwks"]["keys"]
        name = self.proof(asked, asked.headers["DPoP"], 400)["jkt"]
        assert name == thumbprint(dict(jwk))
        assert "d" not in jwk
        if code not in self.codes or self.by_code.get(code, ("", name))[1] != name:
            raise Refusal(401, "invalid_token")
        if any(device["jkt"] == name for device in self.devices.values()) and code not in self.by_code:
            raise Refusal(400, "invalid_client_metadata")
        client_id, _ = self.by_code.setdefault(code, (f"dev_{len(self.devices):022}", name))
        self.devices.setdefault(client_id, {"jwk": jwk, "jkt": name, "metadata": document})
        return Said(201, self._described(client_id))

    def _described(self, client_id: str) -> dict[str, Any]:
        device = self.devices[client_id]
        uri = f"{self.issuer}/register/{client_id}"
        said = {"client_id": client_id, "registration_client_uri": uri, "jwks": {"keys": [device["jwk"]]}}
        return {**said, "client_name": device["metadata"]["client_name"]}

    def _registered(self, asked: Asked, client_id: str) -> Said:
        proven = self.proof(asked, asked.headers["DPoP"], 401, nonce_required=True)
        device = self.devices.get(client_id)
        if device is None or device["jkt"] != proven["jkt"]:
            raise Refusal(401, "invalid_token")
        if asked.method == "DELETE":
            del self.devices[client_id]
            return Said(204)
        if asked.method == "PUT":
            document = json.loads(asked.body)
            (jwk,) = document["jwks"]["keys"]
            new = self.proof(asked, document["new_key_proof"], 401, nonce_required=True)
            assert new["jkt"] == proven["new_jkt"] == thumbprint(dict(jwk))
            device.update(jwk=jwk, jkt=new["jkt"])
        return Said(200, self._described(client_id))

    def _token(self, asked: Asked) -> Said:
        form = asked.form
        assert form["grant_type"] == "client_credentials"
        assert form["client_assertion_type"] == ASSERTION_TYPE
        device = self.devices.get(form["client_id"])
        if device is None:
            raise Refusal(401, "invalid_client")
        self._check_assertion(form["client_assertion"], form["client_id"], device)
        proven = self.proof(asked, asked.headers["DPoP"], 400)
        if proven["jkt"] != device["jkt"]:
            raise Refusal(400, "invalid_dpop_proof")
        token = leaks.handled(f"an-access-token-{len(self.issued):022}")
        self.issued[token] = proven["jkt"]
        told = {"access_token": token, "token_type": "DPoP", "expires_in": 3600, "scope": form["scope"]}
        return Said(200, told, {"DPoP-Nonce": self.nonce})

    def _check_assertion(self, assertion: str, client_id: str, device: Mapping[str, Any]) -> None:
        try:
            decoded = jwt.decode(assertion, JWKRegistry.import_key(dict(device["jwk"])), algorithms=PROOFS)
        except JoseError as error:
            raise Refusal(401, "invalid_client") from error
        claims, now = decoded.claims, self.now()
        assert decoded.header["typ"] == "client-authentication+jwt"
        assert (claims["iss"], claims["sub"], claims["aud"]) == (client_id, client_id, self.issuer)
        assert claims["exp"] - claims["iat"] <= 300
        if not now - SKEW < claims["exp"] <= now + 300 + SKEW or claims["iat"] > now + SKEW:
            raise Refusal(401, "invalid_client")
        self._once(claims["jti"])

    def _images(self, asked: Asked) -> Said:
        scheme, _, token = asked.headers["Authorization"].partition(" ")
        proven = self.proof(asked, asked.headers["DPoP"], 401)
        assert scheme == "DPoP"
        assert proven["jkt"] == self.issued[token]
        assert proven["ath"] == hash_of(token)
        return Said(200, {"images": []}, {"DPoP-Nonce": self.nonce})

    def proof(self, asked: Asked, proof: str, status: int, *, nonce_required: bool = False) -> dict[str, Any]:
        """The claims of a proof that is right, with the thumbprint of its key."""
        header = json.loads(_decoded(proof.partition(".")[0]))
        assert header["typ"] == "dpop+jwt"
        assert "d" not in header["jwk"]
        claims = jwt.decode(proof, JWKRegistry.import_key(dict(header["jwk"])), algorithms=PROOFS).claims
        assert (claims["htm"], claims["htu"]) == (asked.method, self.issuer + asked.path.partition("?")[0])
        late = not self.now() - MAX_AGE - SKEW < claims["iat"] <= self.now() + SKEW
        if claims.get("nonce") != self.nonce and (late or nonce_required or "nonce" in claims):
            raise Refusal(status, "use_dpop_nonce", DPoP_Nonce=self.nonce)
        self._once(claims["jti"])
        return {**claims, "jkt": thumbprint(dict(header["jwk"]))}

    def _once(self, identifier: str) -> None:
        assert identifier not in self._seen
        self._seen.add(identifier)


def _decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "==")


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeServer

    def handle_error(self, *_: Any) -> None:
        """What the client did wrong fails its test."""
        failure = sys.exc_info()[1]
        if isinstance(failure, AssertionError | LookupError | ValueError | JoseError):
            self.fake.failures.append(failure)


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        said = self.server.fake.answer(Asked(self.command, self.path, self.headers, body))
        if said is None:
            return
        raw = b"" if said.document is None else json.dumps(said.document).encode()
        self.send_response_only(said.status)
        self.send_header("Date", formatdate(self.server.fake.now(), usegmt=True))
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(raw)),
            **said.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names are the base class's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""
