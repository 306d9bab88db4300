"""The service of GitHub that a job asks for its ID token, over real HTTP."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests import leaks


class Runner(ThreadingHTTPServer):
    """Answers with what ``make`` makes for an audience, or with ``said``, while its ``with`` statement lasts."""

    daemon_threads = True

    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.make = make
        self.token = leaks.handled("a-token-of-the-runner")
        self.asked: list[str] = []
        self.said: tuple[int, Any] | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def environ(self) -> dict[str, str]:
        """What a job with the permission finds in its environment."""
        url = f"http://127.0.0.1:{self.server_port}/token?api-version=2.0"
        return {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.token}


class _Handler(BaseHTTPRequestHandler):
    server: Runner

    def do_GET(self) -> None:
        (audience,) = parse_qs(urlsplit(self.path).query)["audience"]
        self.server.asked.append(audience)
        value = self.server.make(audience)
        authorized = self.headers["Authorization"] == f"Bearer {self.server.token}"
        status, said = self.server.said or (200 if authorized else 401, {"value": value, "count": len(value)})
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""
