"""A machine and the real server: every step over HTTP, with nothing in between."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask

from authserver.cli.commands import authserver
from authserver.client import (
    AuthorizationServer,
    BoundCalls,
    DeviceSupplier,
    Enrollment,
    EnrollmentRecord,
    Introduction,
    IssuedToken,
    Registration,
    enroll,
    request_token,
)
from authserver.client.device_key import make_key
from authserver.client.failures import CallFailed, CallRefused
from authserver.resource.flask import ResourceServer
from authserver.testing import FakeIssuer
from tests import leaks, oracle
from tests.devices import PHONES
from tests.house.tree import ROOT
from tests.resource import live
from tests.served import IMAGES, Server, ask, serving

LAPTOP = Introduction("a laptop", device={"platform": "linux"})
Invite = Callable[[], str]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    phones = PHONES.format(phones="max_per_owner = 50")
    with (
        FakeIssuer() as cluster,
        serving(tmp_path_factory.mktemp("server"), cluster=cluster.issuer, workers=2, more=phones) as server,
    ):
        yield server


@pytest.fixture
def issuer(served: Server) -> str:
    return str(served.url)


@pytest.fixture
def invite(served: Server) -> Invite:
    def invited() -> str:
        command = ["devices", "invite", "--source", "phones", "--owner", "alice", "--json"]
        result = CliRunner().invoke(authserver, [*command, "--config", str(served.configuration)])
        assert result.exit_code == 0, result.stderr
        code: str = json.loads(result.stdout)["code"]
        return leaks.handled(code)

    return invited


@pytest.fixture
def here(issuer: str, home: Path) -> EnrollmentRecord:
    return EnrollmentRecord(issuer, home)


def token_for(server: AuthorizationServer, record: EnrollmentRecord) -> IssuedToken:
    token = request_token(server, DeviceSupplier(server, record), resource=IMAGES, scope="images:read")
    leaks.handled(token.value)
    return token


def test_a_machine_enrols_gets_tokens_changes_its_key_and_leaves(
    issuer: str, here: EnrollmentRecord, invite: Invite
) -> None:
    """R66, R69"""
    server = AuthorizationServer(issuer)
    known = enroll(server, here, invite(), LAPTOP)
    token = token_for(server, here)
    _, claims = oracle.read(token.value, ask("GET", f"{issuer}/.well-known/jwks.json").json)
    assert (claims["sub"], claims["client_id"]) == ("phones:owner/alice", known.client_id)
    assert claims["cnf"] == {"jkt": known.key.thumbprint}
    registration = Registration(server, here)
    assert registration.read()["client_name"] == "a laptop"
    after = registration.rekey()
    _, claims = oracle.read(token_for(server, here).value, ask("GET", f"{issuer}/.well-known/jwks.json").json)
    assert claims["cnf"] == {"jkt": after.key.thumbprint} != {"jkt": known.key.thumbprint}
    registration.remove()
    assert here.read() is None


@pytest.mark.parametrize("wrong_by", [-5000, 5000])
def test_a_machine_whose_clock_is_wrong_is_served(
    wrong_by: int, issuer: str, here: EnrollmentRecord, invite: Invite
) -> None:
    """R64"""
    server = AuthorizationServer(issuer, clock=lambda: time.time() + wrong_by)
    enroll(server, here, invite(), LAPTOP, algorithm="EdDSA")
    assert token_for(server, here).token_type == "DPoP"
    assert Registration(server, here).rekey().key.algorithm == "EdDSA"


def test_a_code_that_was_used_is_refused_for_another_machine(
    issuer: str, here: EnrollmentRecord, invite: Invite, tmp_path: Path
) -> None:
    code = invite()
    enroll(AuthorizationServer(issuer), here, code, LAPTOP)
    elsewhere = EnrollmentRecord(issuer, tmp_path / "elsewhere")
    with pytest.raises(CallRefused, match="expired or used already"):
        enroll(AuthorizationServer(issuer), elsewhere, code, LAPTOP)


def test_an_answer_that_was_lost_is_asked_for_again(issuer: str, here: EnrollmentRecord, invite: Invite) -> None:
    code = invite()
    known = enroll(AuthorizationServer(issuer), here, code, LAPTOP)
    lose(here, known)
    assert enroll(AuthorizationServer(issuer), here, code, LAPTOP) == known


def lose(record: EnrollmentRecord, known: Enrollment) -> None:
    """Leave things as they are when the answer to the registration does not arrive."""
    document = json.loads((record.path / "enrollment.json").read_bytes())
    left = {name: document[name] for name in ("version", "issuer", "key")}
    (record.path / "enrollment.json").write_text(json.dumps(left), encoding="ascii")
    assert record.read() != known


def test_processes_that_enrol_at_once_make_one_device(issuer: str, here: EnrollmentRecord, invite: Invite) -> None:
    code = invite()

    def attempt(_: int) -> str | None:
        with contextlib.suppress(CallFailed):
            return enroll(AuthorizationServer(issuer), here, code, LAPTOP).client_id
        return None

    with ThreadPoolExecutor(8) as pool:
        made = [client_id for client_id in pool.map(attempt, range(8)) if client_id]
    known = here.read()
    assert isinstance(known, Enrollment)
    assert made == [known.client_id]


def test_a_revoked_machine_gets_nothing_more_and_can_be_cleaned(
    served: Server, here: EnrollmentRecord, invite: Invite
) -> None:
    server = AuthorizationServer(served.url)
    known = enroll(server, here, invite(), LAPTOP)
    command = ["devices", "revoke", known.client_id, "--config", str(served.configuration)]
    assert CliRunner().invoke(authserver, command).exit_code == 0
    with pytest.raises(CallRefused, match="invalid_client"):
        token_for(server, here)
    with pytest.raises(CallRefused, match="or it was revoked"):
        Registration(server, here).rekey()
    Registration(server, here).remove()
    assert here.read() is None


@pytest.fixture
def api(issuer: str) -> Iterator[str]:
    """The address of an API that takes nothing but bound tokens of the server."""
    app = Flask("images")
    with live.serving(app) as port:
        url = f"http://127.0.0.1:{port}"
        images = ResourceServer(issuer=issuer, audience=IMAGES, url=url, sender_constrained=True)

        @app.get("/images")
        @images.requires("images:read")
        def caller() -> dict[str, str]:
            return {"caller": images.token.subject}

        yield f"{url}/images"


def test_the_example_enrols_calls_an_api_and_calls_it_again(issuer: str, api: str, home: Path, invite: Invite) -> None:
    """R65, R68"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AUTHSERVER_HOME": str(home), "ISSUER": issuer, "API": api}

    def run(typed: str) -> str:
        command = [sys.executable, str(ROOT / "examples" / "device.py")]
        done = subprocess.run(
            command,
            env=environment,
            input=typed,
            start_new_session=True,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, leaks.find(done.stderr) or done.stderr
        return done.stdout

    assert run(invite() + "\n") == '200 {"caller":"phones:owner/alice"}\n\n'
    assert run("") == '200 {"caller":"phones:owner/alice"}\n\n'


def test_a_token_is_of_no_use_without_its_key(issuer: str, api: str, here: EnrollmentRecord, invite: Invite) -> None:
    """R65, R68"""
    server = AuthorizationServer(issuer)
    enroll(server, here, invite(), LAPTOP)
    stolen = token_for(server, here)
    thief = replace(stolen, key=make_key("ES256"))

    def call(token: IssuedToken) -> int:
        return BoundCalls(server).call("GET", api, token, lambda headers: ask("GET", api, headers=headers)).status

    assert (call(stolen), call(thief), call(replace(stolen, key=None))) == (200, 401, 401)
