"""``authserver serve`` as a user runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from authserver.testing import FakeIssuer
from tests import leaks, oracle
from tests.served import EXCHANGE, IMAGES, JWT_TYPE, Server, ask, serving, write_configuration

pytestmark = pytest.mark.slow

ES256: dict[str, Any] = {"keys": 'algorithms = ["ES256"]', "reports": ""}


def authserver(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "authserver", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    leak = leaks.find(done.stdout + done.stderr)
    assert leak is None
    return done


@pytest.mark.usefixtures("either_server")
def test_a_projected_token_is_exchanged_by_plain_curl(tmp_path: Path, cluster: FakeIssuer, identity: str) -> None:
    with serving(tmp_path, cluster=cluster.issuer, workers=2) as server:
        token_file = tmp_path / "token"
        token_file.write_text(identity, encoding="ascii")
        answers = {}
        for resource in (IMAGES, "https://reports.example.com"):
            form = {"grant_type": EXCHANGE, "subject_token_type": JWT_TYPE, "resource": resource}
            if resource == IMAGES:
                form["scope"] = "images:read"
            fields = [*(f"{name}={value}" for name, value in form.items()), f"subject_token@{token_file}"]
            command = ["curl", "-sS", "--fail", f"{server.url}/token"]
            for field in fields:
                command += ["--data-urlencode", field]
            done = subprocess.run(command, capture_output=True, check=True, timeout=30)
            answers[resource] = json.loads(done.stdout)
        keys = ask("GET", f"{server.url}/.well-known/jwks.json").json
    for resource, algorithm in ((IMAGES, "ES256"), ("https://reports.example.com", "RS256")):
        header, claims = oracle.read(leaks.handled(answers[resource]["access_token"]), keys)
        assert header["alg"] == algorithm
        assert claims["aud"] == resource
        assert claims["iss"] == server.url


@pytest.mark.usefixtures("either_server")
def test_a_stop_is_graceful_and_every_worker_goes(tmp_path: Path, cluster: FakeIssuer) -> None:
    with serving(tmp_path, cluster=cluster.issuer, workers=2, **ES256) as server:
        workers = server.workers()
        assert len(workers) == 2
        assert server.stop() == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert "Traceback" not in server.read_output()


@pytest.mark.usefixtures("either_server")
def test_every_line_of_output_is_json(tmp_path: Path, cluster: FakeIssuer, identity: str) -> None:
    with serving(tmp_path, cluster=cluster.issuer, **ES256) as server:
        assert server.token(identity).status == 200
        assert server.token(identity, scope="images:write").status == 400
        server.stop()
        lines = [json.loads(line) for line in server.read_output().splitlines()]
    assert [event["outcome"] for event in server.events()] == ["issued", "refused"]
    assert any("insecure_allow_http" in str(line.get("event")) for line in lines)


def test_bind_and_workers_can_be_overridden_and_the_environment_names_the_file(
    tmp_path: Path, cluster: FakeIssuer
) -> None:
    configuration = write_configuration(tmp_path, cluster=cluster.issuer, **ES256)
    with Server(configuration) as server, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        other = subprocess.Popen(
            [sys.executable, "-m", "authserver", "serve", "--bind", f"127.0.0.1:{port}", "--workers", "1"],
            env={**os.environ, "AUTHSERVER_CONFIG": str(configuration)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    document = ask("GET", f"http://127.0.0.1:{port}/.well-known/openid-configuration").json
                    break
                except Exception:
                    assert time.monotonic() < deadline
                    assert other.poll() is None
                    time.sleep(0.1)
            assert document["issuer"] == server.url
            ours = ask("GET", f"{server.url}/.well-known/jwks.json").json
            assert ask("GET", f"http://127.0.0.1:{port}/.well-known/jwks.json").json == ours
        finally:
            other.send_signal(signal.SIGTERM)
            assert other.wait(30) == 0


def test_a_missing_master_key_is_made_for_an_empty_store_only(tmp_path: Path, cluster: FakeIssuer) -> None:
    with serving(tmp_path, cluster=cluster.issuer, **ES256) as server:
        key = tmp_path / "master.key"
        assert key.stat().st_mode & 0o777 == 0o600
        leaks.handled(key.read_text(encoding="ascii").strip())
        assert (tmp_path / "authserver.db").stat().st_mode & 0o777 == 0o600
    kept = key.read_bytes()
    key.unlink()
    done = authserver("serve", "--config", str(server.configuration))
    assert done.returncode == 78
    assert "master.key" in done.stderr
    assert not key.exists()
    key.write_bytes(b"A" * 43 + b"\n")
    wrong = authserver("serve", "--config", str(server.configuration))
    assert wrong.returncode == 78
    assert "no configured master key opens" in wrong.stderr
    key.write_bytes(kept)
    with Server(server.configuration) as again:
        assert ask("GET", f"{again.url}/readyz").json["status"] == "ready"


def test_a_configuration_with_mistakes_is_exit_78_with_all_of_them(tmp_path: Path, cluster: FakeIssuer) -> None:
    configuration = write_configuration(tmp_path, cluster=cluster.issuer, server="colour = 1", more="[sources.x]\n")
    done = authserver("serve", "--config", str(configuration))
    assert done.returncode == 78
    assert "server.colour" in done.stderr
    assert "sources.x" in done.stderr
    assert authserver("serve").returncode == 2
    assert authserver("serve", "--config", str(tmp_path / "absent.toml")).returncode == 78


@pytest.mark.usefixtures("either_server")
def test_what_the_server_cannot_parse_never_reaches_a_worker_as_a_500(
    tmp_path: Path, cluster: FakeIssuer, identity: str
) -> None:
    with serving(tmp_path, cluster=cluster.issuer, **ES256) as server:
        host, port = server.url.removeprefix("http://").split(":")
        for raw, expected in (
            (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b" 200 "),
            (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b" 414 "),
            (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: 1\r\n" * 100 + b"\r\n", b" 431 "),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n", b" 431 "),
            (b"nonsense\r\n\r\n", b" 400 "),
            (
                b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n\r\n",
                b" 400 ",
            ),
            (b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc", b" 400 "),
        ):
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(raw)
                assert expected in connection.recv(200).split(b"\r\n")[0]
        assert server.token(identity).status == 200


def test_the_tokens_of_two_environments_are_apart(tmp_path: Path, cluster: FakeIssuer, identity: str) -> None:
    from authserver.errors import CredentialRejected, Reason
    from authserver.resource import AccessTokenVerifier

    with (
        serving(tmp_path / "staging", cluster=cluster.issuer, environment="staging", **ES256) as staging,
        serving(tmp_path / "production", cluster=cluster.issuer, environment="production", **ES256) as production,
    ):
        tokens = {server.url: server.token(identity).json["access_token"] for server in (staging, production)}
        verifiers = {
            server.url: AccessTokenVerifier(issuer=server.url, audience=IMAGES) for server in (staging, production)
        }
        for url, token in tokens.items():
            for other, verifier in verifiers.items():
                if url == other:
                    assert verifier.verify(token).audience == IMAGES
                else:
                    with pytest.raises(CredentialRejected) as refused:
                        verifier.verify(token)
                    assert refused.value.reason is Reason.ISSUER_WRONG
        assert staging.token(identity, resource="https://nowhere.example").json["error"] == "invalid_target"


def test_a_store_of_another_environment_is_refused_at_the_start(tmp_path: Path, cluster: FakeIssuer) -> None:
    with serving(tmp_path, cluster=cluster.issuer, **ES256) as server:
        pass
    text = server.configuration.read_text(encoding="utf-8")
    server.configuration.write_text(text.replace(f'issuer = "{server.url}"', 'issuer = "https://other.example"', 1))
    done = authserver("serve", "--config", str(server.configuration))
    assert done.returncode == 78


def test_the_audience_of_the_identity_is_ours(tmp_path: Path, cluster: FakeIssuer) -> None:
    with serving(tmp_path, cluster=cluster.issuer, **ES256) as server:
        other = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", "https://elsewhere.example"))
        assert server.token(other).status == 400
        assert server.events()[-1]["reason"] == "audience_wrong"
