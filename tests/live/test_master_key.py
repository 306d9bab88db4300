"""The master key is replaced under traffic: no request is refused, and afterwards the old key is needed no more."""

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from authserver.testing import FakeIssuer
from tests import leaks
from tests.live.test_rotation import CachingVerifier, keys
from tests.served import AUDIENCE, Server, serving

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {"keys": 'algorithms = ["ES256"]', "reports": "", "workers": 2}


def reload(server: Server) -> None:
    """Have every worker replaced by one that has read the configuration again."""
    assert server.process is not None
    before = set(server.workers())
    os.kill(server.process.pid, signal.SIGHUP)
    deadline = time.monotonic() + 60
    while before & set(server.workers()) or len(server.workers()) != server.worker_count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_master_key_is_replaced_under_traffic(tmp_path: Path, cluster: FakeIssuer) -> None:
    failures: list[str] = []
    answered = 0
    enough = threading.Event()

    def trade(server: Server) -> None:
        nonlocal answered
        verifier = CachingVerifier(server.url)
        while not enough.is_set():
            answer = server.token(leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)))
            if answer.status != 200:
                failures.append(f"the server answered {answer.status}")
                continue
            verifier.verify(answer.json["access_token"])
            answered += 1

    with serving(tmp_path, cluster=cluster.issuer, **SETTINGS) as server:
        traffic = threading.Thread(target=trade, args=(server,))
        traffic.start()
        try:
            old, new = tmp_path / "master.key", tmp_path / "new.key"
            new.touch(mode=0o600)
            made = leaks.handled(base64.b64encode(secrets.token_bytes(32)).decode())
            new.write_text(made, encoding="ascii")
            only_old = 'master_key = { file = "master.key" }'
            only_new = 'master_key = { file = "new.key" }'
            text = server.configuration.read_text(encoding="utf-8")
            both = f'{only_new}\nprevious_master_keys = [{{ file = "master.key" }}]'
            server.configuration.write_text(text.replace(only_old, both), encoding="utf-8")
            reload(server)
            before = {entry["kid"] for entry in keys(server, "list")}
            assert keys_rewrapped(server) == len(before)
            server.configuration.write_text(text.replace(only_old, only_new), encoding="utf-8")
            old.unlink()
            reload(server)
            assert {entry["kid"] for entry in keys(server, "list")} == before
            reached = answered
            deadline = time.monotonic() + 30
            while answered < reached + 20 and not failures:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            enough.set()
            traffic.join(30)
    assert failures == []
    with Server(server.configuration) as again:
        token = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
        header, _ = CachingVerifier(again.url).verify(again.token(token).json["access_token"])
        assert header["kid"] in before
    assert "Traceback" not in server.read_output()


def keys_rewrapped(server: Server) -> int:
    """``authserver keys rewrap``."""
    command = [sys.executable, "-m", "authserver", "keys", "rewrap", "--json", "--config", str(server.configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return int(json.loads(done.stdout)["rewrapped"])
