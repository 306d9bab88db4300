"""Enrolling: what is sent, what is kept, and what survives."""

import contextlib
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from authserver.client import AuthorizationServer, Enrollment, EnrollmentRecord, Introduction, Registration, enroll
from authserver.client.enrollment import Draft
from authserver.client.failures import (
    AnswerUnusable,
    CallFailed,
    CallRefused,
    EnrolledAlready,
    EnrollmentBusy,
    EnrollmentUnusable,
    NoAnswer,
)
from authserver.client.key_places import KEYRING
from tests.client.conftest import MemoryKeyring
from tests.client.fake import FakeServer, Said

LAPTOP = Introduction("a laptop", device={"platform": "linux"})


class PowerFailure(BaseException):
    """Nothing of the program runs after it."""


def test_a_machine_enrols_with_a_key_that_never_leaves_it(fake: FakeServer, enrolled: Enrollment) -> None:
    """R69"""
    assert enrolled.client_id in fake.devices
    registered = fake.devices[enrolled.client_id]
    assert registered["jkt"] == enrolled.key.thumbprint
    assert registered["metadata"]["token_endpoint_auth_method"] == "private_key_jwt"
    assert registered["metadata"]["grant_types"] == ["client_credentials"]
    assert enrolled.name == "a laptop"


def test_what_a_machine_says_of_itself_is_what_it_was_told_to_say(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    told = {"platform": "linux", "model": "T14"}
    enroll(server, record, fake.code, Introduction("a laptop", source="laptops", device=told))
    (device,) = fake.devices.values()
    assert device["metadata"]["device"] == told
    assert device["metadata"]["source"] == "laptops"


def test_only_the_owner_can_get_at_the_key(enrolled: Enrollment, record: EnrollmentRecord) -> None:
    assert stat.S_IMODE(record.path.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in record.path.iterdir()}
    key = f"key-{enrolled.key.thumbprint}.pem"
    assert files == {"enrollment.json": 0o600, key: 0o600, "lock": 0o600}
    assert b"PRIVATE" not in (record.path / "enrollment.json").read_bytes()


def test_the_same_code_answers_the_same_device_after_a_lost_answer(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    fake.lose_next()
    with pytest.raises((NoAnswer, AnswerUnusable)):
        enroll(server, record, fake.code, LAPTOP)
    (device,) = fake.devices
    assert enroll(server, record, fake.code, LAPTOP).client_id == device
    assert len(fake.devices) == 1


def test_an_enrolment_survives_a_crash_at_every_step(
    fake: FakeServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(6):
        record = EnrollmentRecord(fake.issuer, home / str(step))
        fake.by_code.clear()
        fake.devices.clear()
        with monkeypatch.context() as patch, contextlib.suppress(PowerFailure):
            fail_after(step, patch)
            enroll(AuthorizationServer(fake.issuer), record, fake.code, LAPTOP)
        known = record.read()
        if not isinstance(known, Enrollment):
            known = enroll(AuthorizationServer(fake.issuer), record, fake.code, LAPTOP)
        assert list(fake.devices) == [known.client_id]
        assert key_files(record) == {known.key.thumbprint}


def fail_after(step: int, patch: pytest.MonkeyPatch) -> None:
    """Let the power fail at the step of this number: each write, and each moment after one, is a step."""
    left = [step]

    def failing(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            for moment in ("before", "after"):
                result = original(*arguments) if moment == "after" else None
                left[0] -= 1
                if left[0] < 0:
                    raise PowerFailure
            return result

        return call

    for name in ("write", "keep", "forget", "clear"):
        patch.setattr(EnrollmentRecord, name, failing(getattr(EnrollmentRecord, name)))
    patch.setattr(AuthorizationServer, "_attempt", failing(AuthorizationServer._attempt))


def key_files(record: EnrollmentRecord) -> set[str]:
    return {file.stem.removeprefix("key-") for file in record.path.glob("key-*.pem")}


def test_a_re_key_survives_a_crash_at_every_step(fake: FakeServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract section 5"""
    for step in range(20):
        record = EnrollmentRecord(fake.issuer, home / str(step))
        fake.by_code.clear()
        fake.devices.clear()
        before = enroll(AuthorizationServer(fake.issuer), record, fake.code, LAPTOP)
        with monkeypatch.context() as patch, contextlib.suppress(PowerFailure):
            fail_after(step, patch)
            Registration(AuthorizationServer(fake.issuer), record).rekey()
        after = Registration(AuthorizationServer(fake.issuer), record).rekey()
        assert after.key != before.key
        assert fake.devices[before.client_id]["jkt"] == after.key.thumbprint
        assert (after.next, after.retired) == (None, None)
        assert key_files(record) == {after.key.thumbprint}


def test_a_removal_survives_a_crash_at_every_step(
    fake: FakeServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(14):
        record = EnrollmentRecord(fake.issuer, home / str(step))
        fake.by_code.clear()
        fake.devices.clear()
        enroll(AuthorizationServer(fake.issuer), record, fake.code, LAPTOP)
        with monkeypatch.context() as patch, contextlib.suppress(PowerFailure):
            fail_after(step, patch)
            Registration(AuthorizationServer(fake.issuer), record).remove()
        if record.read() is not None:
            Registration(AuthorizationServer(fake.issuer), record).remove()
        assert fake.devices == {}
        assert key_files(record) == set()


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # joserfc follows RFC 9864, which has other names
def test_a_key_of_another_kind_than_is_wanted_now_is_not_kept_for_later(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    with pytest.raises(CallRefused):
        enroll(server, record, "asenroll_unknown", LAPTOP)
    known = enroll(server, record, fake.code, LAPTOP, algorithm="EdDSA")
    assert known.key.algorithm == "EdDSA"
    assert key_files(record) == {known.key.thumbprint}


def test_a_machine_enrols_once(fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord) -> None:
    known = enroll(server, record, fake.code, LAPTOP)
    with pytest.raises(EnrolledAlready, match=known.client_id):
        enroll(server, record, fake.other_code, LAPTOP)
    assert fake.other_code not in fake.by_code


def test_two_issuers_are_two_enrolments(enrolled: Enrollment, home: Path) -> None:
    with FakeServer() as other:
        known = enroll(AuthorizationServer(other.issuer), EnrollmentRecord(other.issuer, home), other.code, LAPTOP)
    assert known.key != enrolled.key
    assert len(list((home / "enrollments").iterdir())) == 2


def test_while_one_process_enrols_another_is_told_to_wait(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    with record.changing(), pytest.raises(EnrollmentBusy, match="another process"):
        enroll(server, record, fake.code, LAPTOP)
    assert fake.devices == {}


@pytest.mark.parametrize("code", ["", "with a space", "with\r\na-line: break", "\u00e4", "a" * 20_000])
def test_what_cannot_be_a_code_is_not_sent(
    code: str, fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    with pytest.raises(CallFailed, match="mistyped"):
        enroll(server, record, code, LAPTOP)
    assert fake.asked == []


@pytest.mark.usefixtures("fake")
def test_a_refused_code_is_explained_and_not_repeated(server: AuthorizationServer, record: EnrollmentRecord) -> None:
    with pytest.raises(CallRefused, match="expired or used") as refused:
        enroll(server, record, "asenroll_that-is-unknown", LAPTOP)
    assert "asenroll" not in str(refused.value)
    assert (refused.value.status, refused.value.code, refused.value.request_id) == (401, "invalid_token", "r-1")
    assert "r-1" in str(refused.value)
    assert isinstance(record.read(), Draft)


@pytest.mark.usefixtures("fake")
def test_a_refused_id_token_is_not_called_a_code(server: AuthorizationServer, record: EnrollmentRecord) -> None:
    with pytest.raises(CallRefused, match="ID token has expired") as refused:
        enroll(server, record, "e30.e30.AAAA", LAPTOP)
    assert "mistyped" not in str(refused.value)


def test_the_owner_cap_is_told_in_the_words_of_the_server(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    told = "The owner has as many devices as are allowed. Revoke one first."
    document = {"error": "invalid_client_metadata", "error_description": told}
    fake.say_next(Said(400, document))
    with pytest.raises(CallRefused, match="as many devices as are allowed") as refused:
        enroll(server, record, fake.code, LAPTOP)
    assert "earlier attempt" not in str(refused.value)


def test_a_key_that_an_earlier_attempt_registered_is_explained(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    fake.lose_next()
    with pytest.raises(NoAnswer):
        enroll(server, record, fake.code, LAPTOP)
    with pytest.raises(CallRefused, match="enroll --remove, and ask for a new code"):
        enroll(server, record, fake.other_code, LAPTOP)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_says_when_to_come_back(
    status: int, fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    fake.say_next(Said(status, {"error": "slow_down"}, {"Retry-After": "17"}))
    with pytest.raises(NoAnswer, match="in 17 seconds") as away:
        enroll(server, record, fake.code, LAPTOP)
    assert away.value.retry_after == 17


def test_the_words_of_a_server_cannot_do_anything_to_a_terminal(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    document = {"error": "invalid_request", "error_description": "\x1b[2Jhello\n" + "x" * 10_000, "request_id": 7}
    fake.say_next(Said(400, document))
    with pytest.raises(CallRefused) as refused:
        enroll(server, record, fake.code, LAPTOP)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("member", ["client_id", "registration_client_uri"])
@pytest.mark.parametrize("value", [None, 7, "", "ftp://elsewhere.example/x\n"])
def test_an_answer_without_what_is_needed_is_no_enrolment(
    member: str, value: object, fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    fake.change_next(**{member: value})
    with pytest.raises(AnswerUnusable, match=member):
        enroll(server, record, fake.code, LAPTOP)
    assert isinstance(record.read(), Draft)


def test_a_server_that_gives_the_device_no_name_leaves_it_its_own(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    fake.change_next(client_name=None)
    assert enroll(server, record, fake.code, LAPTOP).name == "a laptop"


def test_an_algorithm_that_devices_do_not_use_is_refused(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord
) -> None:
    with pytest.raises(ValueError, match="RS256"):
        enroll(server, record, fake.code, LAPTOP, algorithm="RS256")


def test_a_key_can_live_in_the_keyring(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord, memory_keyring: MemoryKeyring
) -> None:
    known = enroll(server, record, fake.code, LAPTOP, place=KEYRING)
    assert list(memory_keyring.kept) == [("authserver", f"{fake.issuer} {known.key.thumbprint}")]
    assert key_files(record) == set()
    after = Registration(server, record).rekey()
    assert list(memory_keyring.kept) == [("authserver", f"{fake.issuer} {after.key.thumbprint}")]
    Registration(server, record).remove()
    assert memory_keyring.kept == {}


def test_nothing_is_enrolled_where_the_home_cannot_be_made(
    fake: FakeServer, server: AuthorizationServer, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("a file", encoding="ascii")
    with pytest.raises(EnrollmentUnusable, match="home"):
        enroll(server, EnrollmentRecord(fake.issuer, tmp_path / "home"), fake.code, LAPTOP)
    assert fake.devices == {}


def test_what_is_remembered_is_one_small_document(enrolled: Enrollment, record: EnrollmentRecord) -> None:
    document = json.loads((record.path / "enrollment.json").read_bytes())
    assert document["version"] == 1
    assert document["client_id"] == enrolled.client_id
    assert document["key"] == {"thumbprint": enrolled.key.thumbprint, "algorithm": "ES256", "place": "file"}
