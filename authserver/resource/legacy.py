"""Accepting the tokens of what was there before, too, while an API moves to this issuer.

Whose a token is follows from what it says of itself, before anything is verified, and each kind has one way: a token
that says that it is this issuer's is verified as one, and if that fails it is refused. It is never handed on. So
whatever the old check overlooks, it overlooks for old tokens alone.
"""

import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.jose.compact import MAX_BYTES, Json, base64url_decode, json_object
from authserver.jose.verify import check_times, media_type
from authserver.oauth import ACCESS_TOKEN_TYP
from authserver.resource.token import VerifiedToken
from authserver.resource.waiting import Waits

_log = logging.getLogger("authserver.resource")

_EVERY: Final = 3600.0
"""Seconds between two log lines about legacy tokens, at least."""

LegacyCheck = Callable[[str], Mapping[str, Any] | None]
"""Verifies a legacy token and returns its claims; None or any exception refuses it.

``sub`` must be among the claims. ``scope``, a string or a list, is what views are asked for; ``client_id`` is ``sub``
where there is none. ``exp``, ``nbf`` and ``iat`` are checked once more.
"""


@dataclass(frozen=True, slots=True)
class LegacyToken(VerifiedToken):
    """A token of another kind, believed because the application's own check believes it.

    What it does not say is empty: ``issuer``, ``jti`` and ``kid`` are ``""``, ``issued_at`` is 0 and ``expires_at``
    infinite.
    """

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any], audience: str) -> Self:
        """Read what the application's own check returned.

        :raises CredentialRejected: ``legacy_token_refused``, there is no ``sub``, or a claim is of the wrong type.
        """
        subject = _text(claims, "sub")
        if not subject:
            raise _refused("sub")
        return cls(
            issuer=_text(claims, "iss"),
            audience=audience,
            subject=subject,
            client_id=_text(claims, "client_id") or subject,
            scope=_scope(claims.get("scope", "")),
            issued_at=claims.get("iat", 0.0),
            expires_at=claims.get("exp", math.inf),
            jti=_text(claims, "jti"),
            kid="",
            claims=MappingProxyType(dict(claims)),
        )


@dataclass(frozen=True, slots=True)
class AcceptedTokens:
    """How many requests brought a token that was believed: one of this issuer, or a legacy one.

    ``last_legacy`` is when the last of those came, in seconds since the epoch; None if none did.
    """

    current: int = 0
    legacy: int = 0
    last_legacy: float | None = None


class Tally:
    """Counts what was accepted, and says so in the log where it was a legacy token, at most once an hour.

    ``on_legacy`` is called with each of those, and on an event loop where the adapter is asynchronous, so it must not
    block. What it raises is not the caller's fault, and is logged. ``clock`` gives seconds since the epoch.
    """

    def __init__(self, on_legacy: Callable[[LegacyToken], None] | None, clock: Callable[[], float]) -> None:
        self._on_legacy = on_legacy
        self._clock = clock
        self._current = _Counter()
        self._legacy = _Counter()
        self._last_legacy: float | None = None
        self._said_at = -math.inf

    @property
    def accepted(self) -> AcceptedTokens:
        """What was accepted so far, in this process."""
        return AcceptedTokens(self._current.total, self._legacy.total, self._last_legacy)

    def count(self, token: VerifiedToken) -> None:
        """Count a token that was believed."""
        if not isinstance(token, LegacyToken):
            self._current.add()
            return
        now = self._clock()
        self._legacy.add()
        self._last_legacy = now
        if abs(now - self._said_at) >= _EVERY:
            self._said_at = now
            accepted = self.accepted
            _log.warning("accepted so far: %d legacy tokens, %d of the issuer", accepted.legacy, accepted.current)
        self._tell(token)

    def _tell(self, token: LegacyToken) -> None:
        if self._on_legacy is None:
            return
        try:
            self._on_legacy(token)
        except Exception as error:
            _log.error("on_legacy failed: %s", type(error).__name__)  # its words may hold claims


class LegacyTokens:
    """Tells legacy tokens from those of ``issuer``, and has them verified by ``check``. ``leeway`` is in seconds."""

    def __init__(self, issuer: str, audience: str, check: LegacyCheck, leeway: int) -> None:
        self._issuer = issuer
        self._audience = audience
        self._check = check
        self._leeway = leeway

    def is_legacy(self, token: str) -> bool:
        """Whether a token, of which nothing was verified, says nothing that makes it this issuer's.

        That is its ``iss``; and a ``typ`` of ``at+jwt`` where no issuer is named. The signature is of no interest: this
        issuer signed the very characters of the header and the claims, so what cannot be read strictly it did not sign,
        whatever a more lenient reader makes of it.
        """
        if len(token) > MAX_BYTES:
            return False
        header, claims, *_ = (*token.split("."), "")
        issuer = _object(claims).get("iss")
        if not isinstance(issuer, str):
            return media_type(_object(header).get("typ")) != ACCESS_TOKEN_TYP
        return issuer != self._issuer

    async def verify(self, token: str, now: float, waits: Waits) -> LegacyToken:
        """Have a legacy bearer token verified.

        :raises CredentialRejected: ``legacy_token_refused``, the check says no; or ``sender_unproven``, the token is
            bound to a key; or a time in it is not now.
        :raises Unavailable: the check says that it cannot know at the moment.
        """
        claims = await waits.call(lambda: self._believed(token))
        if "cnf" in claims:
            raise CredentialRejected(Reason.SENDER_UNPROVEN)  # RFC 7800: there is a key, and nobody has proved it
        check_times({"exp": now + 1, **claims}, now, self._leeway)
        return LegacyToken.from_claims(claims, self._audience)

    def _believed(self, token: str) -> Mapping[str, Any]:
        try:
            claims = self._check(token)
        except Unavailable:
            raise
        except Exception as error:
            # How libraries say no. The words are not ours, and may quote the token: only the kind is told.
            raise CredentialRejected(Reason.LEGACY_TOKEN_REFUSED, because=type(error).__name__) from None
        if not isinstance(claims, Mapping):
            raise CredentialRejected(Reason.LEGACY_TOKEN_REFUSED)
        return claims


class _Counter:
    """Counts for all threads without a lock, which a fork could leave closed: each thread has a number of its own."""

    def __init__(self) -> None:
        self._by_thread: dict[int, int] = {}

    @property
    def total(self) -> int:
        return sum(self._by_thread.copy().values())

    def add(self) -> None:
        thread = threading.get_ident()
        self._by_thread[thread] = self._by_thread.get(thread, 0) + 1


def _object(segment: str) -> Json:
    """One segment of a JWS as JSON; nothing where it is not that."""
    try:
        return json_object(base64url_decode(segment))
    except ValueError:
        return {}


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str) or not value.isprintable():
        raise _refused(name)
    return value


def _scope(value: object) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset(value.split(" ")) - {""}
    if isinstance(value, Iterable):
        scopes = frozenset(value)
        if all(isinstance(scope, str) for scope in scopes):
            return scopes
    raise _refused("scope")


def _refused(claim: str) -> CredentialRejected:
    return CredentialRejected(Reason.LEGACY_TOKEN_REFUSED, claim=claim)
