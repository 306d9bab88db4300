"""Exactly one event for each decision: who, what was asked, which rule, the outcome and why. Never a token."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from authserver.errors import Fact, Reason, Refused, Unavailable
from authserver.model import AccessToken, Authorization, Device, Invitation, Resource, Subject, TokenRequest
from authserver.oauth import Grant

_LOGGED_CHARACTERS: Final = 500
_LOGGED_MEMBERS: Final = 20
_NOTHING: Final[tuple[object, ...]] = (None, {}, ())
"""What an event does not mention."""


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
    unverified_source: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def source(self) -> str | None:
        """The source of the caller: the one that verified it, or else the one its credential claims to be from."""
        return self.subject.source if self.subject else self.unverified_source

    def members(self) -> Mapping[str, Any]:
        """What the event says of it."""
        return {**_asked(self), **_found(self), **_granted(self)}


@dataclass(slots=True)
class Presented:
    """A request that stands on a token of ours. ``claims`` are the token's once it is verified, empty before."""

    request_id: str
    address: str
    claims: Mapping[str, Any] = field(default_factory=dict)
    unverified_source: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def members(self) -> Mapping[str, Any]:
        """What the event says of it."""
        return {member: self.claims.get(claim) for member, claim in _PRESENTED.items()}


_PRESENTED: Final = {
    "sub": "sub",
    "client_id": "client_id",
    "resource": "aud",
    "jti": "jti",
    "expires_at": "exp",
}
"""Members of an event, and the claims of the presented token that they come from."""


@dataclass(slots=True)
class AboutDevice:
    """A request that makes a device, changes or ends one, or invites one.

    ``caller`` is the ``sub`` of the owner or operator who asks, once known; a device that asks for itself has none.
    ``found`` is what is known of the device or the invitation by now.
    """

    request_id: str
    address: str
    caller: str | None = None
    found: Mapping[str, Any] = field(default_factory=dict)
    unverified_source: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def source(self) -> str | None:
        """The device source, or else the source that the caller's credential claims to be from."""
        source: str | None = self.found.get("source", self.unverified_source)
        return source

    def candidate(self, device: Device) -> None:
        """Note what a device would become that has no name yet."""
        self.found = {name: getattr(device, name) for name in _CANDIDATE}

    def device(self, device: Device) -> None:
        """Note which device it is about."""
        self.found = {name: getattr(device, name) for name in _DEVICE}

    def invitation(self, invitation: Invitation) -> None:
        """Note what was given out."""
        self.found = {name: getattr(invitation, name) for name in _INVITATION}

    def members(self) -> Mapping[str, Any]:
        """What the event says of it."""
        unverified = None if "source" in self.found else self.unverified_source
        return {"unverified_source": unverified, "caller": self.caller, **self.found}


_CANDIDATE: Final = ("source", "owner", "thumbprint")
_DEVICE: Final = (
    "source", "owner", "client_id", "sub", "thumbprint", "platform", "model", "app_id", "app_version", "attestation",
)  # fmt: skip
_INVITATION: Final = ("source", "owner", "platform", "expires_at")

Observed = TypeVar("Observed", Decision, Presented, AboutDevice)

_Record = Callable[[str, Observed, str, Reason | None, Mapping[str, Fact]], None]

Observe = Callable[[Decision, str, Reason | None], None]
"""Told of each decision about a token once it is on record: the decision, its outcome, and why it was not issued."""

ObserveEnrollment = Callable[[AboutDevice, str, Reason | None], None]
"""Told of each enrolment once it is on record, in the same way."""


class Audit:
    """Writes the events. ``write`` takes one event and raises OSError when it cannot be kept."""

    def __init__(
        self,
        write: Callable[[Mapping[str, Any]], object],
        *,
        environment: str,
        clock: Callable[[], float],
        observe: Observe = lambda _decision, _outcome, _reason: None,
        observe_enrollment: ObserveEnrollment = lambda _enrollment, _outcome, _reason: None,
    ) -> None:
        self._write = write
        self._tell = observe
        self._tell_enrollment = observe_enrollment
        self._environment = environment
        self._clock = clock

    def decision(self, request_id: str, address: str) -> AbstractContextManager[Decision]:
        """Observe one decision about a token, and write its event when it is made, whichever way.

        :raises Unavailable: ``audit_unwritable``; what is not on record was not decided.
        """
        return self._observe("decision", Decision(request_id, address), "issued")

    def revocation(self, request_id: str, address: str) -> AbstractContextManager[Presented]:
        """Observe one request to take a token back, and write its event, whichever way it ends.

        :raises Unavailable: ``audit_unwritable``.
        """
        return self._observe("revocation", Presented(request_id, address), "revoked")

    def introspection(self, request_id: str, address: str) -> AbstractContextManager[Presented]:
        """Observe one question about a token, and write an event unless it is answered: an answer decides nothing.

        :raises Unavailable: ``audit_unwritable``.
        """
        return self._observe("introspection", Presented(request_id, address), None)

    def enrollment(self, request_id: str, address: str) -> AbstractContextManager[AboutDevice]:
        """Observe one device that wants to be enrolled, and write its event, whichever way it ends.

        :raises Unavailable: ``audit_unwritable``.
        """
        return self._observe("enrollment", AboutDevice(request_id, address), "enrolled")

    def invitation(self, request_id: str, address: str) -> AbstractContextManager[AboutDevice]:
        """Observe one request for an invitation, and write its event, whichever way it ends.

        :raises Unavailable: ``audit_unwritable``.
        """
        return self._observe("invitation", AboutDevice(request_id, address), "invited")

    def device(self, request_id: str, address: str, success: str | None) -> AbstractContextManager[AboutDevice]:
        """Observe one request about devices that are enrolled; its event has the outcome ``success`` if it is done.

        None is for a question: an answer decides nothing, so only one that is refused leaves an event.

        :raises Unavailable: ``audit_unwritable``.
        """
        return self._observe("device", AboutDevice(request_id, address), success)

    def _observe(self, name: str, observed: Observed, success: str | None) -> "_Observation[Observed]":
        return _Observation(self._record, name, observed, success)

    def _record(
        self, name: str, observed: Observed, outcome: str, reason: Reason | None, facts: Mapping[str, Fact]
    ) -> None:
        event = {
            "event": name,
            "time": round(self._clock(), 3),
            "environment": self._environment,
            "request_id": observed.request_id,
            "address": observed.address,
            "outcome": outcome,
            "reason": reason.value if reason else None,
            **observed.members(),
            "facts": {name: _bounded(fact) for name, fact in {**observed.facts, **facts}.items() if fact is not None},
        }
        try:
            self._write({name: value for name, value in event.items() if value or value not in _NOTHING})
        except OSError as error:
            self._tell_of(name, observed, "unavailable", Reason.AUDIT_UNWRITABLE)
            raise Unavailable(Reason.AUDIT_UNWRITABLE) from error
        self._tell_of(name, observed, outcome, reason)

    def _tell_of(self, name: str, observed: object, outcome: str, reason: Reason | None) -> None:
        if isinstance(observed, Decision):
            self._tell(observed, outcome, reason)
        elif isinstance(observed, AboutDevice) and name == "enrollment":
            self._tell_enrollment(observed, outcome, reason)


class _Observation(Generic[Observed]):
    """One request from its beginning to its end, whichever that is.

    This is a class because each token comes through here, and a generator would cost twice as much.
    """

    def __init__(self, record: _Record[Observed], name: str, observed: Observed, success: str | None) -> None:
        self._record: _Record[Observed] = record
        self._name = name
        self._observed: Observed = observed
        self._success = success

    def __enter__(self) -> Observed:
        return self._observed

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            if self._success is not None:
                self._record(self._name, self._observed, self._success, None, {})
        elif isinstance(error, Refused | Unavailable):
            outcome = "refused" if isinstance(error, Refused) else "unavailable"
            self._observed.unverified_source = error.source
            self._record(self._name, self._observed, outcome, error.reason, error.facts)
        elif isinstance(error, Exception):
            self._record(self._name, self._observed, "failed", Reason.INTERNAL_ERROR, {"error": type(error).__name__})


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
        "grant": str(decision.grant) if decision.grant else None,
        "resource": decision.resource.identifier if decision.resource else None,
        "unverified_scope": _bounded(scope) if scope else None,
    }


def _found(decision: Decision) -> Mapping[str, Any]:
    subject = decision.subject
    if subject is None:
        return {"unverified_source": decision.unverified_source}
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
