"""One request to an API with a token, and what its answers ask for: nothing, another proof, or another token."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

from authserver.client.bound import BoundCalls
from authserver.client.exchange import IssuedToken

_TOKEN_REFUSED: Final = re.compile(r'\berror\s*=\s*"?invalid_token\b', re.IGNORECASE)  # RFC 6750 section 3.1


class Next(Enum):
    """What to do after an answer."""

    ENOUGH = auto()
    """The answer is for the caller."""

    AGAIN = auto()
    """Send the same request once more, with new headers."""

    ANOTHER_TOKEN = auto()
    """The same with another token, if there is one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What matters of an answer. ``headers`` must be indifferent to case."""

    status: int
    headers: Mapping[str, str]


class ApiCall:
    """Judges the answers to one request. It is repeated at most once for a nonce, and once for another token."""

    def __init__(self, calls: BoundCalls, token: IssuedToken) -> None:
        self._calls = calls
        self.token = token
        self._for_nonce = True
        self._for_token = True
        self._proven = ("", "")

    @property
    def authorization(self) -> str:
        """The header field that shows the token."""
        return f"{self.token.token_type} {self.token.value}"

    def headers(self, method: str, url: str) -> dict[str, str]:
        """What the request carries that goes out now.

        :raises ValueError: ``url`` is none that a request can be made to.
        """
        self._proven = (method, url)
        return self._calls.headers(method, url, self.token)

    def carries_token(self, authorization: object) -> bool:
        """Whether a request with this header field was sent with the token.

        A library that was redirected to somebody else has taken the field away, and what such a one answers counts for
        nothing: it must not be sent a token because it asks for one.
        """
        return authorization == self.authorization

    def take(self, another: IssuedToken | None) -> Next:
        """Go on with another token, if there is one."""
        if another is None:
            return Next.ENOUGH
        self.token = another
        return Next.AGAIN

    def judge(self, method: str, url: str, answer: Seen) -> Next:
        """What the answer to a request asks for that was sent with the token."""
        if self._calls.learn(url, answer) and self._for_nonce:
            self._for_nonce = False
            return Next.AGAIN
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return Next.ENOUGH
        if self.token.key is not None and self._proven != (method, url):
            return Next.AGAIN  # redirected within the API: the proof was for the address before
        if self._for_token and _TOKEN_REFUSED.search(answer.headers.get("WWW-Authenticate", "")):
            self._for_token = False
            return Next.ANOTHER_TOKEN
        return Next.ENOUGH
