"""What a program on AWS finds beside it: an instance's or a container's service, and STS; over real HTTP."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

from tests.client.identities import identity
from tests.identity.aws.sts import KEY, NAMESPACE, due_authorization, refusal

REGION = "eu-central-1"
METADATA_TOKEN = "a-token-of-the-instance"
CONTAINER_TOKEN = "a-token-of-the-container"
KEYS = {"AccessKeyId": KEY.access_key_id, "SecretAccessKey": KEY.secret_access_key, "Token": KEY.session_token}


class Aws(ThreadingHTTPServer):
    """Answers while its ``with`` statement lasts; with ``said``, by path, instead of the usual."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.said: dict[str, tuple[int, str]] = {}

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        self.asked.append(f"{method} {path}")
        if path in self.said:
            return self.said[path]
        return _ROUTES.get((method, path), _nothing)(self, dict(headers), body)

    def instance(self, headers: Mapping[str, str], text: str) -> tuple[int, str]:
        return (200, text) if headers.get("x-aws-ec2-metadata-token") == METADATA_TOKEN else (401, "")

    def container(self, headers: Mapping[str, str], _body: bytes) -> tuple[int, str]:
        return (200, json.dumps(KEYS)) if headers.get("authorization") == CONTAINER_TOKEN else (401, "")

    def sts(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        form = dict(parse_qsl(body.decode()))
        self.forms.append(form)
        if form["Action"] == "AssumeRoleWithWebIdentity":
            return 200, result(form["Action"], f"<Credentials>{_xml(_assumed())}</Credentials>")
        if headers.get("authorization") != due_authorization("POST", "/", headers, body):
            return 403, refusal("SignatureDoesNotMatch")
        return 200, result(form["Action"], _xml({"WebIdentityToken": identity(aud=form["Audience.member.1"])}))


def result(action: str, inner: str) -> str:
    """The answer of STS to an action."""
    return f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{inner}</{action}Result></{action}Response>'


def _assumed() -> dict[str, str]:
    return {
        "AccessKeyId": KEY.access_key_id,
        "SecretAccessKey": KEY.secret_access_key,
        "SessionToken": KEY.session_token or "",
    }


def _xml(members: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in members.items())


def _nothing(*_: object) -> tuple[int, str]:
    return 404, ""


_PROFILE = "/latest/meta-data/iam/security-credentials/"
_ROUTES: dict[tuple[str, str], Callable[[Aws, dict[str, str], bytes], tuple[int, str]]] = {
    ("PUT", "/latest/api/token"): lambda _aws, _headers, _body: (200, METADATA_TOKEN),
    ("GET", _PROFILE): lambda aws, headers, _: aws.instance(headers, "deployer"),
    ("GET", _PROFILE + "deployer"): lambda aws, headers, _: aws.instance(headers, json.dumps(KEYS)),
    ("GET", "/latest/meta-data/placement/region"): lambda aws, headers, _: aws.instance(headers, REGION),
    ("GET", "/v2/credentials/1"): Aws.container,
    ("POST", "/"): Aws.sts,
}


class _Handler(BaseHTTPRequestHandler):
    server: Aws

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        status, text = self.server.answer(self.command, self.path, headers, body)
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names are the base class's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""
