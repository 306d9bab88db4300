"""What everything that can vouch for this program has in common: a supplier of what the token endpoint wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from authserver.jose.jwk import SigningKey
from authserver.oauth import Grant


@dataclass(frozen=True, slots=True)
class Offer:
    """A grant and its parameters, good for one request. A token that comes of it is bound to ``key``, if there is one.

    ``resource`` and ``scope`` are not among the parameters.
    """

    grant: Grant
    parameters: Mapping[str, str] = field(repr=False)
    key: SigningKey | None = field(default=None, repr=False)


class Supplier(Protocol):
    """One way to show who this program is. ``name`` is that of the source on the server that believes it."""

    @property
    def name(self) -> str:
        """What it is called where suppliers are listed."""
        ...  # a protocol has no body

    def present(self) -> bool:
        """Whether there is a marker here that this supplier is meant: a variable or a file. Never asks the network."""
        ...  # a protocol has no body

    def offer(self, now: float) -> Offer:
        """Something to show, made at ``now``: the server's time, in seconds since the epoch. New for each request.

        :raises CallFailed: what the marker stands for is broken. Nothing else may be tried instead.
        """
        ...  # a protocol has no body
