"""Access tokens for calls to one API, from whatever vouches for this program: the same lines on a laptop and anywhere.

images = TokenClient(issuer="https://auth.example.com", resource="https://images.example.com", scope="images:read")
requests.get(url, auth=images.auth())
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from authserver.client.api_auth import ApiAuth
from authserver.client.auth import make_auth
from authserver.client.bound import BoundCalls
from authserver.client.chain import Explained, explain, find
from authserver.client.clock import Stopwatch, uptime
from authserver.client.exchange import IssuedToken, request_token
from authserver.client.http import Http
from authserver.client.refused import RefusedCredential
from authserver.client.renewal import Renewal
from authserver.client.server import AuthorizationServer
from authserver.client.supplier import Supplier, Surroundings
from authserver.client.tool import ENVIRONMENT
from authserver.jose.addresses import Location

DEADLINE: Final = 15.0
"""Seconds that a caller waits for a token."""


class Tokens:
    """What :class:`TokenClient` and its twin for asyncio have in common. It may be made before a fork."""

    def __init__(
        self,
        *,
        issuer: str,
        resource: str,
        scope: str | None = None,
        identity: Supplier | None = None,
        audience: str | None = None,
        deadline: float = DEADLINE,
        environment: str | None = None,
        http: Http | None = None,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = uptime,
    ) -> None:
        """Ask ``issuer`` for tokens for ``resource`` (RFC 8707) with ``scope``, separated by spaces.

        ``identity`` vouches for this program; None: the first link of the chain whose marker is there, looked for anew
        for each token. ``audience`` is whom the platform is asked to make an identity token for, the issuer unless
        given. ``deadline`` is how many seconds a caller waits at most. ``environment`` goes before
        ``AUTHSERVER_ENVIRONMENT``. ``clock`` is this machine's, in seconds since the epoch; it may be wrong and be set.
        ``uptime`` counts seconds and cannot be set. Nothing is asked, read or started before the first token is needed.

        :raises ValueError: ``issuer`` is no address that can be asked, or ``deadline`` not above 0.
        """
        Location.of(issuer)
        if deadline <= 0:
            raise ValueError("the deadline must be above 0 seconds")
        # Half of the time for one exchange: a server that hangs leaves some for another attempt.
        self._server = AuthorizationServer(issuer, http=http or Http(deadline=deadline / 2), clock=clock)
        self._resource = resource
        self._scope = scope
        self._identity = identity
        self._audience = audience or issuer
        self._environment = environment
        self._deadline = deadline
        self._refused = RefusedCredential(uptime)
        self._renewal = Renewal(self._ask, deadline=deadline, stopwatch=Stopwatch(uptime, clock))

    def auth(self) -> ApiAuth:
        """What ``requests`` and ``httpx`` take as ``auth``, in threads and in tasks.

        It shows the token, proves the key that the token is bound to where it is (RFC 9449), repeats a request for
        which the API wants a nonce, and once with another token one whose token the API does not believe any more.
        """
        return make_auth(self._renewal, BoundCalls(self._server))

    def explain(self) -> Sequence[Explained]:
        """Every link of the chain in its order, and why it is used or not. Asks nobody, and shows nothing secret."""
        return explain(self._surroundings(), self._identity)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(issuer={self._server.issuer!r}, resource={self._resource!r})"

    def _ask(self) -> IssuedToken:
        supplier = self._identity or find(self._surroundings())
        return self._refused.guard(
            supplier, lambda known: request_token(self._server, known, resource=self._resource, scope=self._scope)
        )

    def _surroundings(self) -> Surroundings:
        environ = dict(os.environ)
        if self._environment is not None:
            environ[ENVIRONMENT] = self._environment
        return Surroundings(self._server, self._audience, environ, self._deadline / 2)


class TokenClient(Tokens):
    """Access tokens for one API, for threads. One object serves all of them, and fetches each token once."""

    def get_token(self) -> str:
        """The token itself. For one that is bound to a key a request needs a proof as well, which :meth:`auth` makes.

        :raises CallFailed: there is none, and none could be had in time. See :meth:`token`.
        """
        return self.token().value

    def token(self) -> IssuedToken:
        """A token that is valid for five seconds at least, and usually for a quarter of its life.

        :raises NoIdentity: nothing vouches for this program.
        :raises CallRefused: the server said no.
        :raises NoAnswer: the server cannot be reached, or is away for now.
        :raises CallFailed: what vouches for this program is broken, or the server does not speak the protocol.
        """
        return self._renewal.current()
