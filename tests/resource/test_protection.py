"""One API without a framework: what adapters stand on, in threads and on event loops."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from authserver.errors import (
    CredentialMissing,
    CredentialRejected,
    ProofRejected,
    Reason,
    Refused,
    RequestMalformed,
    ScopeInsufficient,
    Unavailable,
)
from authserver.resource.credential import ApiRequest, OfferedProof
from authserver.resource.protection import Protection
from authserver.resource.refusal import Refusal
from authserver.resource.requirement import Requirement
from authserver.resource.token import Accepted
from authserver.testing import FakeIssuer, FrozenClock
from tests.devices import DeviceKey
from tests.resource.environment import AUDIENCE, bound_token

ANY_TOKEN = Requirement()
READ = Requirement(("images:read",))
OPTIONAL = Requirement(("images:read",), optional=True)
URL = f"{AUDIENCE}/images"

Check = Callable[..., Accepted | None]
Make = Callable[..., Protection]


@pytest.fixture
def make(issuer: FakeIssuer, clock: FrozenClock) -> Make:
    def protection(**options: Any) -> Protection:
        return Protection(**{"issuer": issuer.issuer, "audience": AUDIENCE, "clock": clock, **options})

    return protection


def in_a_thread(protection: Protection, *request: Any) -> Accepted | None:
    return protection.check(*request)


def on_a_loop(protection: Protection, *request: Any) -> Accepted | None:
    return asyncio.run(protection.check_async(*request))


@pytest.fixture(params=[in_a_thread, on_a_loop], ids=["thread", "loop"])
def check(request: pytest.FixtureRequest) -> Check:
    checked: Check = request.param
    return checked


def bearer(token: str) -> ApiRequest:
    return ApiRequest((f"Bearer {token}",))


def refusal(check: Check, *arguments: Any) -> Refused | Unavailable:
    try:
        check(*arguments)
    except (Refused, Unavailable) as error:
        return error
    pytest.fail("it was accepted")


def test_a_good_token_is_accepted(check: Check, make: Make, issuer: FakeIssuer) -> None:
    accepted = check(make(), bearer(issuer.access_token(AUDIENCE, "images:read")), READ)
    assert accepted is not None
    assert (accepted.token.subject, accepted.headers) == ("tests:somebody", ())


def test_each_way_of_being_wrong_is_an_error_of_its_own(check: Check, make: Make, issuer: FakeIssuer) -> None:
    token = issuer.access_token(AUDIENCE, "images:write")
    protection = make()
    assert type(refusal(check, protection, ApiRequest(()), READ)) is CredentialMissing
    assert type(refusal(check, protection, ApiRequest(("Bearer",)), READ)) is RequestMalformed
    assert type(refusal(check, protection, bearer("x"), READ)) is CredentialRejected
    assert type(refusal(check, protection, bearer(token), READ)) is ScopeInsufficient
    assert type(refusal(check, protection, ApiRequest((f"DPoP {token}",)), READ)) is CredentialRejected
    issuer.down()
    assert type(refusal(check, make(), bearer(token), READ)) is Unavailable


def test_without_credentials_an_optional_requirement_is_met(check: Check, make: Make, issuer: FakeIssuer) -> None:
    protection = make()
    assert check(protection, ApiRequest(()), OPTIONAL) is None
    assert check(protection, ApiRequest(("Basic dXNlcjpwYXNz",)), OPTIONAL) is None
    assert check(protection, ApiRequest((), token_in_query=True), OPTIONAL) is None
    assert check(protection, bearer(issuer.access_token(AUDIENCE, "images:read")), OPTIONAL) is not None


def test_bad_credentials_are_refused_though_they_are_optional(check: Check, make: Make, issuer: FakeIssuer) -> None:
    protection = make()
    for request in (
        bearer("x"),
        ApiRequest(("Bearer",)),
        bearer(issuer.access_token(AUDIENCE)),
        ApiRequest(("DPoP x",)),
    ):
        assert isinstance(refusal(check, protection, request, OPTIONAL), Refused)


def test_a_proof_beside_a_bearer_token_is_refused_and_not_ignored(check: Check, make: Make, issuer: FakeIssuer) -> None:
    offered = OfferedProof(("a",), "GET", (AUDIENCE,))
    protection, new, known = make(), bearer(issuer.access_token(AUDIENCE)), bearer(issuer.access_token(AUDIENCE))
    assert check(protection, known, ANY_TOKEN) is not None
    for request in (new, known):
        request.proof = offered
        error = refusal(check, protection, request, ANY_TOKEN)
        assert (type(error), error.reason) == (ProofRejected, Reason.PROOF_UNEXPECTED)


class Store:
    """A replay store that notes in which thread it is asked."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:  # noqa: ARG002
        self.threads.append(threading.current_thread().name)


def test_what_a_store_does_with_its_disk_never_holds_the_loop(
    make: Make, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    device, store = DeviceKey(), Store()
    token = bound_token(issuer, device)
    protection = make(replay=store)

    def request() -> ApiRequest:
        proof = device.proof("GET", URL, now=clock(), access_token=token)
        return ApiRequest((f"DPoP {token}",), proof=OfferedProof((proof,), "GET", (URL,)))

    on_a_loop(protection, request(), READ)
    in_a_thread(protection, request(), READ)
    elsewhere, here = store.threads
    assert (elsewhere == here, here) == (False, threading.current_thread().name)


def test_of_two_guards_around_one_view_the_second_does_not_want_another_proof(
    check: Check, make: Make, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    device, protection = DeviceKey(), make()
    token = bound_token(issuer, device)
    proof = device.proof("GET", URL, now=clock(), access_token=token)
    request = ApiRequest((f"DPoP {token}",), proof=OfferedProof((proof,), "GET", (URL,)))
    before = check(protection, request, READ)
    assert check(protection, request, READ, before) is before
    assert type(refusal(check, protection, request, Requirement(("images:write",)), before)) is ScopeInsufficient
    assert refusal(check, protection, request, READ).reason is Reason.PROOF_REPLAYED
    assert protection.accepted.current == 1


def test_a_nonce_that_is_handed_over_keeps_caches_away(
    check: Check, make: Make, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    """RFC 9449 section 8.2"""
    device, protection = DeviceKey(), make(require_dpop_nonce=True)
    token = bound_token(issuer, device)

    def request(**members: Any) -> ApiRequest:
        proof = device.proof("GET", URL, now=clock(), access_token=token, **members)
        return ApiRequest((f"DPoP {token}",), proof=OfferedProof((proof,), "GET", (URL,)))

    wanted = refusal(check, protection, request(), READ)
    nonce = dict(protection.refuse(wanted, request(), READ).headers)["DPoP-Nonce"]
    clock.advance(200)
    accepted = check(protection, request(nonce=nonce), READ)
    assert accepted is not None
    assert accepted.headers == (("DPoP-Nonce", str(accepted.nonce)), ("Cache-Control", "no-store"))


def test_refusing_is_the_answer_of_the_scheme_that_was_tried(make: Make) -> None:
    answer = make().refuse(CredentialRejected(Reason.EXPIRED), ApiRequest(("DPoP x",)), READ)
    assert dict(answer.headers)["WWW-Authenticate"].startswith('DPoP realm="https://images.example.com", error="inv')


def test_the_metadata_document_and_where_it_is(make: Make) -> None:
    """R100"""
    protection = make(scopes=["images:read"], audience="https://a.example/caf%C3%A9")
    assert protection.metadata_path == "/.well-known/oauth-protected-resource/café"
    assert json.loads(protection.metadata.body)["scopes_supported"] == ["images:read"]
    assert protection.exemptions().covers("/.well-known/oauth-protected-resource/café")
    assert make(audience="images").metadata_path is None


def test_settings_are_checked_at_once(make: Make) -> None:
    with pytest.raises(ValueError, match="url must be"):
        make(url="http://images.example.com")
    with pytest.raises(ValueError, match="not a scope"):
        make(scopes=["a b"])


# Bodies of one's own


def test_a_refusal_can_be_written_in_another_way_and_stays_one(make: Make) -> None:
    seen: list[Refusal] = []

    def render(refusal: Refusal) -> tuple[str, bytes]:
        seen.append(refusal)
        return "text/html; charset=utf-8", b"<h1>no</h1>"

    request = ApiRequest((), request_id="abc")
    plain, own = (
        protection.refuse(error, request, READ)
        for protection in (make(), make(render=render))
        for error in (ScopeInsufficient(["images:read"]),)
    )
    assert seen == [Refusal(403, "insufficient_scope", seen[0].description, ("images:read",), "abc")]
    assert own.body == b"<h1>no</h1>"
    assert own.headers == (("Content-Type", "text/html; charset=utf-8"), *plain.headers[1:])
    assert own.status == plain.status


@pytest.mark.parametrize("made", [None, ("a/b\r\nX: y", b""), ("text/plain", "text"), ("é", b""), ()])
def test_a_refusal_that_cannot_be_rendered_is_sent_all_the_same(
    make: Make, caplog: pytest.LogCaptureFixture, made: Any
) -> None:
    answer = make(render=lambda _: made).refuse(CredentialMissing(), ApiRequest(()), READ)
    assert answer == make().refuse(CredentialMissing(), ApiRequest(()), READ)
    assert "could not be rendered" in caplog.text


# What the operator sees


def test_the_operator_reads_the_reason_and_nobody_reads_the_token(
    check: Check, make: Make, issuer: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.access_token(AUDIENCE, exp=1)
    with caplog.at_level(logging.INFO, "authserver.resource"):
        refusal(check, make(), bearer(token), ANY_TOKEN)
    [record] = caplog.records
    assert record.getMessage() == "refused: expired"
    assert record.__dict__["reason"] == "expired"
    assert record.__dict__["facts"]["exp"] == 1
    assert token not in str(record.__dict__)


def test_who_needs_no_token_and_has_none_is_no_refusal(
    check: Check, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "authserver.resource"):
        check(make(), ApiRequest(()), OPTIONAL)
    assert not caplog.records
