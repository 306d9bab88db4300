"""A process remembers devices, and a device's token never rests on that alone: what another process changes counts."""

from collections.abc import Callable, Iterator

import pytest

from authserver.errors import Conflict
from authserver.identity import devices
from authserver.identity.devices import DeviceMemory
from authserver.model import DeviceRecord
from authserver.store.sqlite import SqliteStore
from tests.devices import DeviceKey
from tests.endpoints.conftest import Application, MakeApplication
from tests.endpoints.enrolled import SETTINGS, TOKEN_URL, ask_for_token, enroll
from tests.served import Answer
from tests.store.device_contract import device


@pytest.fixture
def application(make_application: MakeApplication) -> Application:
    """An application with a device source."""
    return make_application(**SETTINGS)


@pytest.fixture
def elsewhere(application: Application) -> Iterator[SqliteStore]:
    """The store, as another process has it open."""
    store = SqliteStore(application.sqlite._path)
    yield store
    store.close()


@pytest.fixture
def key() -> DeviceKey:
    """The key of the phone."""
    return DeviceKey()


@pytest.fixture
def phone(application: Application, key: DeviceKey) -> str:
    """A phone that has got a token already, so that it is remembered."""
    client_id = enroll(application, key)
    assert ask_for_token(application, client_id, key).status == 200
    return client_id


def test_a_device_that_is_remembered_is_not_read_again(
    application: Application, phone: str, key: DeviceKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(SqliteStore, "read_record")
    for _ in range(3):
        assert ask_for_token(application, phone, key).status == 200


def test_a_device_that_another_process_revoked_gets_no_further_token(
    application: Application, phone: str, key: DeviceKey, elsewhere: SqliteStore
) -> None:
    elsewhere.revoke_device(phone, application.clock())
    for _ in range(2):
        answer = ask_for_token(application, phone, key)
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert application.reason == "device_revoked"
        assert "sub" not in application.events[-1], "as of anybody who is not believed"


def test_a_device_that_was_found_to_be_revoked_is_remembered_no_longer(
    application: Application, phone: str, key: DeviceKey, elsewhere: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or each of its requests would first try to write, and hold up those who may."""
    elsewhere.revoke_device(phone, application.clock())
    assert ask_for_token(application, phone, key).status == 401
    monkeypatch.delattr(SqliteStore, "use_while")
    assert ask_for_token(application, phone, key).status == 401
    assert application.reason == "device_revoked"


def test_a_device_that_another_process_gave_another_key_has_that_key_alone_at_once(
    application: Application, phone: str, key: DeviceKey, elsewhere: SqliteStore
) -> None:
    new = DeviceKey()
    elsewhere.replace_key(phone, expected=key.thumbprint, jwk=new.jwk, thumbprint=new.thumbprint, key_id=None)
    assert ask_for_token(application, phone, new).status == 200
    assert ask_for_token(application, phone, key).status == 401
    assert application.reason == "signature_wrong"
    assert ask_for_token(application, phone, new).status == 200


def test_the_old_key_gets_nothing_once_another_process_has_replaced_it(
    application: Application, phone: str, key: DeviceKey, elsewhere: SqliteStore
) -> None:
    new = DeviceKey()
    elsewhere.replace_key(phone, expected=key.thumbprint, jwk=new.jwk, thumbprint=new.thumbprint, key_id=None)
    now = application.clock()
    assertion, proof = key.assertion(phone, application.issuer, now=now), key.proof("POST", TOKEN_URL, now=now)
    assert ask_for_token(application, phone, key, assertion=assertion, proofs=[proof]).status == 401
    assert application.reason == "signature_wrong"


def test_a_revoked_device_is_told_so_whatever_else_it_does_wrong(
    application: Application, phone: str, key: DeviceKey, elsewhere: SqliteStore
) -> None:
    elsewhere.revoke_device(phone, application.clock())
    wrong_requests: list[Callable[[], Answer]] = [
        lambda: ask_for_token(application, phone, key, scope="images:delete"),
        lambda: ask_for_token(application, phone, key, proofs=["no proof"]),
        lambda: _ask_as_another(application, phone, key),
    ]
    for wrong in wrong_requests:
        _remember_as_it_was(application, phone, key)
        assert wrong().status == 401
        assert application.reason == "device_revoked"


def _ask_as_another(application: Application, phone: str, key: DeviceKey) -> Answer:
    """With a ``client_id`` beside the assertion that is not the device's."""
    assertion = key.assertion(phone, application.issuer, now=application.clock())
    return ask_for_token(application, f"dev_{'x' * 22}", key, assertion=assertion)


def _remember_as_it_was(application: Application, phone: str, key: DeviceKey) -> None:
    """Make the process remember the device as it was before it was revoked, as if it had not asked since."""
    store = application.sqlite
    with store._writing() as connection:
        (at,) = connection.execute("SELECT revoked_at FROM devices WHERE client_id = ?", (phone,)).fetchone()
        connection.execute("UPDATE devices SET revoked_at = NULL WHERE client_id = ?", (phone,))
    assert ask_for_token(application, phone, key).status == 200
    with store._writing() as connection:
        connection.execute("UPDATE devices SET revoked_at = ? WHERE client_id = ?", (at, phone))


def test_a_device_that_the_store_has_lost_is_unknown(
    application: Application, phone: str, key: DeviceKey, elsewhere: SqliteStore
) -> None:
    with elsewhere._writing() as connection:
        connection.execute("DELETE FROM devices")
    assert ask_for_token(application, phone, key).status == 401
    assert application.reason == "device_unknown"


def test_what_is_wrong_with_a_request_is_said_of_a_remembered_device_as_of_any_other(
    application: Application, phone: str, key: DeviceKey
) -> None:
    stranger, now = DeviceKey(), application.clock()
    forged = stranger.assertion(phone, application.issuer, now=now)
    foreign = stranger.proof("POST", TOKEN_URL, now=now)
    wrong_requests: list[tuple[Callable[[], Answer], int, str]] = [
        (lambda: ask_for_token(application, phone, key, assertion=forged), 401, "signature_wrong"),
        (lambda: _ask_as_another(application, phone, key), 401, "client_id_mismatch"),
        (lambda: ask_for_token(application, phone, key, scope="images:delete"), 400, "scope_unknown"),
        (lambda: ask_for_token(application, phone, key, proofs=[foreign]), 400, "proof_key_wrong"),
    ]
    for wrong, status, reason in wrong_requests:
        assert (wrong().status, application.reason) == (status, reason)
        assert ask_for_token(application, phone, key).status == 200


def test_a_replay_of_a_remembered_devices_request_is_refused(
    application: Application, phone: str, key: DeviceKey
) -> None:
    """R37, R64"""
    now = application.clock()
    assertion, proof = key.assertion(phone, application.issuer, now=now), key.proof("POST", TOKEN_URL, now=now)
    assert ask_for_token(application, phone, key, assertion=assertion, proofs=[proof]).status == 200
    assert ask_for_token(application, phone, key, assertion=assertion, proofs=[proof]).status == 401
    assert application.reason == "used_twice"
    assert ask_for_token(application, phone, key, proofs=[proof]).status == 400
    assert application.reason == "proof_replayed"


def test_a_device_that_changes_all_the_time_is_put_off(
    application: Application, phone: str, key: DeviceKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changes(*_: object) -> None:
        raise Conflict("the device has changed")

    monkeypatch.setattr(SqliteStore, "use_while", changes)
    assert ask_for_token(application, phone, key).status == 503
    assert (application.reason, application.events[-1]["facts"]) == ("store_unavailable", {"cause": "changing"})
    monkeypatch.undo()
    assert ask_for_token(application, phone, key).status == 200


def test_no_more_devices_are_remembered_than_there_is_room_for() -> None:
    memory = DeviceMemory(most=2)
    records = [DeviceRecord(device(number), ("as it is",)) for number in range(3)]
    for record in (*records, records[2]):
        memory.remember(record)
    assert [memory.recall(record.device.client_id) for record in records] == [None, *records[1:]]
    memory.forget(records[1].device.client_id)
    assert memory.recall(records[1].device.client_id) is None
    assert devices.MOST_RECALLED > 2
