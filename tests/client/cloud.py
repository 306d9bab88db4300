"""An authorization server that gives bearer tokens, and an API that takes them, as a workload meets them over HTTP."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from authserver.client.supplier import Offer
from authserver.oauth import Grant
from tests.leaks import handled

IDENTITY = "an-identity-token-of-a-workload"
RESOURCE = "https://images.example.com"
WITHDRAWN = 'Bearer error="invalid_token"'


class Workload:
    """A supplier of an identity token."""

    name = "workload"

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens or (IDENTITY,))
        self.offers = 0

    def present(self) -> bool:
        return True

    def offer(self, now: float) -> Offer:
        assert now > 0
        self.offers += 1
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        return Offer(Grant.JWT_BEARER, {"assertion": handled(token)})


@dataclass(frozen=True)
class Called:
    """A request to the API."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def token(self) -> str | None:
        authorization = self.headers.get("Authorization")
        return authorization.removeprefix("Bearer ") if authorization else None


@dataclass
class Said:
    """What is answered instead of the usual."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)


class Cloud:
    """Listens on 127.0.0.1 while its ``with`` statement lasts. While ``gate`` is cleared, exchanges wait for it."""

    def __init__(self) -> None:
        self.exchanges = 0
        self.metadata = 0
        self.lifetime = 3600
        self.calls: list[Called] = []
        self.exchange_plans: list[Said] = []
        self.api_plans: list[Said] = []
        self.valid: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.cloud = self
        self.issuer = f"http://127.0.0.1:{self._http.server_port}"
        self.api = f"{self.issuer}/images"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.gate.set()
        self._http.shutdown()
        self._http.server_close()

    def withdraw(self) -> None:
        """Let the API take none of the tokens that there are."""
        self.valid.clear()

    def answer(self, called: Called) -> Said:
        if called.path == "/.well-known/oauth-authorization-server":
            self.metadata += 1
            return Said(200, {}, {"issuer": self.issuer, "token_endpoint": f"{self.issuer}/token"})
        if called.path == "/token":
            return self._exchange()
        return self._call(called)

    def _exchange(self) -> Said:
        with self._lock:
            self.exchanges += 1
            number = self.exchanges
        self.asked.set()
        self.gate.wait(20)
        if self.exchange_plans:
            return self.exchange_plans.pop(0)
        token = handled(f"an-access-token-with-the-number-{number}")
        self.valid.add(token)
        return Said(200, {}, {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime})

    def _call(self, called: Called) -> Said:
        with self._lock:
            self.calls.append(called)
            if self.api_plans:
                return self.api_plans.pop(0)
        return Said(200) if called.token in self.valid else Said(401, {"WWW-Authenticate": WITHDRAWN})


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 600
    cloud: Cloud

    def handle_error(self, *_: Any) -> None:
        """A client that hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _serve(self) -> None:
        said = self.server.cloud.answer(Called(self.command, self.path, dict(self.headers), self._body()))
        raw = json.dumps(said.document).encode()
        self.send_response(said.status)
        for name, value in {"Content-Length": str(len(raw)), **said.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names are the base class's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""
