"""Client certificates through a real proxy: nginx says whose certificate it was, in the form of RFC 9440."""

import base64
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography.hazmat.primitives.asymmetric import rsa

from authserver.certificate import ClientCertificate
from authserver.jose.compact import parse
from authserver.testing import FakeIssuer
from tests import leaks
from tests.authority import SERVER, Authority, Certified, dns, uri
from tests.proxy.test_nginx import program
from tests.recipes.following import part
from tests.served import IMAGES, Answer, Server, ask, free_port, write_configuration

pytestmark = pytest.mark.proxy

MORE = """
[sources.hosts]
type = "x509"
ca_file = "ca.pem"

[[allow]]
name = "backup-reads-images"
source = "hosts"
match = { dns = "backup.example.com" }
resource = "https://images.example.com"
scope = ["images:read"]
"""

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/client-cert.conf;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.key;
        ssl_client_certificate {folder}/ca.pem;
        ssl_verify_client optional;
        # Not the address of everybody else on this machine, so that they are not trusted with it.
        proxy_bind 127.0.0.2;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto https;
        proxy_set_header Client-Cert $client_cert_rfc9440;
        proxy_set_header Client-Cert-Chain "";
        location /images {{ proxy_pass http://127.0.0.1:{api}; }}
        location / {{ proxy_pass {server}; }}
    }}
}}
"""


@dataclass(frozen=True)
class Site:
    """A server and an API behind nginx. ``api`` is the address of the API itself."""

    server: Server
    folder: Path
    url: str
    api: str
    callers: Authority

    def ask(self, method: str, path: str, certified: Certified | None = None, **options: Any) -> Answer:
        """One request through nginx, over a connection of its own."""
        context = ssl.create_default_context(cafile=self.folder / "trust.pem")
        if certified is not None:
            context.load_cert_chain(*certified.write(self.folder, f"shown-{free_port()}"))
        with urllib3.PoolManager(ssl_context=context, retries=False, timeout=10.0) as pool:
            response = pool.request(method, self.url + path, **options)
        return Answer(response.status, response.headers, response.data)

    def token(self, certified: Certified | None = None, headers: dict[str, str] | None = None) -> Answer:
        form = {"grant_type": "client_credentials", "resource": IMAGES, "scope": "images:read"}
        answer = self.ask("POST", "/token", certified, fields=form, encode_multipart=False, headers=headers)
        if answer.status == 200:
            leaks.handled(answer.json["access_token"])
        return answer

    def call(self, token: str, certified: Certified | None = None, headers: dict[str, str] | None = None) -> Answer:
        shown = {"Authorization": f"Bearer {token}", **(headers or {})}
        return self.ask("GET", "/images", certified, headers=shown)

    @property
    def reason(self) -> str | None:
        return self.server.events()[-1].get("reason")


def byte_sequence(certified: Certified) -> str:
    return f":{base64.b64encode(certified.der).decode('ascii')}:"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port, api = tmp_path_factory.mktemp("site"), free_port(), free_port()
    servers, callers = Authority("servers", now=time.time()), Authority("callers", now=time.time())
    servers.issue(dns("localhost"), purposes=(SERVER,)).write(folder, "server")
    for name, text in (("trust", servers.pem), ("ca", callers.pem)):
        (folder / f"{name}.pem").write_text(text, encoding="ascii")
    url = f"https://localhost:{port}"
    settings: dict[str, Any] = {
        "server": 'trusted_proxies = ["127.0.0.2"]',
        "keys": 'algorithms = ["ES256"]',
        "reports": "",
    }
    with (
        FakeIssuer() as cluster,
        Server(write_configuration(folder, cluster=cluster.issuer, issuer=url, more=MORE, **settings)) as server,
    ):
        text = NGINX.format(folder=folder, port=port, api=api, server=server.url)
        (folder / "nginx.conf").write_text(text, encoding="ascii")
        write_the_map(folder)
        environment = {
            **os.environ,
            "BOUND_ISSUER": url,
            "BOUND_CERTIFICATES": json.dumps(["127.0.0.2"]),
            "SSL_CERT_FILE": str(folder / "trust.pem"),
        }
        gunicorn = [sys.executable, "-m", "gunicorn", "tests.bound_api:application", "--no-control-socket"]
        started = [
            subprocess.Popen([program(), "-p", str(folder), "-c", str(folder / "nginx.conf")]),
            subprocess.Popen([*gunicorn, f"--bind=127.0.0.1:{api}"], env=environment),
        ]
        site = Site(server, folder, url, f"http://127.0.0.1:{api}", callers)
        try:
            wait_for(site)
            yield site
        finally:
            for process in started:
                process.terminate()
                process.wait(30)


def write_the_map(folder: Path) -> None:
    """Write ``client-cert.conf`` by following the page."""
    commands = part("use-client-certificates.md", "3. Have certificates reach the server")
    subprocess.run(["sh", "-c", commands], cwd=folder, check=True)


def wait_for(site: Site) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if site.ask("GET", "/livez").status == 200 and site.ask("GET", "/images").status == 401:
                return
        except urllib3.exceptions.HTTPError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("key", [None, rsa.generate_private_key(65537, 4096)], ids=["short", "long"])
def test_a_certificate_gets_a_token_that_is_bound_to_it_and_opens_the_api_with_it_alone(key: Any, site: Site) -> None:
    """R71, R72"""
    others = [] if key is None else [uri(f"https://name-{number}.example.com/") for number in range(40)]
    backup = site.callers.issue(dns("backup.example.com"), *others, key=key)
    answer = site.token(backup)
    assert answer.status == 200, answer.body
    token, thumbprint = answer.json["access_token"], ClientCertificate(backup.der).thumbprint
    assert parse(token).unverified_claims["cnf"] == {"x5t#S256": thumbprint}
    assert site.call(token, backup).json == {"caller": "hosts:backup.example.com", "certificate": thumbprint}
    for thief in (None, site.callers.issue(dns("backup.example.com"))):
        refusal = site.call(token, thief)
        assert refusal.status == 401
        assert 'error="invalid_token"' in refusal.headers["WWW-Authenticate"]


def test_a_header_that_a_caller_wrote_is_ignored(site: Site) -> None:
    """R72; the bytes of a certificate are no secret."""
    certified = site.callers.issue(dns("backup.example.com"))
    forged = {"Client-Cert": byte_sequence(certified)}
    assert site.token(None, forged).status == 401  # nginx writes its own
    assert site.reason == "client_authentication_missing"
    form = {"grant_type": "client_credentials", "resource": IMAGES, "scope": "images:read"}
    around = ask("POST", f"{site.server.url}/token", form=form, headers=forged)  # not through nginx
    assert around.status == 401
    assert site.reason == "client_authentication_missing"
    token = site.token(certified).json["access_token"]
    assert site.call(token, None, forged).status == 401
    stolen = {"Authorization": f"Bearer {token}", **forged}
    assert ask("GET", f"{site.api}/images", headers=stolen).status == 401
    assert site.call(token, certified, forged).status == 200


def test_a_header_that_is_spelled_with_an_underscore_is_another_one(site: Site) -> None:
    """A proxy that removes Client-Cert may pass it on, and in the environment of WSGI both have one name."""
    forged = {"Client_Cert": byte_sequence(site.callers.issue(dns("backup.example.com")))}
    form = {"grant_type": "client_credentials", "resource": IMAGES, "scope": "images:read"}
    assert site.token(None, forged).status == 401
    with urllib3.PoolManager(source_address=("127.0.0.2", 0), retries=False, timeout=10.0) as proxy:  # that is believed
        for headers, status in ((forged, 401), ({"Client-Cert": forged["Client_Cert"]}, 200)):
            url = f"{site.server.url}/token"
            answer = proxy.request("POST", url, fields=form, encode_multipart=False, headers=headers)
            assert answer.status == status
            if status == 200:
                leaks.handled(answer.json()["access_token"])
