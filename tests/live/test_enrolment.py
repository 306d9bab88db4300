"""Enrolment on real servers with several processes: races, crashes, and the whole life of a device."""

import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import urllib3

from authserver.server import open_store
from authserver.server.invitations import build_invitations
from authserver.settings import load
from authserver.testing import FakeIssuer
from tests import leaks
from tests.devices import PHONES, DeviceKey, token_form
from tests.served import Answer, Server, ask, serving, write_configuration

pytestmark = pytest.mark.slow

COMPANY = "https://company.auth.example.com"
WORKERS = 2


def device_sources(cluster: FakeIssuer, phones: str = "") -> str:
    """Phones of alice, which she may also enrol and revoke when she has signed in."""
    company = f"""
[sources.company]
type = "oidc"
issuer = "{cluster.issuer}"
audience = "{COMPANY}"
"""
    return PHONES.format(phones=f'enroll_with = ["company"]\n{phones}') + company


def codes(configuration: Path, count: int, owner: str = "alice") -> list[str]:
    """So many enrolment codes for one owner, made beside the running server as the command line does."""
    settings = load(configuration)
    store = open_store(settings)
    try:
        invitations = build_invitations(settings, store)
        return [leaks.handled(invitations.invite("phones", owner=owner)[0]) for _ in range(count)]
    finally:
        store.close()


def register(server: Server, key: DeviceKey, token: str) -> Answer:
    """``POST /register``."""
    headers = {"Authorization": f"Bearer {token}", "DPoP": key.proof("POST", f"{server.url}/register")}
    return ask("POST", f"{server.url}/register", json=key.registration(), headers=headers)


def token(server: Server, key: DeviceKey, client_id: str) -> Answer:
    """``POST /token``."""
    form = token_form(client_id, key.assertion(client_id, server.url))
    return ask("POST", f"{server.url}/token", form=form, headers={"DPoP": key.proof("POST", f"{server.url}/token")})


def is_registered(server: Server, key: DeviceKey, client_id: str) -> bool:
    """Whether a device may read its registration."""
    url = f"{server.url}/register/{client_id}"
    nonce = ask("GET", url, headers={"DPoP": key.proof("GET", url)}).headers["DPoP-Nonce"]
    return ask("GET", url, headers={"DPoP": key.proof("GET", url, nonce=nonce)}).status == 200


def all_at_once(actions: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Each action in a thread of its own, all begun at the same moment."""
    ready, answers = threading.Barrier(len(actions)), []

    def act(action: Callable[[], Answer]) -> None:
        ready.wait()
        answers.append(action())

    threads = [threading.Thread(target=act, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(actions)
    return answers


@pytest.fixture
def server(tmp_path: Path, cluster: FakeIssuer) -> Iterator[Server]:
    """A server with two workers where an owner may have three devices."""
    more = device_sources(cluster, "max_per_owner = 3")
    with serving(tmp_path, cluster=cluster.issuer, workers=WORKERS, more=more) as running:
        yield running


def devices_in(server: Server) -> list[tuple[str, str | None]]:
    """Every device in the store, with the code that it used up."""
    path = server.configuration.parent / "authserver.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        statement = "SELECT client_id, code_hash FROM devices LEFT JOIN invitations ON used_by = client_id"
        return connection.execute(statement).fetchall()


def test_one_code_for_fifty_keys_gives_exactly_one_device(server: Server) -> None:
    (code,) = codes(server.configuration, 1)
    keys = [DeviceKey() for _ in range(50)]
    answers = all_at_once([lambda key=key: register(server, key, code) for key in keys])  # type: ignore[misc]
    assert sorted(answer.status for answer in answers) == [201] + [401] * 49
    assert {answer.json["error"] for answer in answers if answer.status == 401} == {"invalid_token"}
    assert len(devices_in(server)) == 1


def test_one_code_and_one_key_fifty_times_give_one_device_and_one_answer(server: Server) -> None:
    (code,) = codes(server.configuration, 1)
    key = DeviceKey()
    answers = all_at_once([lambda: register(server, key, code)] * 50)
    assert {answer.status for answer in answers} == {201}
    (client_id,) = {answer.json["client_id"] for answer in answers}
    assert [name for name, _ in devices_in(server)] == [client_id]


def test_fifty_codes_for_one_key_give_one_device(server: Server) -> None:
    key = DeviceKey()
    actions = [lambda code=code: register(server, key, code) for code in codes(server.configuration, 50)]
    answers = all_at_once(actions)
    assert sorted(answer.status for answer in answers) == [201] + [400] * 49
    assert len(devices_in(server)) == 1


def test_an_owner_has_no_more_devices_than_allowed_however_fast_they_come(server: Server) -> None:
    pairs = [(DeviceKey(), code) for code in codes(server.configuration, 20)]
    actions = [lambda key=key, code=code: register(server, key, code) for key, code in pairs]
    answers = all_at_once(actions)
    assert sorted(answer.status for answer in answers) == [201] * 3 + [400] * 17
    assert len(devices_in(server)) == 3


def test_a_proof_enrols_once_from_fifty_threads(server: Server) -> None:
    """R64"""
    (code,) = codes(server.configuration, 1)
    key = DeviceKey()
    headers = {"Authorization": f"Bearer {code}", "DPoP": key.proof("POST", f"{server.url}/register")}
    body = key.registration()
    answers = all_at_once([lambda: ask("POST", f"{server.url}/register", json=body, headers=headers)] * 50)
    assert sorted(answer.status for answer in answers) == [201] + [400] * 49
    assert {answer.json["error"] for answer in answers if answer.status == 400} == {"invalid_dpop_proof"}


def test_enrolled_used_and_revoked_by_its_owner(server: Server, cluster: FakeIssuer) -> None:
    def alice() -> str:
        return leaks.handled(cluster.identity_token(COMPANY, sub="alice"))

    lost, kept = DeviceKey(), DeviceKey()
    (code,) = codes(server.configuration, 1)
    clients = [register(server, lost, alice()).json["client_id"], register(server, kept, code).json["client_id"]]
    assert token(server, kept, clients[1]).json["token_type"] == "DPoP"
    authorization = {"Authorization": f"Bearer {alice()}"}
    assert ask("DELETE", f"{server.url}/devices/{clients[1]}", headers=authorization).status == 404
    assert ask("DELETE", f"{server.url}/devices/{clients[0]}", headers=authorization).status == 204
    for _ in range(4 * WORKERS):  # every worker knows at once
        assert token(server, lost, clients[0]).json["error"] == "invalid_client"
        assert not is_registered(server, lost, clients[0])
    assert token(server, kept, clients[1]).status == 200


def test_killed_at_any_instant_no_code_gives_two_devices_and_no_201_is_forgotten(
    tmp_path: Path, cluster: FakeIssuer
) -> None:
    dice = random.Random(20261123)
    more = device_sources(cluster, "max_per_owner = 100000")
    configuration = write_configuration(tmp_path, cluster=cluster.issuer, workers=WORKERS, more=more)
    told: dict[str, dict[str, DeviceKey]] = {}
    for _ in range(6):
        with Server(configuration) as server:
            tries = [(code, DeviceKey()) for code in codes(configuration, 60) for _ in range(2)]
            dice.shuffle(tries)
            told_before = set(told)
            enrolling = [
                threading.Thread(target=keep_enrolling, args=(server, tries[start::4], told)) for start in range(4)
            ]
            for thread in enrolling:
                thread.start()
            wait_for_more_than(len(told_before), told)
            time.sleep(dice.uniform(0.0, 0.3))
            server.kill()
            for thread in enrolling:
                thread.join(30)
    assert told
    with Server(configuration) as server:
        assert_nothing_forgotten(server, told)


def wait_for_more_than(count: int, told: dict[str, dict[str, DeviceKey]]) -> None:
    """Return when so many codes, and one more, were answered with a device."""
    deadline = time.monotonic() + 30
    while len(told) <= count and time.monotonic() < deadline:
        time.sleep(0.005)


def keep_enrolling(server: Server, tries: Sequence[tuple[str, DeviceKey]], told: dict[str, dict[str, Any]]) -> None:
    """Enrol one device after the other until the server is gone, and note what was answered for which code."""
    for code, key in tries:
        try:
            answer = register(server, key, code)
        except urllib3.exceptions.HTTPError:
            return
        if answer.status == 201:
            told.setdefault(code, {})[answer.json["client_id"]] = key


def assert_nothing_forgotten(server: Server, told: dict[str, dict[str, DeviceKey]]) -> None:
    """Every device that was told of is there, and each device used up a code of its own."""
    stored = devices_in(server)
    assert len({code_hash for _, code_hash in stored}) == len(stored)
    assert None not in {code_hash for _, code_hash in stored}
    assert all(len(devices) == 1 for devices in told.values())
    for code, devices in told.items():
        ((client_id, key),) = devices.items()
        assert is_registered(server, key, client_id)
        assert register(server, DeviceKey(), code).status == 401
        assert register(server, key, code).json["client_id"] == client_id
