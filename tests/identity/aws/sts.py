"""STS as the server meets it: over HTTP on loopback, with keys of its own and a judgement on signatures.

How it judges them is told by the test suite of ``tests/client/test_sigv4.py``; moto's STS, which is somebody else's
work, judges requests in ``tests/endpoints/test_google_auth.py``.
"""

import calendar
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from authserver.client.sigv4 import AwsCredentials, Signer, Unsigned
from authserver.identity.aws.request import UnverifiedSignedRequest
from authserver.jose.fetch import Answer, Endpoint, Fetcher

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
ACCOUNT = "123456789012"
ROLE_ID = "AROAEXAMPLEROLEID0001"
KEY = AwsCredentials("ASIAEXAMPLEKEY000001", "a-secret-access-key", "a-session-token/+=")
ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/i-0123456789abcdef0"
USER_ID = f"{ROLE_ID}:i-0123456789abcdef0"


def identity(arn: str = ARN, user_id: str = USER_ID, account: str = ACCOUNT, namespace: str = NAMESPACE) -> str:
    """What STS says to who signed well."""
    return (
        f'<GetCallerIdentityResponse xmlns="{namespace}">\n  <GetCallerIdentityResult>\n    <Arn>{arn}</Arn>\n'
        f"    <UserId>{user_id}</UserId>\n    <Account>{account}</Account>\n  </GetCallerIdentityResult>\n"
        "  <ResponseMetadata>\n    <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>\n"
        "  </ResponseMetadata>\n</GetCallerIdentityResponse>\n"
    )


def refusal(code: str) -> str:
    """What STS says to who did not."""
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}">\n  <Error>\n    <Type>Sender</Type>\n    <Code>{code}</Code>\n'
        "    <Message>The request signature we calculated does not match</Message>\n  </Error>\n"
        "  <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>\n</ErrorResponse>\n"
    )


class FakeSts:
    """Listens while its ``with`` statement lasts. ``said`` is answered instead of a judgement: status, type, body."""

    def __init__(self) -> None:
        self.said: tuple[int, str, str] | None = None
        self.location: str | None = None
        self.hosts: list[str] = []
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.sts = self
        self._fetcher = Fetcher(insecure_allow_http=True, max_bytes=16 * 1024, deadline=5.0)

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()

    def forward(self, request: UnverifiedSignedRequest) -> Answer:
        """Send a request here, as to the host that it is for."""
        url = request.url.replace(f"https://{request.host}", f"http://127.0.0.1:{self._http.server_port}")
        return self._fetcher.post_headers(Endpoint(url), {**request.headers, "Host": request.host})

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, str, str]:
        self.hosts.append(headers["host"])
        if self.said is not None:
            return self.said
        if headers.get("authorization") != due_authorization(method, target, headers, body):
            return 403, "text/xml", refusal("SignatureDoesNotMatch")
        return 200, "text/xml", identity()


def due_authorization(method: str, target: str, headers: dict[str, str], body: bytes) -> str:
    """The ``Authorization`` that these headers should have, if all that it names are as they were signed."""
    _, _, rest = headers["authorization"].partition("SignedHeaders=")
    names = rest.partition(",")[0].split(";")
    region = headers["authorization"].split("/")[2]
    path, _, query = target.partition("?")
    own = [(name, headers[name]) for name in names if name not in ("x-amz-date", "x-amz-security-token")]
    now = calendar.timegm(time.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
    return dict(Signer(KEY, region, "sts").sign(Unsigned(method, path, query, own, body), now))["authorization"]


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    sts: FakeSts


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        status, media_type, text = self.server.sts.answer(self.command, self.path, headers, body)
        raw = text.encode("utf-8")
        self.send_response(status)
        if self.server.sts.location:
            self.send_header("Location", self.server.sts.location)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""
