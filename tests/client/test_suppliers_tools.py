"""The tools of developers, as real programs on the PATH."""

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from authserver.client.failures import IdentityUnusable, NoAnswer
from authserver.client.suppliers.az import AzSupplier
from authserver.client.suppliers.gcloud import GcloudSupplier
from authserver.client.tool import MAX_BYTES
from authserver.client.tool_supplier import ToolSupplier
from authserver.oauth import TokenType
from tests.client.identities import NOW, identity, surroundings

Install = Callable[[str, str], None]
AZ = {"AUTHSERVER_DEVELOPER_TOOL": "az", "AUTHSERVER_ENVIRONMENT": "development"}
GCLOUD = {**AZ, "AUTHSERVER_DEVELOPER_TOOL": "gcloud"}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    return directory


@pytest.fixture
def install(tools: Path) -> Install:
    """Put a program of this name on the PATH."""

    def installed(name: str, program: str) -> None:
        (tools / name).write_text(f"#!/bin/sh\n{program}\n", encoding="ascii")
        (tools / name).chmod(0o755)

    return installed


@pytest.fixture
def az(home: Path, tools: Path) -> AzSupplier:
    return AzSupplier(surroundings(home, {**AZ, "PATH": f"{tools}:/usr/bin:/bin"}, deadline=30.0))


@pytest.fixture
def gcloud(home: Path, tools: Path) -> GcloudSupplier:
    return GcloudSupplier(surroundings(home, {**GCLOUD, "PATH": f"{tools}:/usr/bin:/bin"}, deadline=30.0))


def test_az_is_asked_for_a_token_for_the_audience(az: AzSupplier, install: Install, tmp_path: Path) -> None:
    printed = json.dumps({"accessToken": identity(), "tokenType": "Bearer", "expires_on": 1})
    install("az", f"printf '%s\\n' \"$@\" > {tmp_path}/asked; pwd >> {tmp_path}/asked; cat; echo '{printed}'")
    az.check(NOW)
    assert az.marker == "AUTHSERVER_DEVELOPER_TOOL is az"
    assert not (tmp_path / "asked").exists()
    offered = az.offer(NOW).parameters
    assert offered == {"subject_token": identity(), "subject_token_type": TokenType.JWT.value}
    asked = (tmp_path / "asked").read_text(encoding="ascii").split()
    assert asked == ["account", "get-access-token", "--resource=https://auth.example.com", "--output=json", "/"]


def test_gcloud_is_asked_for_an_identity_token(gcloud: GcloudSupplier, install: Install, tmp_path: Path) -> None:
    install("gcloud", f"printf '%s\\n' \"$@\" > {tmp_path}/asked; echo {identity()}; echo warning >&2")
    offered = gcloud.offer(NOW).parameters
    assert offered == {"subject_token": identity(), "subject_token_type": TokenType.ID_TOKEN.value}
    asked = (tmp_path / "asked").read_text(encoding="ascii").split()
    assert asked == ["auth", "print-identity-token", "--audiences=https://auth.example.com"]


def test_gcloud_impersonates_the_service_account_of_its_own_variable(
    install: Install, tools: Path, home: Path, tmp_path: Path
) -> None:
    install("gcloud", f"printf '%s\\n' \"$@\" > {tmp_path}/asked; echo {identity()}")
    account = {"CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT": "dev@project.iam.gserviceaccount.com"}
    GcloudSupplier(surroundings(home, {**GCLOUD, **account, "PATH": f"{tools}:/bin"})).offer(NOW)
    asked = (tmp_path / "asked").read_text(encoding="ascii").split()
    assert asked[3:] == ["--impersonate-service-account=dev@project.iam.gserviceaccount.com", "--include-email"]


def test_an_audience_is_never_a_command(install: Install, tools: Path, home: Path, tmp_path: Path) -> None:
    install("gcloud", f"echo {identity()}")
    evil = f"--x; touch {tmp_path}/owned; $(touch {tmp_path}/owned) `touch {tmp_path}/owned`"
    GcloudSupplier(surroundings(home, {**GCLOUD, "PATH": f"{tools}:/bin"}, audience=evil)).offer(NOW)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("echo '{}'", "az prints no access token"),
        ("echo no", "az prints no access token"),
        ("echo '{\"accessToken\": 7}'", "az prints no access token"),
        ('echo \'{"accessToken": "x"}\'', "az holds no identity token"),
        ("exit 3", "az failed: exit code 3"),
        ("echo more >&2; echo \"Please run 'az login'\" >&2; exit 1", "az failed: Please run 'az login'"),
        ("kill -9 $$", "az failed: exit code -9"),
        ("exec cat /dev/zero", "az prints too much"),
        ("exec cat /dev/zero >&2", "az prints too much"),
    ],
)
def test_a_tool_that_fails_says_why_and_what_to_do(program: str, said: str, az: AzSupplier, install: Install) -> None:
    install("az", program)
    with pytest.raises(IdentityUnusable, match=said) as failed:
        az.offer(NOW)
    assert "Run az login" in str(failed.value)


def test_what_a_tool_says_when_it_fails_is_shown_without_its_tokens(az: AzSupplier, install: Install) -> None:
    install("az", f"printf 'no: {identity()} \\033[31m\\n' >&2; exit 1")
    with pytest.raises(IdentityUnusable) as failed:
        az.offer(NOW)
    assert str(failed.value).startswith("az failed: no: ")
    assert identity()[:20] not in str(failed.value)
    assert "\033" not in str(failed.value)


def test_a_tool_that_hangs_is_killed_with_what_it_started(install: Install, tools: Path, home: Path) -> None:
    install("az", f"sleep 600 & echo $! > {tools}/child; wait")
    az = AzSupplier(surroundings(home, {**AZ, "PATH": f"{tools}:/usr/bin:/bin"}, deadline=0.5))
    with pytest.raises(NoAnswer, match="az did not answer in time"):
        az.offer(NOW)
    if (tools / "child").exists():
        wait_until_gone(int((tools / "child").read_text(encoding="ascii")))


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text("ascii"):
        assert time.monotonic() < deadline, "what the tool started goes on"
        time.sleep(0.01)


def test_what_a_tool_leaves_running_is_not_waited_for(gcloud: GcloudSupplier, install: Install) -> None:
    install("gcloud", f"sleep 20 & echo {identity()}")
    begun = time.monotonic()
    gcloud.offer(NOW)
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize("path", ["", ".", "bin", "::.", None])
def test_nothing_is_run_from_the_working_directory(
    path: str | None, install: Install, tools: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("az", "touch owned")
    monkeypatch.chdir(tools)
    environ = {**AZ, **({} if path is None else {"PATH": path})}
    az = AzSupplier(surroundings(home, environ))
    assert az.present()
    with pytest.raises(IdentityUnusable, match="not on the PATH"):
        az.check(NOW)
    with pytest.raises(IdentityUnusable, match="not on the PATH"):
        az.offer(NOW)
    assert not (tools / "owned").exists()


def test_a_program_that_cannot_be_started_is_broken(az: AzSupplier, tools: Path) -> None:
    (tools / "az").write_bytes(b"#!/nowhere/at/all\n")
    (tools / "az").chmod(0o755)
    with pytest.raises(IdentityUnusable, match="cannot be started"):
        az.offer(NOW)


def test_threads_may_ask_at_once(gcloud: GcloudSupplier, install: Install) -> None:
    install("gcloud", f"echo {identity()}")
    offered: list[str] = []
    threads = [
        threading.Thread(target=lambda: offered.append(gcloud.offer(NOW).parameters["subject_token"])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert offered == [identity()] * 4


def test_no_descriptor_is_left(gcloud: GcloudSupplier, install: Install) -> None:
    install("gcloud", f"echo {identity()}")
    gcloud.offer(NOW)
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(3):
        gcloud.offer(NOW)
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_tool_that_prints_slowly_is_read_to_its_end(gcloud: GcloudSupplier, install: Install) -> None:
    token = identity()
    install("gcloud", f"printf %s {token[:40]}; sleep 0.2; printf %s {token[40:]}")
    assert gcloud.offer(NOW).parameters["subject_token"] == token


def test_the_bound_on_what_is_printed_is_wide_enough(gcloud: GcloudSupplier, install: Install) -> None:
    assert MAX_BYTES >= 4 * 16 * 1024
    install("gcloud", f"exec {sys.executable} -c \"print('{identity()}' + ' ' * 60000)\"")
    assert gcloud.offer(NOW).parameters["subject_token"] == identity()


@pytest.mark.parametrize("kind", [AzSupplier, GcloudSupplier])
def test_another_tool_that_is_named_is_no_marker(kind: type[ToolSupplier], home: Path) -> None:
    supplier = kind(surroundings(home, {**AZ, "AUTHSERVER_DEVELOPER_TOOL": "neither"}))
    assert not supplier.present()
