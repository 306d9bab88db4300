"""The image's entry point with what the manifests leave it: no root, no capability, no shell, a read-only root.

There is no container engine here, so the surroundings are made by hand: see :mod:`tests.deploy.sandbox`.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from authserver.testing import FakeIssuer
from tests import leaks
from tests.absent import absent
from tests.deploy.manifests import image
from tests.deploy.sandbox import SHELLS, USER, Contained, contained
from tests.served import AUDIENCE, ask, exchange_form, free_port, write_configuration

pytestmark = pytest.mark.deploy

WRITABLE = """
import os, json
places = ["/", "/etc/authserver", "/usr", "/usr/bin", "/var", "/proc", "/dev", "/tmp", "/var/lib/authserver"]
found = []
for place in places:
    try:
        descriptor = os.open(place + "/probe", os.O_CREAT | os.O_WRONLY)
    except OSError:
        continue
    os.close(descriptor)
    os.unlink(place + "/probe")
    found.append(place)
print(json.dumps(found))
"""
SHELL = """
import os, sys
for place in ("/bin", "/usr/bin", "/usr/local/bin"):
    for shell in sys.argv[1:]:
        try:
            os.execv(f"{place}/{shell}", [shell, "-c", "echo a shell"])
        except OSError:
            pass
print("none")
"""


@dataclass(frozen=True)
class Served:
    """A server that is contained."""

    inside: Contained
    url: str
    configuration: Path


@pytest.fixture(scope="module")
def cluster() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, cluster: FakeIssuer) -> Iterator[Served]:
    if os.geteuid() != 0:
        absent("making a container takes root")
    folder, port = tmp_path_factory.mktemp("contained"), free_port()
    file = write_configuration(folder / "etc", cluster=cluster.issuer, workers=2, port=port)
    text = file.read_text(encoding="utf-8").replace('"sqlite:', '"sqlite:/var/lib/authserver/')
    text = text.replace('file = "master.key"', 'file = "/var/lib/authserver/master.key"')
    file.write_text(text, encoding="utf-8")
    for each in (file, file.parent):
        each.chmod(0o755)
    _, *words = image()["ENTRYPOINT"]
    with contained(folder, file.parent, [*words, "--bind", f"127.0.0.1:{port}"]) as inside:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, inside)
        yield Served(inside, url, file)
        leak = leaks.find(inside.output.read_text(encoding="utf-8"))
        assert leak is None


def wait_for(url: str, inside: Contained) -> None:
    """Return when the server answers and has its workers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            if ask("GET", f"{url}/readyz").status == 200 and len(inside.pids) == 3:
                return
        except urllib3.exceptions.HTTPError:
            assert inside.process.poll() is None, inside.output.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, inside.output.read_text(encoding="utf-8")
        time.sleep(0.1)


def exchange(served: Served, cluster: FakeIssuer, **changes: str) -> int:
    """The status of an exchange."""
    identity = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
    return ask("POST", f"{served.url}/token", form=exchange_form(identity, **changes)).status


def test_it_issues_tokens_and_its_health_check_says_so(served: Served, cluster: FakeIssuer) -> None:
    assert exchange(served, cluster) == 200
    command, *words = image()["HEALTHCHECK"]
    assert command == "authserver"
    done = served.inside.run(*words, "--url", served.url)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_no_process_of_it_has_a_capability_or_can_get_one(served: Served) -> None:
    assert len(served.inside.pids) == 3
    for pid in served.inside.pids:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert status["Uid"].split() == status["Gid"].split() == [USER] * 4
        assert status["Groups"].split() == []
        assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
        assert status["NoNewPrivs"] == "1"


def test_the_first_process_is_the_server_itself(served: Served) -> None:
    status = Path(f"/proc/{served.inside.pid}/status").read_text(encoding="ascii")
    assert [line.split()[-1] for line in status.splitlines() if line.startswith("NSpid")] == ["1"]


def test_every_mount_is_read_only_but_memory_and_the_store(served: Served) -> None:
    lines = Path(f"/proc/{served.inside.pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    options = {fields[4]: fields[5].split(",") for fields in map(str.split, lines)}
    assert "ro" in options["/"]
    writable = {place for place, said in options.items() if "rw" in said}
    devices = {place for place in writable if place.startswith("/dev/")}
    shells = {place for place in writable if Path(place).name in SHELLS}
    assert writable - devices - shells <= {"/tmp", "/var/lib/authserver", "/proc"}
    for place in ("/tmp", "/var/lib/authserver", "/proc"):
        assert {"nosuid", "nodev", "noexec"} <= set(options[place])


def test_it_can_write_nowhere_else_and_start_no_shell(served: Served) -> None:
    done = served.inside.run_python("-c", WRITABLE)
    assert json.loads(done.stdout) == ["/tmp", "/var/lib/authserver"], done.stderr
    assert served.inside.run_python("-c", SHELL, *SHELLS).stdout == "none\n"


def test_a_new_configuration_is_taken_and_a_broken_one_is_not(served: Served, cluster: FakeIssuer) -> None:
    kept = served.configuration.read_text(encoding="utf-8")
    assert exchange(served, cluster, scope="images:write") == 400
    wider = kept.replace('scope = ["images:read"]', 'scope = ["images:read", "images:write"]', 1)
    served.configuration.write_text(wider, encoding="utf-8")
    done = served.inside.run("reload")
    assert done.returncode == 0, done.stderr
    assert exchange(served, cluster, scope="images:write") == 200
    served.configuration.write_text(wider + "\n[oops]\n", encoding="utf-8")
    assert served.inside.run("reload").returncode == 78
    assert exchange(served, cluster, scope="images:write") == 200


def test_it_ends_when_it_is_asked_to(served: Served) -> None:
    os.kill(served.inside.pid, signal.SIGTERM)
    assert served.inside.process.wait(30) == 0
    assert '"Shutting down: Master"' in served.inside.output.read_text(encoding="utf-8")
