"""The runbooks, followed as they stand on a host as they take it for granted."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from authserver.testing import FakeIssuer
from tests.recipes.following import need
from tests.recipes.host import Host

pytestmark = pytest.mark.recipes

READY = {"status": "ready", "degraded": []}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose service runs."""
    need("curl", "jq", "sqlite3")
    with FakeIssuer() as cluster:
        host = Host(tmp_path, cluster)
        try:
            host.run("systemctl start authserver")
            yield host
        finally:
            host.stop()


def kids(host: Host, state: str) -> set[str]:
    """The keys in a state."""
    listed = json.loads(host.run("authserver keys list --json"))["keys"]
    return {entry["kid"] for entry in listed if entry["state"] == state}


def is_back(host: Host) -> bool:
    """Whether everything works: nothing is degraded, and a workload gets a token."""
    return host.ready() == READY and host.exchange().status == 200


def test_rotate_now(host: Host) -> None:
    assert host.exchange().status == 200
    (following,) = kids(host, "next")
    printed = host.follow("runbooks/rotate-now.md", "Do")
    assert f"next     {following}" in printed
    assert "in 30 days" not in printed.partition(following)[2].partition("signs until")[0]
    assert "since" in host.follow("runbooks/rotate-now.md", "Verify")


def test_a_key_leaked(host: Host) -> None:
    page = "runbooks/a-key-leaked.md"
    (signing,), (following,) = kids(host, "active"), kids(host, "next")
    assert host.follow(page, "Symptoms").strip() == "0"
    host.follow(page, "Do: one key")
    assert kids(host, "active") == {following}
    leaked = kids(host, "active") | kids(host, "next")
    host.follow(page, "Do: all keys")
    assert host.follow(page, "Verify").strip() == "0"
    assert not host.published() & (leaked | {signing})
    assert is_back(host)


def test_the_master_key_is_lost_and_there_is_a_copy(host: Host) -> None:
    before = host.published()
    host.run("cp key/master.key backup-of-key/; systemctl stop authserver; rm key/master.key")
    host.follow("runbooks/the-master-key-is-lost.md", "Do: there is a copy", "Verify")
    assert host.published() == before
    assert is_back(host)


def test_the_master_key_is_lost_and_there_is_no_copy(host: Host) -> None:
    before = host.published()
    host.run("rm key/master.key")
    host.follow("runbooks/the-master-key-is-lost.md", "Do: there is no copy", "Verify")
    assert not host.published() & before
    assert is_back(host)


def test_an_issuer_was_compromised(host: Host) -> None:
    page = "runbooks/an-issuer-was-compromised.md"
    assert host.exchange().status == 200
    jti = host.run("jq -r .jti log/audit.log").strip()
    host.follow(page, "Decide", "Do: end the source")
    assert jti in host.follow(page, "Do: take back what was issued")
    assert host.exchange().status == 400
    assert host.exchange("https://other.auth.example.com").status == 200
    host.follow(page, "Do: the issuer has a new key", "Verify")
    assert host.run("tail -n 1 log/audit.log | jq -r .source").strip() == "other-cluster"


def test_restore_from_a_backup(host: Host) -> None:
    page = "runbooks/restore-from-backup.md"
    before, (signing,) = host.published(), kids(host, "active")
    assert host.follow(page, "Before anything happens").strip().endswith("ok")
    host.run(f"authserver keys revoke --now -- {signing}")
    host.run("printf 'no database, whatever it looks like' > store/authserver.db")
    assert host.exchange().status == 200
    host.follow(page, "Do")
    assert "ready" in host.follow(page, "Verify")
    assert host.published() == before, "the page says that a withdrawn key is back"
    assert is_back(host)


def test_a_backup_by_sqlite_is_as_good(host: Host) -> None:
    host.follow("runbooks/restore-from-backup.md", "Before anything happens")
    dump = "sqlite3 {} 'SELECT * FROM ring'"
    copies = [host.run(dump.format(file)) for file in ("backups/by-sqlite3.db", "backups/authserver-*.db")]
    assert copies[0] == copies[1]


def test_upgrade_and_go_back(host: Host) -> None:
    """The store is made what the release with schema 1 left behind."""
    page = "runbooks/upgrade.md"
    later = ("revoked", "invitations", "devices", "device_keys")
    drops = " ".join(f"DROP TABLE {table};" for table in later)
    back = f"sqlite3 store/authserver.db '{drops} UPDATE schema SET version = 1'"
    host.run("systemctl stop authserver")
    host.run(back)
    host.run("systemctl start authserver")
    before = host.published()
    host.run(back)
    host.follow(page, "Do")
    assert "the same keys" in host.follow(page, "Verify")
    assert host.run("sqlite3 store/authserver.db 'SELECT version FROM schema'") != "1\n"
    assert host.published() == before
    host.follow(page, "Do: go back")
    assert host.published() == before
    assert is_back(host)


def test_replace_the_master_key(host: Host) -> None:
    page = "replace-the-master-key.md"
    before = host.published()
    old, new = (f'{{ file = "{host.folder}/key/{name}.key" }}' for name in ("master", "master-2"))
    text = host.configuration.read_text(encoding="utf-8")
    host.follow(page, "1.")
    both = text.replace(f"master_key = {old}", f"master_key = {new}\nprevious_master_keys = [{old}]")
    host.configuration.write_text(both, encoding="utf-8")
    host.follow(page, "2.")
    assert "2 private keys" in host.follow(page, "3.")
    host.configuration.write_text(text.replace(old, new), encoding="utf-8")
    host.follow(page, "4.", "5.")
    assert host.published() == before
    assert is_back(host)
