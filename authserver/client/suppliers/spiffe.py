"""SPIFFE: a JWT-SVID of the Workload API, made for the audience it is asked for.

https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Workload_API.md. The API is gRPC over a socket of this host;
who asks is known by its process, so that there is nothing to show. Needs the extra ``spiffe``.
"""

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from authserver.client.failures import CallFailed, IdentityUnusable, NoAnswer
from authserver.client.identity_token import IdentityTokenSupplier, is_there, usable
from authserver.client.supplier import Surroundings
from authserver.oauth import TokenType

if TYPE_CHECKING:
    from spiffe.errors import PySpiffeError

SOCKET: Final = "SPIFFE_ENDPOINT_SOCKET"

_ADDRESS = re.compile(r"unix:(?://)?(/[^/\0][^\0]*)")  # SPIFFE Workload Endpoint section 4: a path, and no authority
_WHERE: Final = "the answer of the SPIFFE Workload API"
_EXTRA: Final = (
    'the extra that speaks to the SPIFFE Workload API is not installed. Run pip install "authserver[spiffe]"'
)
_UNREGISTERED: Final = "the SPIFFE Workload API knows no identity of this program. Register the workload"
# SPIFFE Workload Endpoint section 6: the first says that nobody registered this process, the others say nothing of it.
_NOBODY: Final = "PERMISSION_DENIED"
_AWAY: Final = frozenset(("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"))


class SpiffeSupplier(IdentityTokenSupplier):
    """Asks for a new JWT-SVID each time: the agent keeps them, and renews them before they expire.

    A workload with several SPIFFE IDs shows the first that it is given, which the Workload API calls the default one.
    """

    name = "spiffe"
    token_type = TokenType.JWT
    marker = f"{SOCKET} is set"

    def __init__(self, surroundings: Surroundings) -> None:
        self._socket = surroundings.environ.get(SOCKET)
        self._audience = surroundings.audience
        self._deadline = surroundings.deadline

    def absence(self) -> str | None:
        """See :class:`authserver.client.supplier.Link`."""
        return f"{SOCKET} is not set" if self._socket is None else None

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        del now
        self._address()

    def identity_token(self, now: float) -> str:
        """See :class:`authserver.client.identity_token.IdentityTokenSupplier`."""
        return usable(_fetched(self._address(), self._audience, self._deadline), _WHERE, now)

    def _address(self) -> str:
        """:raises IdentityUnusable: it is none, nothing is there, or what it takes to ask is not installed."""
        match = _ADDRESS.fullmatch(self._socket or "")
        if match is None:
            raise IdentityUnusable(f"{SOCKET} is not the address of a socket. Write it as unix:///path/to/agent.sock")
        if not is_there(match[1]):
            raise IdentityUnusable(f"{SOCKET} names {match[1]}, where nothing is. Start the agent, or unset {SOCKET}")
        if find_spec("spiffe") is None:
            raise IdentityUnusable(_EXTRA)
        return f"unix:{match[1]}"


def _fetched(address: str, audience: str, seconds: float) -> str:
    """A JWT-SVID, on a connection of its own: gRPC keeps threads for one, which would not outlive a fork."""
    from spiffe import WorkloadApiClient
    from spiffe.errors import PySpiffeError

    try:
        client = WorkloadApiClient(address, default_timeout=seconds)
        try:
            return client.fetch_jwt_svid({audience}).token
        finally:
            client.close()
    except PySpiffeError as error:
        raise _failure(error) from None  # its text may repeat what the agent said


def _failure(error: "PySpiffeError") -> CallFailed:
    from grpc import Call

    cause = error.__cause__
    code = cause.code().name if isinstance(cause, Call) else None
    if code in _AWAY:
        return NoAnswer("the SPIFFE Workload API does not answer")
    if code == _NOBODY:
        return IdentityUnusable(_UNREGISTERED)
    said = f"the gRPC status {code}" if code else "something that is no JWT-SVID for this audience"
    return IdentityUnusable(f"the SPIFFE Workload API answered with {said}")
