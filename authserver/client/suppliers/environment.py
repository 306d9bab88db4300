"""An identity token that whoever started the program gave it, in a variable or in a file that a variable names."""

from pathlib import Path
from typing import Final

from authserver.client.failures import IdentityUnusable
from authserver.client.identity_token import IdentityTokenSupplier, read_usable, usable
from authserver.client.supplier import Surroundings
from authserver.oauth import TokenType

VALUE: Final = "AUTHSERVER_IDENTITY_TOKEN"
FILE: Final = "AUTHSERVER_IDENTITY_TOKEN_FILE"


class EnvironmentSupplier(IdentityTokenSupplier):
    """Shows the token in ``AUTHSERVER_IDENTITY_TOKEN``, or in the file that ``AUTHSERVER_IDENTITY_TOKEN_FILE`` names.

    The file is read anew each time, so whoever replaces it need not restart the program. A variable that is set and
    empty is meant all the same: something that should have filled it has failed.
    """

    name = "environment"
    token_type = TokenType.JWT  # what else may be there is not known

    def __init__(self, surroundings: Surroundings) -> None:
        self._value = surroundings.environ.get(VALUE)
        self._file = surroundings.environ.get(FILE)

    @property
    def marker(self) -> str:
        """See :class:`authserver.client.supplier.Link`."""
        return f"{VALUE} is set" if self._file is None else f"{FILE} names {self._file}"

    def absence(self) -> str | None:
        """See :class:`authserver.client.supplier.Link`."""
        return f"neither {VALUE} nor {FILE} is set" if self._value is None and self._file is None else None

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        self.identity_token(now)

    def identity_token(self, now: float) -> str:
        """See :class:`authserver.client.identity_token.IdentityTokenSupplier`."""
        if self._value is not None and self._file is not None:
            raise IdentityUnusable(f"both {VALUE} and {FILE} are set. Unset one of them")
        if self._file is None:
            return usable(self._value or "", VALUE, now)
        if not self._file:
            raise IdentityUnusable(f"{FILE} is empty. Name a file in it, or unset it")
        return read_usable(Path(self._file), now)
