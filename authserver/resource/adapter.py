"""What the adapters of Flask, ASGI and Django have in common."""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Final, Unpack
from urllib.parse import unquote_plus

from authserver.resource.challenge import Answer
from authserver.resource.legacy import AcceptedTokens
from authserver.resource.protection import Protection, ProtectionOptions
from authserver.resource.token import VerifiedToken

FORM: Final = "application/x-www-form-urlencoded"

LONGEST_FORM: Final = 64 * 1024
"""A longer form is not searched for a second token, in bytes: it would have to be held in memory."""

_TOKENS: Final[ContextVar[Mapping["Adapter", VerifiedToken | None]]] = ContextVar("authserver_tokens")


class Denied(Exception):
    """A request was refused, and this is the answer to it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Adapter:
    """One API and the authorization server whose tokens it accepts, with the token of the current request.

    ``issuer``, ``audience`` and ``options`` are those of :class:`~authserver.resource.protection.Protection`.

    :raises ValueError: a setting cannot be used.
    """

    def __init__(self, *, issuer: str, audience: str, **options: Unpack[ProtectionOptions]) -> None:
        self.issuer = issuer
        self.audience = audience
        self.sender_constrained = options.get("sender_constrained", False)
        self.protection = Protection(issuer=issuer, audience=audience, **options)

    @property
    def url(self) -> str | None:
        """The external address of what this application calls ``/``; None when it follows from the audience."""
        return self.protection.url

    @property
    def accepted(self) -> AcceptedTokens:
        """How many requests to this process brought a token that was believed, by its kind."""
        return self.protection.accepted

    @property
    def token(self) -> VerifiedToken:
        """The verified token of the request that is being answered.

        :raises RuntimeError: there is none: what runs is not protected, or not sure to have one.
        """
        token = self.optional_token
        if token is None:
            raise RuntimeError("this request has no token: api.optional_token is for views that may run without")
        return token

    @property
    def optional_token(self) -> VerifiedToken | None:
        """The verified token of the request that is being answered; None if it brought no credentials.

        :raises RuntimeError: what runs is not protected.
        """
        tokens = _TOKENS.get({})
        if self not in tokens:
            raise RuntimeError("api.token is there only while something runs that api.requires() protects")
        return tokens[self]

    @contextlib.contextmanager
    def during(self, token: VerifiedToken | None) -> Iterator[None]:
        """While this lasts, ``token`` is the current one in this task or thread, and in those that it starts."""
        before = _TOKENS.get({})
        _TOKENS.set({**before, self: token})  # an application may have several resource servers
        try:
            yield
        finally:
            _TOKENS.set(before)  # not reset(): a framework may end a request in another context than it began in


def has_token(parameters: str) -> bool:
    """Whether there is a parameter ``access_token`` in a query or a form (RFC 6750 sections 2.2 and 2.3)."""
    names = (part.partition("=")[0] for part in parameters.split("&"))
    return "access_token" in map(unquote_plus, names)
