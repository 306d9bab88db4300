"""``authserver devices`` on a terminal. Its QR code is read by a decoder that shares nothing with its maker."""

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
import zxingcpp
from click.testing import CliRunner

from authserver.cli.commands import authserver
from authserver.enrollment.invitation import hash_code
from authserver.model import Invitation
from authserver.server import prepare
from authserver.settings import load
from authserver.store.sqlite import SqliteStore
from authserver.testing import FakeIssuer
from tests.devices import PHONES
from tests.leaks import handled
from tests.served import write_configuration
from tests.store.device_contract import client_id, device, enroll
from tests.store.processes import its_connection

LAPTOPS = """
[sources.laptops]
type = "device"
enrollment_code_lifetime = "1h"
enroll_with = ["once"]
"""


@pytest.fixture
def configuration(tmp_path: Path, cluster: FakeIssuer) -> Path:
    """A configuration with two device sources, whose store exists."""
    file = write_configuration(tmp_path, cluster=cluster.issuer, reports="", more=PHONES.format(phones="") + LAPTOPS)
    prepare(load(file))
    return file


@pytest.fixture
def store(configuration: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(load(configuration).store_path, create=False)
    yield opened
    opened.close()


@pytest.fixture
def run(configuration: Path) -> Callable[..., str]:
    def run_it(*arguments: str, code: int = 0, color: bool = False) -> str:
        command = ["devices", *arguments, "--config", str(configuration)]
        result = CliRunner().invoke(authserver, command, color=color, terminal_width=200)
        assert result.exit_code == code, result.output
        return handled(result.output) if arguments[0] == "invite" else result.output

    return run_it


def given(store: SqliteStore, code: str) -> Invitation:
    """What the store keeps of a code that was printed."""
    kept = store.read_invitation(hashlib.sha256(code.encode()).hexdigest())
    assert kept is not None
    assert kept.code_hash == hash_code(code)
    return kept


def scanned(printed: str) -> str:
    """What a camera reads from the lines of a terminal, each character of which shows two modules."""
    lit = {"\u2588": (255, 255), "\u2580": (255, 0), "\u2584": (0, 255), " ": (0, 0)}
    lines = [line for line in printed.splitlines() if line and set(line) <= lit.keys()]
    rows = [[lit[character][half] for character in line] for line in lines for half in (0, 1)]
    scale = 4
    pixels = bytes(value for row in rows for _ in range(scale) for value in row for _ in range(scale))
    image = memoryview(pixels).cast("B", shape=(len(rows) * scale, len(rows[0]) * scale))
    (found,) = zxingcpp.read_barcodes(image)
    assert found.format == zxingcpp.BarcodeFormat.QRCode
    return str(found.text)


def test_an_invitation_is_printed_with_its_code_its_end_and_its_use(
    run: Callable[..., str], store: SqliteStore, configuration: Path
) -> None:
    printed = run("invite", "--source", "phones", "--owner", "alice", "--lifetime", "5m")
    code, sentence, use = printed.splitlines()[:3]
    kept = given(store, code)
    assert (kept.source, kept.owner, kept.platform, kept.attributes) == ("phones", "alice", None, {})
    assert kept.expires_at - kept.created_at == pytest.approx(300)
    assert re.fullmatch(r"For one device of phones, owner alice, until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.", sentence)
    issuer = tomllib.loads(configuration.read_text(encoding="utf-8"))["server"]["issuer"]
    assert use.endswith(f": authserver enroll --issuer {issuer}")


def test_the_qr_code_holds_where_to_register_and_the_code(run: Callable[..., str], configuration: Path) -> None:
    printed = run("invite", "--source", "phones", "--owner", "alice")
    assert scanned(printed) == f"{load(configuration).server.issuer}/register#{printed.splitlines()[0]}"


def test_the_qr_code_is_light_on_dark_whatever_the_terminals_own_colours_are(run: Callable[..., str]) -> None:
    printed = run("invite", "--source", "phones", "--owner", "alice", color=True)
    drawn = [line for line in printed.splitlines() if "\u2588" in line]
    assert len(drawn) > 15
    assert all(line.startswith("\x1b[38;5;231m\x1b[48;5;16m") and line.endswith("\x1b[0m") for line in drawn)
    assert max(len(click.unstyle(line)) for line in drawn) <= 79


def test_an_invitation_may_fix_the_platform_and_give_attributes(run: Callable[..., str], store: SqliteStore) -> None:
    printed = run(
        *("invite", "--source", "laptops", "--no-owner", "--platform", "linux", "--json"),
        *("--attribute", "team=blue", "--attribute", "note=a=b"),
    )
    document = json.loads(printed)
    kept = given(store, document["code"])
    assert (kept.owner, kept.platform, kept.attributes) == (None, "linux", {"team": "blue", "note": "a=b"})
    assert kept.expires_at - kept.created_at == pytest.approx(3600)
    assert document.keys() == {"code", "url", "source", "owner", "expires_at"}
    assert document["url"].endswith(f"/register#{document['code']}")
    assert (document["source"], document["owner"]) == ("laptops", None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "phones"], "--owner OWNER, or --no-owner"),
        (["--source", "phones", "--owner", "alice", "--no-owner"], "--owner OWNER, or --no-owner"),
        (["--source", "cluster", "--owner", "alice"], "'--source': the configuration has no device source"),
        (["--source", "phones", "--owner", ""], "'--owner'"),
        (["--source", "laptops", "--owner", "once:alice"], "'--owner'"),
        (["--source", "phones", "--owner", "alice", "--lifetime", "11m"], "'--lifetime': it is more than"),
        (["--source", "phones", "--owner", "alice", "--lifetime", "5"], "'--lifetime': Write a whole number"),
        (["--source", "phones", "--owner", "alice", "--platform", "a\tb"], "'--platform'"),
        (["--source", "phones", "--owner", "alice", "--attribute", "team"], "'--attribute'"),
        (["--source", "phones", "--owner", "alice", "--attribute", "owner=bob"], "'--attribute'"),
        (["--source", "phones", "--owner", "alice", "--attribute", "a=1", "--attribute", "a=2"], "given twice"),
    ],
)
def test_a_wrong_invitation_is_a_mistake_of_usage_that_names_its_option(
    run: Callable[..., str], store: SqliteStore, arguments: list[str], said: str
) -> None:
    assert said in run("invite", *arguments, code=2)
    assert its_connection(store).execute("SELECT COUNT(*) FROM invitations").fetchone() == (0,)


def test_devices_are_listed_by_source_and_owner_without_the_revoked_ones(
    run: Callable[..., str], store: SqliteStore
) -> None:
    enroll(store, device(1, name="Alice's phone"))
    enroll(store, device(2, owner="bob"))
    enroll(store, device(3, source="laptops", owner=None))
    enroll(store, device(4))
    store.revoke_device(client_id(4), 1_800_000_000)

    def listed(*options: str) -> list[int]:
        document = json.loads(run("list", "--json", *options))
        return [int(each["client_id"][-2:]) for each in document["devices"]]

    assert listed() == [1, 2, 3]
    assert listed("--all") == [1, 2, 3, 4]
    assert listed("--source", "phones", "--owner", "alice", "--all") == [1, 4]
    assert listed("--source", "laptops", "--owner", "alice") == []
    assert "'--source'" in run("list", "--source", "cluster", code=2)
    assert run("list", "--all").splitlines() == [
        f"{client_id(1)}  Alice's phone  phones, owner alice",
        f"{client_id(2)}  without a name  phones, owner bob",
        f"{client_id(3)}  without a name  laptops, without an owner",
        f"{client_id(4)}  without a name  phones, owner alice  revoked 2027-01-15T08:00:00Z",
    ]


def test_a_list_goes_on_over_every_page(
    run: Callable[..., str], store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authserver.cli.devices._PAGE", 2)
    for number in range(5):
        enroll(store, device(number))
    assert len(run("list").splitlines()) == 5


def described(**changes: Any) -> dict[str, Any]:
    """The first device of the contract, as programs see it."""
    return {
        "client_id": client_id(1),
        "source": "phones",
        "owner": "alice",
        "sub": "phones:owner/alice",
        "client_name": "Alice's phone",
        "device": {"platform": "ios", "model": None, "app_id": None, "app_version": None},
        "attestation": "none",
        "attributes": {"team": "blue"},
        "created_at": "2027-01-15T08:00:01Z",
        "revoked_at": None,
        "thumbprint": "thumbprint 1",
        **changes,
    }


def test_one_device_is_shown_and_revoked_for_good(run: Callable[..., str], store: SqliteStore) -> None:
    phone = device(1, name="Alice's phone", platform="ios", attributes={"team": "blue"})
    enroll(store, phone)
    assert json.loads(run("show", client_id(1), "--json")) == described()
    shown = run("show", client_id(1))
    for line in (f"{client_id(1)}  Alice's phone", "  platform     ios", "  attribute team blue"):
        assert line in shown.splitlines()
    assert "model" not in shown
    first = json.loads(run("revoke", client_id(1), "--json"))["revoked_at"]
    assert "revoked" in run("revoke", client_id(1))
    assert json.loads(run("show", client_id(1), "--json")) == described(revoked_at=first)
    kept = store.read_device(client_id(1))
    assert kept is not None
    assert replace(kept, revoked_at=None) == phone


@pytest.mark.parametrize("command", ["show", "revoke"])
def test_a_device_that_does_not_exist_is_a_failure(run: Callable[..., str], command: str) -> None:
    assert run(command, client_id(1), code=1) == f"There is no device {client_id(1)}.\n"


@pytest.mark.parametrize(
    "arguments",
    [["invite", "--source", "phones", "--owner", "alice"], ["list"], ["show", client_id(1)], ["revoke", client_id(1)]],
)
def test_without_a_store_nothing_is_done_and_nothing_is_made(
    tmp_path: Path, cluster: FakeIssuer, arguments: list[str]
) -> None:
    file = write_configuration(tmp_path, cluster=cluster.issuer, more=PHONES.format(phones=""))
    result = CliRunner().invoke(authserver, ["devices", *arguments, "--config", str(file)])
    assert (result.exit_code, "There is no store" in result.output) == (1, True)
    assert list(tmp_path.iterdir()) == [file]


def test_a_store_that_cannot_be_used_is_a_failure_and_a_wrong_configuration_is_told_apart(
    run: Callable[..., str], configuration: Path
) -> None:
    load(configuration).store_path.write_bytes(b"no database at all" * 100)
    assert run("list", code=1) == "unavailable: store_unavailable\n"
    configuration.write_text("[server]\n", encoding="utf-8")
    assert "issuer" in run("list", code=78)
