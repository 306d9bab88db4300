"""Keys turn over under traffic in several processes, and no verifier that honours our Cache-Control notices."""

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from authserver.testing import FakeIssuer
from tests import leaks, oracle
from tests.served import AUDIENCE, Server, ask, serving

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {
    "keys": 'algorithms = ["ES256"]\nrotate_every = "3s"\npublish_ahead = "1s"\njwks_max_age = "1s"',
    "server": 'clock_skew = "0s"',
    "reports": "",
}


class CachingVerifier:
    """A verifier of somebody else's making: keeps the key set for exactly as long as it was told to."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._fresh_until = 0.0
        self._keys: dict[str, Any] = {}

    def verify(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The header and the claims, or joserfc's exception."""
        now = time.monotonic()
        if now >= self._fresh_until:
            answer = ask("GET", f"{self._url}/.well-known/jwks.json")
            said = re.search(r"max-age=(\d+)", answer.headers["Cache-Control"])
            assert said is not None
            self._keys, self._fresh_until = answer.json, now + int(said[1])
        return oracle.read(token, self._keys)


def keys(server: Server, *arguments: str) -> Any:
    """``authserver keys``, as JSON."""
    command = [sys.executable, "-m", "authserver", "keys", *arguments, "--json", "--config", str(server.configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    leak = leaks.find(done.stdout + done.stderr)
    assert leak is None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["keys"]


def test_thousands_of_tokens_are_minted_while_keys_turn_over_and_none_is_refused(
    tmp_path: Path, cluster: FakeIssuer
) -> None:
    """R16; new key signs at once, verifiers do not know it (Dex, Hydra)."""
    minted: list[tuple[dict[str, Any], dict[str, Any]]] = []
    failures: list[str] = []
    enough = threading.Event()

    def trade(server: Server) -> None:
        verifier = CachingVerifier(server.url)
        while not enough.is_set():
            identity = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
            answer = server.token(identity)
            if answer.status != 200:
                failures.append(f"the server answered {answer.status}")
                continue
            try:
                minted.append(verifier.verify(answer.json["access_token"]))
            except Exception as error:
                failures.append(f"a verifier refused a token: {error!r}")

    with serving(tmp_path, cluster=cluster.issuer, workers=4, **SHORT) as server:
        ask("GET", f"{server.url}/.well-known/jwks.json")
        first = {entry["kid"] for entry in keys(server, "list")}
        threads = [threading.Thread(target=trade, args=(server,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not failures:
            if len(minted) >= 2000 and len({header["kid"] for header, _ in minted}) >= 6:
                break
            time.sleep(0.1)
        enough.set()
        for thread in threads:
            thread.join(30)
        ring = {entry["kid"]: entry for entry in keys(server, "list")}
    assert failures == []
    assert len(minted) >= 2000
    signed_by = {header["kid"] for header, _ in minted}
    assert len(signed_by) >= 6
    for header, claims in minted:
        entry = ring[header["kid"]]
        assert seconds(entry["activates_at"]) - 1 <= claims["iat"] <= seconds(entry["retires_at"]) + 1
        if header["kid"] not in first:
            # publish_ahead, and jwks_max_age with clock_skew, whichever is longer
            assert seconds(entry["activates_at"]) - seconds(entry["published_at"]) >= 1


def test_a_planned_rotation_takes_over_as_early_as_is_safe(tmp_path: Path, cluster: FakeIssuer, identity: str) -> None:
    slow = {**SHORT, "keys": 'algorithms = ["ES256"]\npublish_ahead = "1s"\njwks_max_age = "1s"'}
    with serving(tmp_path, cluster=cluster.issuer, workers=2, **slow) as server:
        verifier = CachingVerifier(server.url)
        before, _ = verifier.verify(server.token(identity).json["access_token"])
        listed = keys(server, "rotate")
        assert [entry["state"] for entry in listed].count("active") == 1
        deadline = time.monotonic() + 60
        while True:
            header, _ = verifier.verify(server.token(identity).json["access_token"])
            if header["kid"] != before["kid"]:
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        states = {entry["kid"]: entry["state"] for entry in keys(server, "list")}
        assert states[before["kid"]] == "retired"
        assert states[header["kid"]] == "active"
        assert sorted(states.values()) == ["active", "next", "retired"]


def test_an_emergency_revocation_needs_a_next_key_that_verifiers_hold(
    tmp_path: Path, cluster: FakeIssuer, identity: str
) -> None:
    patient = {"keys": 'algorithms = ["ES256"]', "reports": ""}
    with serving(tmp_path, cluster=cluster.issuer, **patient) as server:
        header, _ = CachingVerifier(server.url).verify(server.token(identity).json["access_token"])
        kid = header["kid"]
        command = [sys.executable, "-m", "authserver", "keys", "revoke", kid, "--config", str(server.configuration)]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert refused.returncode == 1
        assert "--now" in refused.stderr
        assert kid in [entry["kid"] for entry in keys(server, "list")]
        listed = keys(server, "revoke", kid, "--now")
        assert sorted(entry["state"] for entry in listed) == ["active", "next"]
        assert kid not in [entry["kid"] for entry in listed]
        deadline = time.monotonic() + 30
        while kid in ask("GET", f"{server.url}/.well-known/jwks.json").body.decode():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        fresh, _ = CachingVerifier(server.url).verify(server.token(identity).json["access_token"])
        assert fresh["kid"] == next(entry["kid"] for entry in listed if entry["state"] == "active")
        unknown = subprocess.run(
            [*command[:5], "nonsense", *command[6:]], capture_output=True, text=True, timeout=60, check=False
        )
        assert unknown.returncode == 1
        assert "no key" in unknown.stderr


def seconds(instant: str) -> float:
    """An instant in RFC 3339 as seconds since the epoch."""
    from datetime import datetime

    return datetime.fromisoformat(instant).timestamp()
