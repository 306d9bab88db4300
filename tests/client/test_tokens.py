"""The device supplier, the token that comes of it, and calls with it."""

import threading
import time
from pathlib import Path

import pytest
import urllib3

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
from authserver.client.enrollment import Draft
from authserver.client.failures import AnswerUnusable, CallRefused, EnrollmentUnusable, NoAnswer, NotEnrolled
from authserver.client.supplier import Offer, Supplier
from authserver.oauth import Grant
from tests.client.fake import FakeServer, Said
from tests.leaks import handled

IMAGES = "https://images.example.com"


def token_of(server: AuthorizationServer, supplier: Supplier) -> IssuedToken:
    return request_token(server, supplier, resource=IMAGES, scope="images:read")


@pytest.mark.usefixtures("enrolled")
def test_a_device_gets_a_token_that_is_bound_to_its_key(
    fake: FakeServer, server: AuthorizationServer, supplier: DeviceSupplier
) -> None:
    """R66"""
    token = token_of(server, supplier)
    assert (token.token_type, token.expires_in, set(token.scope)) == ("DPoP", 3600, {"images:read"})
    assert token.key is not None
    assert fake.issued[token.value] == token.key.kid
    assert fake.asked[-1].form["resource"] == IMAGES


@pytest.mark.usefixtures("enrolled")
def test_nothing_that_is_secret_is_in_what_is_printed(server: AuthorizationServer, supplier: DeviceSupplier) -> None:
    offer, token = supplier.offer(time.time()), token_of(server, supplier)
    assert handled(offer.parameters["client_assertion"]) not in repr(offer)
    assert token.value not in repr(token)


@pytest.mark.usefixtures("enrolled")
def test_what_is_not_asked_for_is_not_sent(
    fake: FakeServer, server: AuthorizationServer, supplier: DeviceSupplier
) -> None:
    fake.say_next(Said(200, {"access_token": "t", "token_type": "dpop", "expires_in": 60}))
    assert request_token(server, supplier).scope == frozenset()
    assert {"resource", "scope"}.isdisjoint(fake.asked[-1].form)


@pytest.mark.usefixtures("enrolled")
def test_a_nonce_that_is_wanted_is_brought_with_a_fresh_assertion(
    fake: FakeServer, server: AuthorizationServer, supplier: DeviceSupplier
) -> None:
    """R67"""
    token_of(server, supplier)
    fake.nonce = "nonce-2"
    token_of(server, supplier)
    assertions = [asked.form["client_assertion"] for asked in fake.asked if asked.path == "/token"]
    assert len(set(assertions)) == len(assertions) == 3


@pytest.mark.usefixtures("enrolled")
def test_a_server_that_never_has_enough_nonces_is_given_up(
    fake: FakeServer, server: AuthorizationServer, supplier: DeviceSupplier
) -> None:
    for number in range(5):
        fake.say_next(Said(400, {"error": "use_dpop_nonce"}, {"DPoP-Nonce": f"nonce-{number}"}))
    with pytest.raises(CallRefused, match="use_dpop_nonce"):
        token_of(server, supplier)
    assert len(fake.plans) == 2


@pytest.mark.usefixtures("enrolled")
def test_a_demand_for_a_nonce_without_one_is_a_refusal(
    fake: FakeServer, server: AuthorizationServer, supplier: DeviceSupplier
) -> None:
    fake.say_next(Said(400, {"error": "use_dpop_nonce"}, {"DPoP-Nonce": 'not"a nonce'}))
    fake.say_next(Said(400, {"error": "another"}))
    with pytest.raises(CallRefused, match="use_dpop_nonce"):
        token_of(server, supplier)


@pytest.mark.parametrize("wrong_by", [-90_000, -400, 400, 90_000])
def test_a_machine_with_a_wrong_clock_enrols_and_gets_a_token(
    wrong_by: int, fake: FakeServer, record: EnrollmentRecord
) -> None:
    """R64"""
    server = AuthorizationServer(fake.issuer, clock=lambda: time.time() + wrong_by)
    enroll(server, record, fake.code, Introduction("a laptop"))
    token = token_of(server, DeviceSupplier(server, record))
    headers = BoundCalls(server).headers("GET", fake.api, token)
    assert urllib3.request("GET", fake.api, headers=headers).status == 200


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("jump", [-4000, 4000])
def test_a_clock_that_jumps_between_two_tokens_is_noticed(
    jump: int, fake: FakeServer, record: EnrollmentRecord
) -> None:
    offset = [0]
    server = AuthorizationServer(fake.issuer, clock=lambda: time.time() + offset[0])
    supplier = DeviceSupplier(server, record)
    token_of(server, supplier)
    offset[0] = jump
    assert token_of(server, supplier).value in fake.issued


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("status", [429, 503])
def test_when_to_come_back_is_told(
    status: int, fake: FakeServer, server: AuthorizationServer, supplier: DeviceSupplier
) -> None:
    fake.say_next(Said(status, {"error": "temporarily_unavailable"}, {"Retry-After": "5"}))
    with pytest.raises(NoAnswer) as away:
        token_of(server, supplier)
    assert away.value.retry_after == 5
    fake.say_next(Said(status))
    with pytest.raises(NoAnswer, match="try again later"):
        token_of(server, supplier)


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "a\r\nX-Forged: b"},
        {"access_token": "a b"},
        {"access_token": "t\u00f6ken"},
        {"scope": ["images:read"]},
        {"expires_in": "3600"},
        {"expires_in": True},
        {"expires_in": 0},
        {"token_type": "Bearer"},
        {"token_type": None},
    ],
    ids=str,
)
def test_an_answer_that_is_not_the_token_that_was_asked_for_is_refused(
    changes: dict[str, object], fake: FakeServer, server: AuthorizationServer, supplier: DeviceSupplier
) -> None:
    """R66"""
    fake.change_next(**changes)
    with pytest.raises(AnswerUnusable):
        token_of(server, supplier)


def test_an_answer_without_json_is_refused(
    fake: FakeServer, enrolled: Enrollment, server: AuthorizationServer, supplier: DeviceSupplier
) -> None:
    assert enrolled.client_id in fake.devices
    fake.say_next(Said(400))
    with pytest.raises(AnswerUnusable, match="not a JSON object"):
        token_of(server, supplier)


def test_the_marker_of_a_device_is_its_enrolment(
    fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord, supplier: DeviceSupplier
) -> None:
    asked = len(fake.asked)
    assert (supplier.name, supplier.present()) == ("device", False)
    with pytest.raises(NotEnrolled):
        supplier.offer(0)
    assert len(fake.asked) == asked
    with pytest.raises(CallRefused):
        enroll(server, record, "asenroll_unknown", Introduction("a laptop"))
    assert isinstance(record.read(), Draft)
    assert supplier.present()
    with pytest.raises(NotEnrolled, match="not finished"):
        supplier.offer(0)


def test_a_marker_that_is_broken_is_there_all_the_same(record: EnrollmentRecord, supplier: DeviceSupplier) -> None:
    record.path.mkdir(parents=True, mode=0o700)
    (record.path / "enrollment.json").symlink_to("nowhere")
    assert supplier.present()
    with pytest.raises(EnrollmentUnusable):
        supplier.offer(0)


def test_a_home_that_leads_to_itself_is_broken_and_not_absent(
    home: Path, record: EnrollmentRecord, supplier: DeviceSupplier
) -> None:
    home.symlink_to(home)
    assert record.exists()
    assert supplier.present()
    with pytest.raises(EnrollmentUnusable, match="symbolic links"):
        supplier.offer(0)


def test_a_home_that_is_a_file_has_no_enrolment(record: EnrollmentRecord, supplier: DeviceSupplier) -> None:
    record.path.parent.parent.mkdir(parents=True)
    record.path.parent.touch()
    assert not supplier.present()


def test_a_re_key_that_was_interrupted_does_not_keep_a_device_from_its_token(
    fake: FakeServer,
    enrolled: Enrollment,
    registration: Registration,
    server: AuthorizationServer,
    supplier: DeviceSupplier,
) -> None:
    registration.read()
    fake.lose_next()
    with pytest.raises(NoAnswer):
        registration.rekey()
    token = token_of(server, supplier)
    assert token.key is not None
    assert token.key.kid == fake.devices[enrolled.client_id]["jkt"] != enrolled.key.thumbprint


def test_while_a_re_key_is_under_way_the_old_key_is_used(
    fake: FakeServer,
    enrolled: Enrollment,
    registration: Registration,
    record: EnrollmentRecord,
    supplier: DeviceSupplier,
) -> None:
    fake.say_next(Said(503))
    with pytest.raises(NoAnswer):
        registration.rekey()
    with record.changing():
        offer = supplier.offer(time.time())
    assert offer.key is not None
    assert offer.key.kid == enrolled.key.thumbprint


class Workload:
    """A supplier without a key."""

    name = "workload"

    def present(self) -> bool:
        return True

    def offer(self, now: float) -> Offer:
        assert now > 0
        return Offer(Grant.JWT_BEARER, {"assertion": "an-identity-token"})


def test_a_supplier_without_a_key_gets_a_bearer_token(fake: FakeServer, server: AuthorizationServer) -> None:
    fake.say_next(Said(200, {"access_token": "t", "token_type": "bearer", "expires_in": 60}))
    token = token_of(server, Workload())
    assert "DPoP" not in fake.asked[-1].headers
    assert fake.asked[-1].form["assertion"] == "an-identity-token"
    assert BoundCalls(server).headers("GET", "https://images.example.com/", token) == {"Authorization": "Bearer t"}


@pytest.mark.usefixtures("enrolled")
def test_threads_share_a_server(fake: FakeServer, server: AuthorizationServer, supplier: DeviceSupplier) -> None:
    tokens: list[IssuedToken] = []
    threads = [threading.Thread(target=lambda: tokens.append(token_of(server, supplier))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {token.value for token in tokens} == set(fake.issued)
    assert len(tokens) == 8
