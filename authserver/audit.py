"""Exactly one event for each decision: who, what was asked, which rule, the outcome and why. Never a token."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from authserver.errors import Fact, Reason, Refused, Unavailable
from authserver.model import AccessToken, Authorization, Resource, Subject, TokenRequest
from authserver.oauth import Grant

_LOGGED_CHARACTERS: Final = 500
_LOGGED_MEMBERS: Final = 20


@dataclass(slots=True)
class Decision:
    """What has been found out about one request so far; complete when the token is signed."""

    request_id: str
    address: str
    grant: Grant | None = None
    request: TokenRequest | None = None
    resource: Resource | None = None
    subject: Subject | None = None
    authorization: Authorization | None = None
    token: AccessToken | None = None
    would_allow: tuple[str, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)


class Audit:
    """Writes the events. ``write`` takes one event and raises OSError when it cannot be kept."""

    def __init__(
        self, write: Callable[[Mapping[str, Any]], object], *, environment: str, clock: Callable[[], float]
    ) -> None:
        self._write = write
        self._environment = environment
        self._clock = clock

    @contextmanager
    def decision(self, request_id: str, address: str) -> Iterator[Decision]:
        """Observe one decision, and write its event when it is made, whichever way.

        :raises Unavailable: ``audit_unwritable``; what is not on record was not decided.
        """
        decision = Decision(request_id, address)
        try:
            yield decision
        except Refused as refused:
            self._record(decision, "refused", refused.reason, refused.facts)
            raise
        except Unavailable as unavailable:
            self._record(decision, "unavailable", unavailable.reason, unavailable.facts)
            raise
        except Exception as error:
            self._record(decision, "failed", Reason.INTERNAL_ERROR, {"error": type(error).__name__})
            raise
        else:
            self._record(decision, "issued", None, {})

    def _record(self, decision: Decision, outcome: str, reason: Reason | None, facts: Mapping[str, Fact]) -> None:
        event = {
            "event": "decision",
            "time": round(self._clock(), 3),
            "environment": self._environment,
            "request_id": decision.request_id,
            "address": decision.address,
            "outcome": outcome,
            "reason": reason.value if reason else None,
            **_asked(decision),
            **_found(decision),
            **_granted(decision),
            "facts": {name: _bounded(fact) for name, fact in {**decision.facts, **facts}.items()},
        }
        try:
            self._write({name: value for name, value in event.items() if value not in (None, {}, ())})
        except OSError as error:
            raise Unavailable(Reason.AUDIT_UNWRITABLE) from error


def _bounded(fact: Fact) -> Fact:
    """A fact cut down to what a log line should hold: a caller may have written it, and at length."""
    if isinstance(fact, str):
        return fact[:_LOGGED_CHARACTERS]
    if isinstance(fact, Sequence):
        return [member[:_LOGGED_CHARACTERS] for member in fact[:_LOGGED_MEMBERS]]
    return fact


def _asked(decision: Decision) -> Mapping[str, Any]:
    scope = decision.request.scope if decision.request else None
    return {
        "grant": decision.grant.value if decision.grant else None,
        "resource": decision.resource.identifier if decision.resource else None,
        "unverified_scope": _bounded(scope) if scope else None,
    }


def _found(decision: Decision) -> Mapping[str, Any]:
    subject = decision.subject
    if subject is None:
        return {}
    return {
        "source": subject.source,
        "sub": subject.sub,
        "client_id": subject.client_id,
        "credential_id": subject.credential_id,
        "would_allow": decision.would_allow,
    }


def _granted(decision: Decision) -> Mapping[str, Any]:
    authorization, token = decision.authorization, decision.token
    return {
        "rules": authorization.rules if authorization else None,
        "scope": authorization.scope if authorization else None,
        "jti": token.jti if token else None,
        "kid": token.kid if token else None,
        "expires_at": token.expires_at if token else None,
        "token_type": token.token_type if token else None,
    }
