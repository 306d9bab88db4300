"""The hostile table again, through a real proxy that is trusted. Needs nginx: ``make proxy``."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from authserver.testing import FakeIssuer, hostile_tokens
from authserver.testing.claims import kubernetes_claims
from tests import leaks
from tests.absent import absent
from tests.served import AUDIENCE, Answer, Server, ask, exchange_form, free_port, serving

pytestmark = pytest.mark.proxy

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_buffer_size 256k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {upstream};
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto {scheme};
            proxy_set_header X-Request-Id $request_id;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Proxied:
    """A server behind nginx."""

    server: Server
    url: str

    def post(self, form: dict[str, str], **headers: str) -> Answer:
        """``POST /token`` through the proxy."""
        return ask("POST", f"{self.url}/token", form=form, headers=headers)


@pytest.fixture
def cluster() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture(params=["https"])
def proxied(tmp_path: Path, cluster: FakeIssuer, request: pytest.FixtureRequest) -> Iterator[Proxied]:
    """A server that trusts the nginx before it. nginx says that requests came by the parameter's scheme."""
    settings = {"keys": 'algorithms = ["ES256"]', "reports": "", "server": 'trusted_proxies = ["127.0.0.1"]'}
    with serving(tmp_path / "server", cluster=cluster.issuer, **settings) as server:
        folder, port = tmp_path / "nginx", free_port()
        folder.mkdir()
        text = CONFIGURATION.format(folder=folder, port=port, upstream=server.url, scheme=request.param)
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        nginx = subprocess.Popen([program(), "-p", str(folder), "-c", str(folder / "nginx.conf")])
        try:
            wait_for(f"http://127.0.0.1:{port}/livez")
            yield Proxied(server, f"http://127.0.0.1:{port}")
        finally:
            nginx.terminate()
            nginx.wait(30)


def program() -> str:
    """Where nginx is."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        absent("nginx is not installed")
    return found


def wait_for(url: str) -> None:
    """Return when ``url`` answers."""
    deadline = time.monotonic() + 30
    while True:
        try:
            if ask("GET", url).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_good_token_is_exchanged_and_no_hostile_one_is(proxied: Proxied, cluster: FakeIssuer) -> None:
    claims = kubernetes_claims("media", "thumbnailer", AUDIENCE)
    good = leaks.handled(cluster.token(claims))
    assert proxied.post(exchange_form(good)).status == 200
    required = ("iss", "sub", "aud", "exp", "iat")
    for hostile in hostile_tokens(cluster, claims, now=time.time(), required=required):
        answer = proxied.post(exchange_form(hostile.token))
        assert answer.status == 400, hostile.name
        assert answer.json["error"] == "invalid_request", hostile.name


def test_hostile_forms_and_headers_get_an_rfc_error_or_the_proxys_own(proxied: Proxied, cluster: FakeIssuer) -> None:
    form = exchange_form(leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)))
    url, typed = f"{proxied.url}/token", {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask("POST", f"{url}?scope=images:read", form=form).status == 400
    assert ask("POST", url, form=[*form.items(), ("scope", "images:read")]).status == 400
    assert ask("POST", url, body=b'{"grant_type": "x"}', headers={"Content-Type": "application/json"}).status == 400
    assert ask("POST", url, body=b"grant_type=%00", headers=typed).status == 400
    assert ask("POST", url, body=b"a=" + b"x" * (1 << 20), headers=typed).status in (400, 413)
    assert ask("GET", url).status == 405
    assert ask("POST", url, form=form, headers={"DPoP": "x"}).json["error"] == "invalid_dpop_proof"
    assert ask("POST", url, form=form, headers={"Authorization": "Basic YTpi"}).status == 401


def test_failures_count_against_whom_the_proxy_names_and_forged_headers_change_nothing(proxied: Proxied) -> None:
    proxied.post(exchange_form("broken"), **{"X-Forwarded-For": "198.51.100.7"})
    # nginx appends the address that it saw; what the caller wrote before it is believed only as far as that is trusted.
    assert proxied.server.events()[-1]["address"] == "198.51.100.7"
    proxied.post(exchange_form("broken"))
    assert proxied.server.events()[-1]["address"] == "127.0.0.1"
    for header in ("X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded", "X-Original-URL"):
        document = ask(
            "GET", f"{proxied.url}/.well-known/openid-configuration", headers={header: "evil.example", "Host": "evil"}
        ).json
        assert document["issuer"] == proxied.server.url


def test_the_proxys_request_id_is_taken_over(proxied: Proxied) -> None:
    answer = proxied.post(exchange_form("broken"), **{"X-Request-Id": "chosen-by-the-caller"})
    request_id = answer.headers["X-Request-Id"]
    assert request_id != "chosen-by-the-caller"
    assert len(request_id) == 32
    assert answer.json["request_id"] == request_id == proxied.server.events()[-1]["request_id"]


@pytest.mark.parametrize("proxied", ["http"], indirect=True)
def test_what_came_to_the_proxy_without_tls_is_refused(proxied: Proxied, cluster: FakeIssuer) -> None:
    """R19"""
    token = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
    assert proxied.post(exchange_form(token)).status == 400
    assert proxied.server.events()[-1]["reason"] == "plain_http"
