"""Exactly one event for each decision, whichever way it ends."""

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from authserver.audit import Audit
from authserver.endpoints import respond
from authserver.endpoints.http import Request
from authserver.errors import (
    AuthServerError,
    CallerNotAdmitted,
    CredentialRejected,
    Reason,
    ScopeInsufficient,
    TooManyFailures,
    Unavailable,
)
from authserver.resource.credential import ApiRequest
from authserver.resource.protection import Protection
from authserver.resource.requirement import Requirement
from authserver.testing import FakeIssuer, FrozenClock
from tests.endpoints.conftest import Application, MakeApplication
from tests.resource.environment import AUDIENCE as API
from tests.served import exchange_form


def audit(events: list[Mapping[str, Any]]) -> Audit:
    """An audit log that is a list."""
    return Audit(events.append, environment="testing", clock=FrozenClock())


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (CallerNotAdmitted(Reason.NO_RULE, resource="r"), "refused", Reason.NO_RULE),
        (Unavailable(Reason.NO_ACTIVE_KEY), "unavailable", Reason.NO_ACTIVE_KEY),
        (ZeroDivisionError("eyes only"), "failed", Reason.INTERNAL_ERROR),
        (KeyboardInterrupt(), None, None),
    ],
)
def test_whatever_ends_a_decision_goes_on_after_it_is_on_record(
    error: BaseException, outcome: str | None, reason: Reason | None
) -> None:
    """A bug is told by the name of its class: what it says may quote anything."""
    events: list[Mapping[str, Any]] = []
    with pytest.raises(type(error)), audit(events).decision("id", "address"):
        raise error
    assert [(event["outcome"], event["reason"]) for event in events] == ([(outcome, reason)] if outcome else [])
    assert "eyes only" not in str(events)


@pytest.mark.parametrize("error", [None, CredentialRejected(Reason.EXPIRED), Unavailable(Reason.NO_ACTIVE_KEY)])
def test_what_cannot_be_put_on_record_was_not_decided(error: AuthServerError | None) -> None:
    def full(_: Mapping[str, Any]) -> None:
        raise OSError("no space left on device")

    def decide() -> None:
        with Audit(full, environment="testing", clock=FrozenClock()).decision("id", "address"):
            if error is not None:
                raise error

    with pytest.raises(Unavailable) as caught:
        decide()
    assert caught.value.reason is Reason.AUDIT_UNWRITABLE


def test_past_the_limit_the_event_says_so_and_what_was_wrong(make_application: MakeApplication) -> None:
    application = make_application(failures="1/hour")
    assert application.post(exchange_form("broken")).status == 400
    assert application.reason == Reason.TOKEN_MALFORMED
    assert application.post(exchange_form("broken")).status == 429
    assert application.reason == Reason.TOO_MANY_FAILURES
    assert application.events[-1]["facts"]["refused_for"] == Reason.TOKEN_MALFORMED
    limited = TooManyFailures(7, because=CredentialRejected(Reason.TOKEN_MALFORMED))
    assert limited.reason is Reason.TOO_MANY_FAILURES
    assert ("Retry-After", "7") in respond.refused(Request("POST", "id", "127.0.0.1"), limited, None).headers


def test_every_answer_is_one_event(application: Application, identity: str) -> None:
    forms: tuple[dict[str, str], ...] = (
        exchange_form(identity),
        exchange_form("broken"),
        {},
        exchange_form(identity, scope="images:write"),
    )
    answers = [application.post(form) for form in forms]
    assert [event["request_id"] for event in application.events] == [each.headers["X-Request-Id"] for each in answers]
    application.ask("GET", "/.well-known/jwks.json")
    application.ask("GET", "/token")
    assert len(application.events) == len(forms)


def test_an_api_tells_its_operator_which_scope_was_missing(caplog: pytest.LogCaptureFixture) -> None:
    with FakeIssuer() as issuer, caplog.at_level(logging.INFO, "authserver.resource"):
        protection = Protection(issuer=issuer.issuer, audience=API)
        bearer = f"Bearer {issuer.access_token(API, 'images:read')}"
        with pytest.raises(ScopeInsufficient):
            protection.check(ApiRequest((bearer,)), Requirement(("images:write",)))
    (record,) = caplog.records
    assert record.__dict__["reason"] == Reason.SCOPE_INSUFFICIENT
    assert record.__dict__["facts"] == {"required": ("images:write",)}


def test_a_caller_cannot_write_at_length_into_the_log(application: Application, identity: str) -> None:
    application.post(exchange_form(identity, scope="x" * 60_000))
    application.post(exchange_form(identity, scope=" ".join(f"scope-{n}" for n in range(2000))))
    assert all(len(line) < 4096 for line in application.audit.getvalue().splitlines())
