"""A server of two processes, as a user runs it: what may be used once is used once, however many try at once."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import urllib3

from authserver.model import Device
from authserver.store.sqlite import SqliteStore
from authserver.testing import FakeIssuer
from tests import oracle
from tests.devices import PHONES, DeviceKey, token_form
from tests.served import Answer, Server, ask, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path, cluster: FakeIssuer) -> Iterator[Server]:
    """A server with two workers and a device source."""
    with serving(
        tmp_path,
        cluster=cluster.issuer,
        workers=2,
        keys='algorithms = ["ES256"]',
        reports="",
        more=PHONES.format(phones=""),
    ) as server:
        yield server


@pytest.fixture
def key() -> DeviceKey:
    """The key of a device."""
    return DeviceKey()


@pytest.fixture
def phone(server: Server, key: DeviceKey) -> str:
    """The ``client_id`` of a device of alice."""
    client_id = f"dev_{secrets.token_urlsafe(16)}"
    now = time.time()
    device = Device(client_id, "phones", "phones:owner/alice", "alice", key.jwk, key.thumbprint, created_at=now)
    store = SqliteStore(server.configuration.with_name("authserver.db"), create=False)
    store.enroll(device, code_hash=None, max_per_owner=None, now=now)
    store.close()
    return client_id


def send(server: Server, client_id: str, assertion: str, proof: str) -> Answer:
    """A token request."""
    return ask("POST", f"{server.url}/token", form=token_form(client_id, assertion), headers={"DPoP": proof})


@pytest.mark.parametrize("replayed", ["proof", "assertion"])
def test_what_fifty_threads_send_at_once_to_two_processes_is_believed_exactly_once(
    replayed: str, server: Server, phone: str, key: DeviceKey
) -> None:
    """R37, R64; issue 4, "it must show" 3: one proof with fifty assertions, and one assertion with fifty proofs."""
    proofs = [key.proof("POST", f"{server.url}/token") for _ in range(1 if replayed == "proof" else 50)]
    assertions = [key.assertion(phone, server.url) for _ in range(50 if replayed == "proof" else 1)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(lambda n: send(server, phone, assertions[n % len(assertions)], proofs[n % len(proofs)]), range(50))
        )
    (issued,) = (answer for answer in answers if answer.status == 200)
    _, claims = oracle.read(issued.json["access_token"], ask("GET", f"{server.url}/.well-known/jwks.json").json)
    assert claims["cnf"] == {"jkt": key.thumbprint}
    status, error, reason = {
        "proof": (400, "invalid_dpop_proof", "proof_replayed"),
        "assertion": (401, "invalid_client", "used_twice"),
    }[replayed]
    refused = [answer for answer in answers if answer is not issued]
    assert Counter((answer.status, answer.json["error"]) for answer in refused) == {(status, error): 49}
    assert Counter(event.get("reason") for event in server.events()) == {None: 1, reason: 49}


def test_a_phone_whose_clock_is_hours_off_needs_our_date_header_and_our_nonce(
    server: Server, phone: str, key: DeviceKey
) -> None:
    """R67: what the recipes say, to a real server."""
    wrong, url = time.time() - 7 * 3600, f"{server.url}/token"
    first = send(server, phone, key.assertion(phone, server.url, now=wrong), key.proof("POST", url, now=wrong))
    assert (first.status, first.json["error"]) == (401, "invalid_client")
    off = parsedate_to_datetime(first.headers["Date"]).timestamp() - wrong
    assertion = key.assertion(phone, server.url, now=wrong + off)
    second = send(server, phone, assertion, key.proof("POST", url, now=wrong))
    assert (second.status, second.json["error"]) == (400, "use_dpop_nonce")
    third = send(server, phone, assertion, key.proof("POST", url, now=wrong, nonce=second.headers["DPoP-Nonce"]))
    assert (third.status, third.json["token_type"]) == (200, "DPoP")
    proof = key.proof("POST", url, now=wrong, nonce=third.headers["DPoP-Nonce"])
    assert send(server, phone, key.assertion(phone, server.url, now=wrong + off), proof).status == 200


def test_two_proofs_are_refused_by_a_real_server_whichever_way_they_come(
    server: Server, phone: str, key: DeviceKey
) -> None:
    """R61: gunicorn joins the two headers by a comma."""
    url = f"{server.url}/token"
    for joined in (False, True):
        one, other = (key.proof("POST", url) for _ in range(2))
        headers = urllib3.HTTPHeaderDict()
        for value in [f"{one}, {other}"] if joined else [one, other]:
            headers.add("DPoP", value)
        answer = ask("POST", url, form=token_form(phone, key.assertion(phone, server.url)), headers=headers)
        assert (answer.status, answer.json["error"]) == (400, "invalid_dpop_proof")
    assert [event["reason"] for event in server.events()] == ["proof_repeated"] * 2
