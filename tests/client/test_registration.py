"""What an enrolled machine does about its own registration."""

import pytest

from authserver.client import AuthorizationServer, Enrollment, EnrollmentRecord, Introduction, Registration, enroll
from authserver.client.enrollment import Draft
from authserver.client.failures import AnswerUnusable, CallRefused, NoAnswer, NotEnrolled
from tests.client.fake import FakeServer, Said


def test_a_machine_reads_what_the_server_has_registered(enrolled: Enrollment, registration: Registration) -> None:
    assert registration.read()["client_id"] == enrolled.client_id


@pytest.mark.usefixtures("enrolled")
def test_the_server_asks_for_a_nonce_once_and_the_next_question_has_it(
    fake: FakeServer, registration: Registration
) -> None:
    """R67"""
    registration.read()
    first = len(fake.asked)
    registration.read()
    assert len(fake.asked) == first + 1


def test_a_new_key_takes_the_place_of_the_old_one(
    fake: FakeServer, enrolled: Enrollment, registration: Registration, record: EnrollmentRecord
) -> None:
    after = registration.rekey()
    assert after.key.thumbprint == fake.devices[after.client_id]["jkt"] != enrolled.key.thumbprint
    assert record.load(enrolled.key) is None
    assert registration.read()["client_id"] == enrolled.client_id


@pytest.mark.usefixtures("enrolled")
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_a_new_key_may_be_of_another_algorithm(registration: Registration) -> None:
    assert registration.rekey("EdDSA").key.algorithm == "EdDSA"
    assert registration.rekey().key.algorithm == "EdDSA"


def test_after_a_lost_answer_the_machine_finds_out_which_key_is_known(
    fake: FakeServer, enrolled: Enrollment, registration: Registration, record: EnrollmentRecord
) -> None:
    registration.read()  # has the nonce now
    fake.lose_next()
    with pytest.raises(NoAnswer):
        registration.rekey()
    known = record.read()
    assert isinstance(known, Enrollment)
    assert known.key == enrolled.key
    assert known.next is not None
    assert registration.settle().key == known.next
    assert registration.rekey().key != known.next


def test_a_re_key_that_did_not_arrive_leaves_the_old_key_in_use(
    fake: FakeServer, enrolled: Enrollment, registration: Registration
) -> None:
    fake.say_next(Said(503))
    with pytest.raises(NoAnswer):
        registration.rekey()
    assert registration.settle().key == enrolled.key
    assert registration.read()["client_id"] == enrolled.client_id


@pytest.mark.usefixtures("enrolled")
def test_a_re_key_that_was_begun_is_finished_with_the_key_it_was_begun_with(
    fake: FakeServer, registration: Registration, record: EnrollmentRecord
) -> None:
    fake.say_next(Said(503))
    with pytest.raises(NoAnswer):
        registration.rekey()
    begun = record.read()
    assert isinstance(begun, Enrollment)
    assert registration.rekey().key == begun.next


@pytest.mark.usefixtures("enrolled")
def test_a_revoked_machine_is_told_what_that_means(fake: FakeServer, registration: Registration) -> None:
    fake.devices.clear()
    for attempt in (registration.read, registration.rekey):
        with pytest.raises(CallRefused, match="or it was revoked"):
            attempt()


@pytest.mark.parametrize("code", ["invalid_client_metadata", "invalid_token"])
def test_a_re_key_that_was_refused_leaves_nothing_to_settle(
    code: str, fake: FakeServer, enrolled: Enrollment, registration: Registration, record: EnrollmentRecord
) -> None:
    """Or each token would begin with the question which of two keys the server has."""
    registration.read()
    fake.say_next(Said(400, {"error": code}))
    with pytest.raises(CallRefused, match=code):
        registration.rekey()
    assert record.read() == enrolled
    assert len(list(record.path.glob("key-*"))) == 1


def test_a_re_key_that_may_have_arrived_keeps_its_key_when_the_next_attempt_is_refused(
    fake: FakeServer, enrolled: Enrollment, registration: Registration, record: EnrollmentRecord
) -> None:
    fake.say_next(Said(503))
    with pytest.raises(NoAnswer):
        registration.rekey()
    begun = record.read()
    assert isinstance(begun, Enrollment)
    fake.say_next(Said(401, {"error": "invalid_token"}))
    fake.say_next(Said(400, {"error": "invalid_client_metadata"}))
    with pytest.raises(CallRefused):
        registration.rekey()
    assert record.read() == begun != enrolled


@pytest.mark.usefixtures("enrolled")
def test_settling_a_re_key_does_not_take_an_error_for_an_answer(fake: FakeServer, registration: Registration) -> None:
    registration.read()
    fake.lose_next()
    with pytest.raises(NoAnswer):
        registration.rekey()
    fake.say_next(Said(400, {"error": "invalid_request"}))
    with pytest.raises(CallRefused, match="invalid_request"):
        registration.settle()


@pytest.mark.usefixtures("enrolled")
def test_a_removed_enrolment_is_gone_at_the_server_and_here(
    fake: FakeServer, registration: Registration, record: EnrollmentRecord
) -> None:
    registration.remove()
    assert fake.devices == {}
    assert record.read() is None
    assert [file.name for file in record.path.iterdir()] == ["lock"]
    with pytest.raises(NotEnrolled):
        registration.remove()


@pytest.mark.usefixtures("enrolled")
def test_a_machine_that_the_server_forgot_can_still_be_cleaned(
    fake: FakeServer, registration: Registration, record: EnrollmentRecord
) -> None:
    fake.devices.clear()
    registration.remove()
    assert record.read() is None


def test_while_the_server_is_away_nothing_is_removed_here(
    fake: FakeServer, enrolled: Enrollment, registration: Registration, record: EnrollmentRecord
) -> None:
    fake.say_next(Said(503))
    with pytest.raises(NoAnswer):
        registration.remove()
    fake.say_next(Said(400, {"error": "invalid_request"}))
    with pytest.raises(CallRefused):
        registration.remove()
    fake.say_next(Said(401, {"error": "invalid_dpop_proof"}))  # as behind a proxy that the server was not told of
    with pytest.raises(CallRefused, match="invalid_dpop_proof"):
        registration.remove()
    assert record.read() == enrolled


def test_an_enrolment_that_came_to_nothing_can_be_removed(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord, registration: Registration
) -> None:
    fake.say_next(Said(200))
    with pytest.raises(AnswerUnusable):
        enroll(server, record, fake.code, Introduction("a laptop"))
    assert isinstance(record.read(), Draft)
    with pytest.raises(NotEnrolled, match="begun and not finished"):
        registration.read()
    registration.remove()
    assert record.read() is None
