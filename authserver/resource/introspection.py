"""Asking the issuer whether a token is still active (RFC 7662), for who cannot wait until a revoked one has expired.

It comes after everything that is verified here, and only ever takes away: a token that is not believed is not asked
about, and an answer makes none good.
"""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from authserver.errors import CredentialRejected, Fact, Reason, Unavailable
from authserver.jose.addresses import Location
from authserver.jose.discovery import oauth_metadata_url
from authserver.jose.fetch import Cause, Endpoint, Fetcher
from authserver.jose.verify import sole_audience
from authserver.resource.memory import fingerprint
from authserver.resource.token import VerifiedToken
from authserver.resource.urls import require_url
from authserver.resource.waiting import Waits

LONGEST_CACHE: Final = 60.0
"""The most seconds that an answer may be kept."""

LONGEST_DEADLINE: Final = 30.0
"""The most seconds that one request to the issuer may take."""

_PAUSE: Final = 1.0
"""Seconds for which an issuer that did not answer in time is not asked again: each question holds up a request."""

_SAME: Final = ("iss", "sub", "client_id", "iat", "exp", "jti", "cnf")
"""What an answer must repeat as the token has it, where it has it at all. Audience and scope have several spellings."""

Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Introspection:
    """How the issuer is asked.

    ``token`` returns the bearer token that this API asks with, such as ``TokenClient.get_token`` of a client whose
    resource is the issuer and whose scope is ``introspect:<name>``. It is called for each question, so it should
    remember what it has. An answer is kept for ``cache`` seconds, 0 to 60: that is how long a revoked token may still
    be accepted. Each request to the issuer may take ``deadline`` seconds. Answers about at most ``entries`` tokens are
    kept. ``url`` is the address of the introspection endpoint; left out, the issuer's metadata names it.

    :raises ValueError: a setting cannot be used.
    """

    token: Callable[[], str]
    cache: float = 30.0
    deadline: float = 2.0
    entries: int = 4096
    url: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        if not 0 <= self.cache <= LONGEST_CACHE:
            raise ValueError(f"cache must be 0 to {LONGEST_CACHE:.0f} seconds")
        if not 0 < self.deadline <= LONGEST_DEADLINE:
            raise ValueError(f"deadline must be more than 0 and at most {LONGEST_DEADLINE:.0f} seconds")
        if self.entries < 1:
            raise ValueError("entries must be at least 1")
        if self.url is not None:
            require_url("url", self.url)


class Introspector:
    """Asks ``issuer``, once at a time for each token. ``clock`` gives seconds since the epoch.

    Threads, event loops and forked processes may share it.
    """

    def __init__(self, issuer: str, settings: Introspection, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._endpoint = _IntrospectionEndpoint(issuer, settings)
        self._here = _Questions()

    async def check(self, token: str, verified: VerifiedToken, now: float, waits: Waits) -> None:
        """Check that the issuer calls a token active, of which ``verified`` is what was verified here.

        :raises CredentialRejected: ``token_inactive``; or ``introspection_mismatch``, it speaks of another token.
        :raises Unavailable: ``introspection_unavailable``, it did not say.
        """
        question, ours = self._question(fingerprint(token), now)
        if ours:
            try:
                await waits.call(partial(self._settle, question, token))
            except Unavailable as full:
                question.fail(_unavailable(because=full.reason.value))
        try:
            # Who asked knows by now. Others wait as long as the first question of all may take: metadata, and answer.
            said = await waits.result(question.answer, 2 * self._settings.deadline)
        except TimeoutError:
            raise _unavailable(cause=Cause.TIMED_OUT.value) from None
        _compare(said, verified)

    def _question(self, name: bytes, now: float) -> tuple["_Question", bool]:
        """The question about a token that was asked lately, or a new one, and whether it is the caller's to ask."""
        if self._here.pid != os.getpid():
            self._here = _Questions()  # who would have answered stayed in the parent, perhaps with the lock
        here = self._here
        with here.lock:
            known = here.by_name.get(name)
            if known is not None and known.holds(now, self._settings.cache):
                return known, False
            asked = _Question(now)
            if abs(now - here.silent_at) < _PAUSE:
                asked.fail(_unavailable(cause=Cause.TIMED_OUT.value))
                return asked, False
            here.by_name.pop(name, None)
            here.by_name[name] = asked
            while len(here.by_name) > self._settings.entries:
                del here.by_name[next(iter(here.by_name))]
            return asked, True

    def _settle(self, question: "_Question", token: str) -> None:
        """Ask, and tell all who wait. Nothing is raised, because who began this may have gone.

        What ends a thread or a process is: but who waits is told before.
        """
        try:
            question.answer.set_result(self._endpoint.ask(token))
        except Unavailable as error:
            if error.facts.get("cause") == Cause.TIMED_OUT.value:
                self._here.silent_at = self._clock()
            question.fail(error)
        except BaseException as error:
            question.fail(_unavailable(because=type(error).__name__))
            if not isinstance(error, Exception):
                raise


class _Question:
    """One question, asked at ``asked_at``, and its answer when there is one."""

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self.answer: Future[Said] = Future()

    def holds(self, now: float, seconds: float) -> bool:
        """Whether it is recent enough. One that came to nothing is not, for who comes after that."""
        failed = self.answer.done() and self.answer.exception() is not None
        return abs(now - self.asked_at) < seconds and not failed

    def fail(self, error: Unavailable) -> None:
        self.answer.set_exception(error)


class _Questions:
    """The questions of one process, by the fingerprint of the token; the oldest first."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.by_name: dict[bytes, _Question] = {}
        self.silent_at = float("-inf")


class _IntrospectionEndpoint:
    """The endpoint of one issuer, found when it is first needed."""

    def __init__(self, issuer: str, settings: Introspection) -> None:
        self._issuer = issuer
        self._own_token = settings.token
        insecure = issuer.startswith("http:") and not (settings.url or "http:").startswith("https:")
        self._fetcher = Fetcher(insecure_allow_http=insecure, deadline=settings.deadline)
        self._found = Endpoint(settings.url) if settings.url is not None else None

    def ask(self, token: str) -> Said:
        """What the issuer says of a token (RFC 7662 section 2.2).

        :raises Unavailable: ``introspection_unavailable``.
        """
        own = self._own()
        try:
            return self._post(token, own)
        except Unavailable as error:
            # A 401 is about our own token: it may have been revoked, or have expired on the way. If there is another by
            # now, that is worth one more attempt.
            renewed = self._own() if error.facts.get("status") == 401 else own
            if renewed == own:
                raise
            return self._post(token, renewed)

    def _own(self) -> str:
        try:
            return self._own_token()
        except Exception as error:
            # From code that is not ours, so its words may hold a token: only its kind is told.
            raise _unavailable(because=type(error).__name__) from None

    def _post(self, token: str, own: str) -> Said:
        try:
            form = {"token": token, "token_type_hint": "access_token"}
            said = self._fetcher.post_form(self._address(), form, own).document
        except Unavailable as error:
            raise _unavailable(**error.facts) from None
        if not isinstance(said.get("active"), bool):
            raise _unavailable(cause=Cause.ANSWER_MALFORMED.value)
        return said

    def _address(self) -> Endpoint:
        if self._found is None:
            metadata = self._fetcher.get_json(Endpoint(oauth_metadata_url(self._issuer))).document
            self._found = _named(metadata, self._issuer)
        return self._found


def _named(metadata: Mapping[str, Any], issuer: str) -> Endpoint:
    """The endpoint that is named in metadata: where the tokens of all our callers go."""
    url = metadata.get("introspection_endpoint")
    if metadata.get("issuer") != issuer:  # RFC 8414 section 3.3
        raise _unavailable(cause=Cause.ISSUER_MISMATCH.value)
    try:
        there = Location.of(str(url))
    except ValueError:
        raise _unavailable(cause=Cause.URL_REFUSED.value) from None
    return Endpoint(str(url), discovered=there.host != Location.of(issuer).host)


def _compare(said: Said, verified: VerifiedToken) -> None:
    if said["active"] is not True:
        raise CredentialRejected(Reason.TOKEN_INACTIVE)
    claims = verified.claims
    differing = [name for name in _SAME if name in said and said[name] != claims.get(name)]
    if "aud" in said and sole_audience(said) != verified.audience:
        differing.append("aud")
    if "scope" in said and _scope(said["scope"]) != verified.scope:
        differing.append("scope")
    if differing:
        raise CredentialRejected(Reason.INTROSPECTION_MISMATCH, claims=differing)


def _scope(value: object) -> frozenset[str] | None:
    return frozenset(value.split(" ")) - {""} if isinstance(value, str) else None


def _unavailable(**facts: Fact) -> Unavailable:
    return Unavailable(Reason.INTROSPECTION_UNAVAILABLE, retry_after=1, **facts)
