"""What the suppliers have in common that show what a developer's tool prints. Each is a link of the chain."""

from abc import abstractmethod

from authserver.client.failures import IdentityUnusable
from authserver.client.identity_token import IdentityTokenSupplier
from authserver.client.supplier import Surroundings
from authserver.client.tool import NAMED, find_tool, forbidden, run_tool


class ToolSupplier(IdentityTokenSupplier):
    """Runs the tool that ``AUTHSERVER_DEVELOPER_TOOL`` names. ``remedy`` says what a developer does when it fails.

    That a tool is installed says nothing about whose credentials are meant, so that is no marker. Outside development
    the tool is refused, and not passed over: a program must not take on another identity because of where it runs.
    """

    remedy: str

    def __init__(self, surroundings: Surroundings) -> None:
        self.audience = surroundings.audience
        self.environ = surroundings.environ
        self._deadline = surroundings.deadline

    @property
    def marker(self) -> str:
        """See :class:`authserver.client.supplier.Link`."""
        return f"{NAMED} is {self.name}"

    def absence(self) -> str | None:
        """See :class:`authserver.client.supplier.Link`."""
        named = self.environ.get(NAMED)
        if named is None:
            return f"{NAMED} is not set"
        return None if named == self.name else f"{NAMED} is not {self.name}"

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        del now
        self._path()

    def identity_token(self, now: float) -> str:
        """See :class:`authserver.client.identity_token.IdentityTokenSupplier`."""
        command = [self._path(), *self.arguments()]
        try:
            return self.token_in(run_tool(command, self.environ, self._deadline), now)
        except IdentityUnusable as failure:
            raise IdentityUnusable(f"{failure}. {self.remedy}") from failure

    @abstractmethod
    def arguments(self) -> list[str]:
        """What follows the program's name."""

    @abstractmethod
    def token_in(self, printed: str, now: float) -> str:
        """The token in what the tool prints.

        :raises IdentityUnusable: there is none that can be used.
        """

    def _path(self) -> str:
        """:raises IdentityUnusable: it must not be used here, or there is none."""
        refusal = forbidden(self.environ)
        if refusal is not None:
            raise IdentityUnusable(f"{refusal}. Unset {NAMED}, or use the identity of the platform")
        return find_tool(self.name, self.environ)
