"""The authorization server as its callers see it: where it is, what time it has, and how it says no."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from authserver.client.certificate_files import CertificateFiles
from authserver.client.clock import ServerClock
from authserver.client.failures import AnswerUnusable, CallRefused, NoAnswer, printable
from authserver.client.http import Answer, Http
from authserver.client.nonces import NonceMemory
from authserver.jose.discovery import oauth_metadata_url
from authserver.jose.dpop import make_proof
from authserver.jose.jwk import SigningKey
from authserver.oauth import DPOP, ErrorCode

_ATTEMPTS: Final = 3  # one as things are, one with the server's nonce, one with the server's time


@dataclass(frozen=True, slots=True)
class Attempt:
    """The moment at which a request goes out: what each attempt has to say anew.

    ``now`` is the server's time, in seconds since the epoch, and ``nonce`` the newest that it gave.
    """

    method: str
    url: str
    now: float
    nonce: str | None

    def proof(self, key: SigningKey, **more: str) -> str:
        """A proof of ``key`` for this request. ``more`` are further claims."""
        identifier = secrets.token_urlsafe(16)
        return make_proof(
            key, method=self.method, url=self.url, identifier=identifier, now=self.now, nonce=self.nonce, **more
        )


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What an attempt sends. ``key`` is the one that the request proves, None where it proves none.

    ``certificate`` is shown in TLS.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    key: SigningKey | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    certificate: CertificateFiles | None = None


Make = Callable[[Attempt], Outgoing]


class AuthorizationServer:
    """One issuer. It is asked for its metadata once, when that is first needed (RFC 8414)."""

    def __init__(self, issuer: str, *, http: Http | None = None, clock: Callable[[], float] = time.time) -> None:
        """``clock`` is this machine's, in seconds since the epoch; it may be wrong."""
        self.issuer = issuer
        self.clock = ServerClock(clock)
        self.nonces = NonceMemory()
        self._http = http or Http()
        self._metadata: Mapping[str, Any] | None = None

    @property
    def token_endpoint(self) -> str:
        """Where tokens are.

        :raises CallFailed: the metadata cannot be had, or names none.
        """
        return self._endpoint("token_endpoint")

    @property
    def registration_endpoint(self) -> str:
        """Where devices register (RFC 7591).

        :raises CallFailed: the metadata cannot be had, or names none.
        """
        return self._endpoint("registration_endpoint")

    def ask(self, method: str, url: str, make: Make) -> Answer:
        """Send what ``make`` makes, and once more when the server wants its nonce, or the clock here was wrong.

        :raises NoAnswer: the server cannot be reached, or is away for now.
        :raises CallRefused: it said no.
        :raises AnswerUnusable: it does not speak the protocol.
        """
        left = _ATTEMPTS
        while True:
            left -= 1
            answer = self._attempt(method, url, make)
            fresh_nonce = self.nonces.learn(url, answer.headers)
            clock_was_wrong = self.clock.learn(answer.date)
            if answer.status in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT):
                return answer
            failure = _failure(answer)
            nonce_wanted = isinstance(failure, CallRefused) and failure.code == ErrorCode.USE_DPOP_NONCE
            worth_it = (nonce_wanted and fresh_nonce) or (isinstance(failure, CallRefused) and clock_was_wrong)
            if not (left and worth_it):
                raise failure

    def _attempt(self, method: str, url: str, make: Make) -> Answer:
        attempt = Attempt(method, url, self.clock(), self.nonces.newest(url))
        outgoing = make(attempt)
        headers = dict(outgoing.headers)
        if outgoing.key is not None:
            headers[DPOP] = attempt.proof(outgoing.key, **outgoing.claims)
        there = url if outgoing.certificate is None else self._mutual(url)
        return self._http.send(method, there, headers=headers, body=outgoing.body, certificate=outgoing.certificate)

    def _mutual(self, url: str) -> str:
        """Where the endpoint at ``url`` asks for client certificates, which may be elsewhere (RFC 8705 section 5)."""
        metadata = self._known()
        aliases = metadata.get("mtls_endpoint_aliases")
        names = [name for name, value in metadata.items() if value == url]
        found = [aliases[name] for name in names if isinstance(aliases, dict) and name in aliases]
        return found[0] if found and isinstance(found[0], str) else url

    def _endpoint(self, name: str) -> str:
        url = self._known().get(name)
        if not isinstance(url, str):
            raise AnswerUnusable(f"the metadata of {self.issuer} has no {name}")
        return url

    def _known(self) -> Mapping[str, Any]:
        # No cached_property: up to Python 3.11 it locks, and a fork would leave the child with a lock nobody opens.
        if self._metadata is None:
            self._metadata = self._fetched_metadata()
        return self._metadata

    def _fetched_metadata(self) -> Mapping[str, Any]:
        answer = self._http.send("GET", oauth_metadata_url(self.issuer))
        self.clock.learn(answer.date)
        if answer.status != HTTPStatus.OK:
            raise _failure(answer)
        # RFC 8414 section 3.3: identical, or somebody else's metadata would speak for this issuer.
        if answer.json.get("issuer") != self.issuer:
            raise AnswerUnusable(f"the metadata of {self.issuer} is that of another issuer; is the address exact?")
        return answer.json


def _failure(answer: Answer) -> NoAnswer | CallRefused | AnswerUnusable:
    """What an answer that is no success means (RFC 6749 section 5.2)."""
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        busy = "too many failures from here" if answer.status == HTTPStatus.TOO_MANY_REQUESTS else "not able to answer"
        again = "later" if answer.retry_after is None else f"in {answer.retry_after} seconds"
        return NoAnswer(
            f"the server says: {busy} (HTTP status {answer.status}); try again {again}", retry_after=answer.retry_after
        )
    try:
        said = answer.json
    except AnswerUnusable as unusable:
        return unusable
    return CallRefused(
        answer.status,
        printable(said.get("error")),
        printable(said.get("error_description")),
        printable(said.get("request_id")),
    )
