"""What the suppliers have in common that ask a service of the platform, and how a cloud's identity is meant at all.

What a cloud leaves in every environment says where a program runs. Whether that identity is meant, nobody has said: the
job of a pipeline would speak for the host of its runner. So in a job these are passed over, unless
``AUTHSERVER_PLATFORM`` names the cloud; where it names another one, they are passed over everywhere.
"""

from abc import abstractmethod
from http import HTTPStatus
from typing import Final

from authserver.client.failures import IdentityUnusable, NoAnswer
from authserver.client.http import Answer, Http
from authserver.client.identity_token import IdentityTokenSupplier
from authserver.client.supplier import Surroundings
from authserver.jose.addresses import Location

NAMED: Final = "AUTHSERVER_PLATFORM"
"""The variable that names the cloud whose identity is meant."""

_IN_PIPELINE: Final = "CI"  # which GitHub, GitLab and most others set to true

_FOR_NOW: Final = (HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS)  # Azure's service is gone while it is replaced


class PlatformSupplier(IdentityTokenSupplier):
    """Asks a service of the cloud. ``nothing`` says what is missing where no marker is there."""

    nothing: str

    def __init__(self, surroundings: Surroundings) -> None:
        self.environ = surroundings.environ
        self.audience = surroundings.audience
        # These services are spoken to in the clear, at addresses that are never routed, and never by way of a proxy.
        self.http = Http(deadline=surroundings.deadline, link_local=True)

    @abstractmethod
    def found(self) -> str | None:
        """What of the cloud is in the environment, in words; None where there is nothing."""

    @property
    def marker(self) -> str:
        """See :class:`authserver.client.supplier.Link`."""
        return f"{NAMED} is {self.name}" if NAMED in self.environ else self.found() or self.nothing

    def absence(self) -> str | None:
        """See :class:`authserver.client.supplier.Link`."""
        named, found = self.environ.get(NAMED), self.found()
        if named is not None:
            return None if named == self.name else f"{NAMED} is not {self.name}"
        if found is None:
            return self.nothing
        if self.environ.get(_IN_PIPELINE) in ("true", "1"):
            return f"{found}, but this is a job, and that is its runner's. Set {NAMED}={self.name} if it is meant"
        return None


def accepted(answer: Answer, service: str, remedy: str) -> Answer:
    """An answer that holds what was asked for. ``service`` is who gave it, for people.

    :raises NoAnswer: there is none for now.
    :raises IdentityUnusable: the service refuses, redirections included; ``remedy`` says what to do.
    """
    if answer.status == HTTPStatus.OK:
        return answer
    status = f"HTTP status {answer.status}"
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _FOR_NOW:
        raise NoAnswer(f"{service} cannot give an identity token for now ({status})", retry_after=answer.retry_after)
    raise IdentityUnusable(f"{service} refuses an identity token ({status}). {remedy}")


def require_address(url: str, variable: str) -> str:
    """``url``, to which a request can be sent. ``variable`` is where it comes from.

    :raises IdentityUnusable: none can.
    """
    try:
        Location.of(url)
    except ValueError:
        raise IdentityUnusable(f"{variable} is not an address that requests are sent to") from None
    return url
