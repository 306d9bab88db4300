"""From what a supplier has to an access token (RFC 6749 section 5.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlencode

from authserver.client.failures import AnswerUnusable
from authserver.client.http import Answer
from authserver.client.server import Attempt, AuthorizationServer, Outgoing
from authserver.client.supplier import Vouching
from authserver.jose.jwk import SigningKey
from authserver.oauth import BEARER, DPOP

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_VSCHARS = re.compile(r"[!-~]+")  # RFC 6749 appendix A.12, without the space, which would end the token in a header


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An access token. ``key`` is the one that it is bound to.

    ``expires_in`` counts the seconds from when it came. It does not say how many are left.
    """

    value: str = field(repr=False)
    token_type: str
    expires_in: int
    scope: frozenset[str]
    key: SigningKey | None = field(default=None, repr=False)

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled.

        :raises TypeError: always. A token stays in the memory of one process.
        """
        raise TypeError("an access token is neither copied nor pickled")


def request_token(
    server: AuthorizationServer, supplier: Vouching, *, resource: str | None = None, scope: str | None = None
) -> IssuedToken:
    """Ask for an access token for ``resource`` (RFC 8707) with ``scope``, separated by spaces.

    :raises NoAnswer: the server cannot be reached, or is away for now; ``retry_after`` says how long.
    :raises CallRefused: it said no.
    :raises AnswerUnusable: it does not speak the protocol.
    :raises CallFailed: the supplier has nothing that can be used.
    """
    proven: list[SigningKey | None] = []

    def make(attempt: Attempt) -> Outgoing:
        offer = supplier.offer(attempt.now)
        proven.append(offer.key)
        form = {"grant_type": offer.grant.value, **offer.parameters, "resource": resource, "scope": scope}
        stated = {name: value for name, value in form.items() if value is not None}
        return Outgoing(_FORM, urlencode(stated).encode("ascii"), offer.key, certificate=offer.certificate)

    answer = server.ask("POST", server.token_endpoint, make)
    return _issued(answer, proven[-1], scope)


def _issued(answer: Answer, key: SigningKey | None, asked: str | None) -> IssuedToken:
    problem = _problem(answer.json, key)
    if problem is not None:  # raised here, where no variable holds the token, for what shows them with a traceback
        raise AnswerUnusable(problem)
    said = answer.json
    scope = said.get("scope", asked or "")  # RFC 6749 section 5.1: left out where it is what was asked for
    return IssuedToken(said["access_token"], _kind(key), said["expires_in"], frozenset(scope.split()), key)


def _problem(said: Mapping[str, Any], key: SigningKey | None) -> str | None:
    value, kind, lifetime = said.get("access_token"), said.get("token_type"), said.get("expires_in")
    if not isinstance(value, str) or _VSCHARS.fullmatch(value) is None or not isinstance(said.get("scope", ""), str):
        return "the answer of the token endpoint holds no access token"
    if not isinstance(lifetime, int) or isinstance(lifetime, bool) or lifetime <= 0:
        return "the answer of the token endpoint does not say how long the token lives"
    # RFC 9449 section 5: a token that is not bound to the key that was proven is not the one that was asked for.
    if not isinstance(kind, str) or kind.lower() != _kind(key).lower():
        return f"the token is not of the type {_kind(key)}"
    return None


def _kind(key: SigningKey | None) -> str:
    return BEARER if key is None else DPOP
