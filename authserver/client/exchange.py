"""From what a supplier has to an access token (RFC 6749 section 5.1)."""

from dataclasses import dataclass, field
from urllib.parse import urlencode

from authserver.client.failures import AnswerUnusable
from authserver.client.http import Answer
from authserver.client.server import Attempt, AuthorizationServer, Outgoing
from authserver.client.supplier import Supplier
from authserver.jose.jwk import SigningKey
from authserver.oauth import BEARER, DPOP

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An access token. ``expires_in`` counts the seconds from when it came, and ``key`` is the one it is bound to."""

    value: str = field(repr=False)
    token_type: str
    expires_in: int
    scope: frozenset[str]
    key: SigningKey | None = field(default=None, repr=False)


def request_token(
    server: AuthorizationServer, supplier: Supplier, *, resource: str | None = None, scope: str | None = None
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
        return Outgoing(_FORM, urlencode(stated).encode("ascii"), offer.key)

    answer = server.ask("POST", server.token_endpoint, make)
    return _issued(answer, proven[-1], scope)


def _issued(answer: Answer, key: SigningKey | None, asked: str | None) -> IssuedToken:
    said = answer.json
    value, kind, lifetime = said.get("access_token"), said.get("token_type"), said.get("expires_in")
    scope = said.get("scope", asked or "")  # RFC 6749 section 5.1: left out where it is what was asked for
    if not isinstance(value, str) or not value or not isinstance(scope, str):
        raise AnswerUnusable("the answer of the token endpoint holds no access token")
    if not isinstance(lifetime, int) or isinstance(lifetime, bool) or lifetime <= 0:
        raise AnswerUnusable("the answer of the token endpoint does not say how long the token lives")
    # RFC 9449 section 5: a token that is not bound to the key that was proven is not the one that was asked for.
    wanted = BEARER if key is None else DPOP
    if not isinstance(kind, str) or kind.lower() != wanted.lower():
        raise AnswerUnusable(f"the token is not of the type {wanted}")
    return IssuedToken(value, wanted, lifetime, frozenset(scope.split()), key)
