"""Identity tokens: the JWTs with which a platform says who a program is. Here they are looked at, never verified."""

import contextlib
import os
import stat
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

from authserver.client.failures import IdentityUnusable
from authserver.client.supplier import Offer
from authserver.errors import CredentialRejected
from authserver.jose.compact import MAX_BYTES, parse
from authserver.oauth import Grant, TokenType

_LATE: Final = 60
"""Seconds after its end during which no server accepts a token any more, whatever its ``clock_skew``."""

_LONGEST_SPACE: Final = 64  # bytes, around the token in a file


class IdentityTokenSupplier(ABC):
    """What the suppliers have in common that show an identity token (RFC 8693). Each is a link of the chain."""

    name: str
    token_type: TokenType = TokenType.ID_TOKEN

    def present(self) -> bool:
        """See :class:`authserver.client.supplier.Supplier`."""
        return self.absence() is None

    @property
    @abstractmethod
    def marker(self) -> str:
        """See :class:`authserver.client.supplier.Link`."""

    @abstractmethod
    def absence(self) -> str | None:
        """See :class:`authserver.client.supplier.Link`."""

    @abstractmethod
    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""

    @abstractmethod
    def identity_token(self, now: float) -> str:
        """A token that can be shown at ``now``.

        :raises CallFailed: there is none.
        """

    def offer(self, now: float) -> Offer:
        """See :class:`authserver.client.supplier.Supplier`."""
        parameters = {"subject_token": self.identity_token(now), "subject_token_type": self.token_type.value}
        return Offer(Grant.TOKEN_EXCHANGE, parameters)


def usable(text: str, where: str, now: float) -> str:
    """The token in ``text``, without the white space around it. ``where`` is its place, for people.

    :raises IdentityUnusable: it is none, or has expired.
    """
    token = text.strip()
    if not token:
        raise IdentityUnusable(f"{where} is empty. Put an identity token there, or take the marker away")
    try:
        claims = parse(token).unverified_claims
    except CredentialRejected:
        raise IdentityUnusable(f"{where} holds no identity token: it is not a signed JWT") from None
    end = claims.get("exp")
    if isinstance(end, int | float) and now >= end + _LATE:
        raise IdentityUnusable(f"the identity token of {where} has expired. Whatever put it there must renew it")
    return token


def is_there(path: str) -> bool:
    """Whether there is anything of this name. Says nothing about whether it can be used."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass  # and reading it says what is wrong
    return True


def read_usable(path: Path, now: float) -> str:
    """The token in a file, which is read anew each time, because platforms replace it.

    :raises IdentityUnusable: there is none that can be used.
    """
    try:
        text = _read(path)
    except OSError as error:
        raise IdentityUnusable(f"{path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise IdentityUnusable(f"{path} holds no identity token: it is not a signed JWT") from None
    return usable(text, str(path), now)


def _read(path: Path) -> str:
    """:raises ValueError: it cannot be a token."""
    with contextlib.ExitStack() as files:
        # A symbolic link is what the kubelet makes; a pipe without a writer must not hold anybody up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        files.callback(os.close, descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not an ordinary file")
        with open(descriptor, "rb", closefd=False) as file:
            raw = file.read(MAX_BYTES + _LONGEST_SPACE)
    return raw.decode("ascii")
