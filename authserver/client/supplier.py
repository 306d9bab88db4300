"""What everything that can vouch for this program has in common: a supplier of what the token endpoint wants."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from authserver.client.certificate_files import CertificateFiles
from authserver.client.http import DEADLINE
from authserver.client.server import AuthorizationServer
from authserver.jose.jwk import SigningKey
from authserver.oauth import Grant


@dataclass(frozen=True, slots=True)
class Offer:
    """A grant and its parameters, good for one request. A token that comes of it is bound to ``key``, if there is one.

    ``resource`` and ``scope`` are not among the parameters. ``certificate`` is shown in TLS, and the token bound to it
    (RFC 8705); ``shown`` tells it apart from the one that was shown before.
    """

    grant: Grant
    parameters: Mapping[str, str] = field(repr=False)
    key: SigningKey | None = field(default=None, repr=False)
    certificate: CertificateFiles | None = None
    shown: str = ""


class Vouching(Protocol):
    """Whatever has something to show to the token endpoint."""

    def offer(self, now: float) -> Offer:
        """Something to show, made at ``now``: the server's time, in seconds since the epoch. New for each request.

        :raises CallFailed: what the marker stands for is broken. Nothing else may be tried instead.
        """
        ...  # a protocol has no body


class Supplier(Vouching, Protocol):
    """One way to show who this program is. ``name`` is that of the source on the server that believes it."""

    @property
    def name(self) -> str:
        """What it is called where suppliers are listed."""
        ...  # a protocol has no body

    def present(self) -> bool:
        """Whether there is a marker here that this supplier is meant: a variable or a file. Never asks the network."""
        ...  # a protocol has no body


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the links of the chain are made from.

    ``audience`` is whom an identity token is asked for, where a platform lets one ask. ``deadline`` is how many
    seconds a platform or a tool may take to answer.
    """

    server: AuthorizationServer
    audience: str
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    deadline: float = DEADLINE


class Link(Supplier, Protocol):
    """A supplier that the chain looks for. None of what is added here asks the network, or starts a program."""

    @property
    def marker(self) -> str:
        """What says that this supplier is meant, in words."""
        ...  # a protocol has no body

    def absence(self) -> str | None:
        """Why this supplier is not meant here; None where its marker is there."""
        ...  # a protocol has no body

    def check(self, now: float) -> None:
        """Whether what the marker stands for can be used, as far as can be seen from here at ``now``.

        :raises CallFailed: it is broken. The message says why, and what to do.
        """
        ...  # a protocol has no body
