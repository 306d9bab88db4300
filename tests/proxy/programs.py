"""nginx and Envoy with the configurations that deploy/ has, and a server behind them that tells what reached it."""

import datetime as dt
import ipaddress
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.absent import absent
from tests.house.tree import ROOT
from tests.served import free_port

NGINX: Final = """
daemon off;
user root;
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
    include {folder}/conf.d/*.conf;
}}
"""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Certified:
    """A key with its certificate."""

    key: Key
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def write(self, folder: Path, *more: x509.Certificate) -> tuple[Path, Path]:
        """The certificate, with ``more`` behind it, and the key, each as a PEM file."""
        folder.mkdir(parents=True, exist_ok=True)
        chain = b"".join(each.public_bytes(Encoding.PEM) for each in (self.certificate, *more))
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "fullchain.pem").write_bytes(chain)
        (folder / "privkey.pem").write_bytes(key)
        return folder / "fullchain.pem", folder / "privkey.pem"


def certify(name: str, key: Key | None = None, *, by: Certified | None = None, padding: int = 0) -> Certified:
    """A certificate for an hour, by its own key or by another's; ``padding`` makes it so many bytes longer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    local = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(local, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if padding:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), bytes(padding))
        builder = builder.add_extension(unknown, critical=False)
    return Certified(key, builder.sign(by.key if by else key, SHA256()))


class _Telling(BaseHTTPRequestHandler):
    """Answers with the headers that reached it, as pairs."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def telling() -> Iterator[int]:
    """A server that tells what reached it, by its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Telling) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs, by its port. ``authority`` is the file that vouches for it."""

    name: str
    port: int
    authority: Path

    def ask(
        self, method: str, path: str, *, certificate: tuple[Path, Path] | None = None, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """A request by somebody with this client certificate."""
        context = ssl.create_default_context(cafile=self.authority)
        if certificate:
            context.load_cert_chain(*certificate)
        with urllib3.HTTPSConnectionPool(
            "127.0.0.1", self.port, ssl_context=context, timeout=20, retries=False
        ) as pool:
            return pool.request(method, path, redirect=False, **options)

    def reached(self, *, path: str = "/token", **options: Any) -> Mapping[str, list[str]]:
        """What reaches the server of a request, by the name of each header in lower case."""
        answer = self.ask("POST", path, **options)
        assert answer.status == 200, answer.data
        found: dict[str, list[str]] = {}
        for name, value in answer.json():
            found.setdefault(name, []).append(value)
        return found


@contextmanager
def running(name: str, folder: Path, upstream: int) -> Iterator[Proxy]:
    """``nginx`` or ``envoy``, configured as deploy/ has it but for its addresses and paths."""
    authority, _ = certify("auth.example.com").write(folder / "tls")
    port = free_port()
    command = {"nginx": nginx, "envoy": envoy}[name](folder, port, upstream)
    process = subprocess.Popen(command, cwd=folder)
    try:
        wait_for(port, process)
        yield Proxy(name, port, authority)
    finally:
        process.terminate()
        process.wait(30)


def nginx(folder: Path, port: int, upstream: int) -> Sequence[str]:
    """The command that runs nginx with the configuration of deploy/nginx."""
    (folder / "conf.d").mkdir()
    (folder / "cache").mkdir()
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "listen [::]:443 ssl;": "",
        "/etc/ssl/authserver/fullchain.pem": f"{folder}/tls/fullchain.pem",
        "/etc/ssl/authserver/privkey.pem": f"{folder}/tls/privkey.pem",
        "/var/cache/nginx/authserver": f"{folder}/cache",
    }
    site = replaced((ROOT / "deploy/nginx/authserver.conf").read_text("utf-8"), changes)
    servers = (ROOT / "deploy/nginx/upstream.conf").read_text("utf-8")
    (folder / "conf.d" / "authserver.conf").write_text(site, encoding="utf-8")
    changed = replaced(servers, {"    server 127.0.0.1:8400;": f"    server 127.0.0.1:{upstream};"})
    (folder / "conf.d" / "upstream.conf").write_text(changed, encoding="utf-8")
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder), encoding="utf-8")
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """The text with each of these changed, all of which it must have once."""
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def envoy(folder: Path, port: int, upstream: int) -> Sequence[str]:
    """The command that runs Envoy with the configuration of deploy/envoy."""
    document = yaml.safe_load((ROOT / "deploy/envoy/envoy.yaml").read_text("utf-8"))
    listener, cluster = document["static_resources"]["listeners"][0], document["static_resources"]["clusters"][0]
    listener["address"] = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    tls = listener["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"]
    for file in tls["tls_certificates"][0].values():
        file["filename"] = str(folder / "tls" / Path(file["filename"]).name)
    endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    endpoint["address"]["socket_address"]["port_value"] = upstream
    (folder / "envoy.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
    return [program("envoy"), "-c", str(folder / "envoy.yaml"), *options]


def program(name: str) -> str:
    """Where a program is."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        absent(f"{name} is not installed")
    return found


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when something accepts connections."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, "the proxy ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
