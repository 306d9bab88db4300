"""The keys of the authorization server, found by its metadata and refreshed in the background."""

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Final

from authserver.jose.discovery import Discovery, oauth_metadata_url
from authserver.jose.fetch import Endpoint, Fetcher
from authserver.jose.jwk import VerificationKey
from authserver.jose.jwks import RemoteKeySet

_EVERY: Final = 1.0
"""Seconds between two looks at whether a refresh is due."""


def keys_of(issuer: str, algorithms: Sequence[str], clock: Callable[[], float]) -> "KeptFresh":
    """The keys that the metadata of ``issuer`` leads to (RFC 8414 section 3). Asks for nothing yet."""
    # The verifier accepts an http issuer on loopback only, and the fetcher sees to the same at the connection.
    fetcher = Fetcher(insecure_allow_http=issuer.startswith("http:"))
    discovery = Discovery(fetcher, issuer, Endpoint(oauth_metadata_url(issuer)))
    # What our own issuer says of caching is meant, to the second: it is how fast a withdrawn key dies.
    return KeptFresh(RemoteKeySet(discovery, algorithms, clock=clock, shortest_lifetime=_EVERY), clock)


class KeptFresh:
    """A remote key set and a daemon thread that refreshes it, so that a request finds fresh keys after any pause.

    The thread starts with the first look-up in a process, and once more in a process that was forked; it ends
    with this object.
    """

    def __init__(self, keys: RemoteKeySet, clock: Callable[[], float], *, every: float = _EVERY) -> None:
        """``every`` is in seconds of real time, whatever ``clock`` says."""
        self._keys = keys
        self._clock = clock
        self._every = every
        self._runs_in: int | None = None
        self._thread: threading.Thread | None = None

    def find(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        """See :class:`authserver.jose.verify.Keys`."""
        if self._runs_in != os.getpid():
            self._start()
        return self._keys.find(kid, algorithm, now)

    def _start(self) -> None:
        # Without a lock, which a fork could leave closed: of two threads that start at once, one sees below
        # that it is not the one that counts.
        self._runs_in = os.getpid()
        thread = threading.Thread(
            target=_keep_fresh, args=(weakref.ref(self), self._every), name="key-refresh", daemon=True
        )
        self._thread = thread
        with contextlib.suppress(RuntimeError):  # no more threads: look-ups still refresh what has become old
            thread.start()

    def _refresh(self) -> bool:
        """Refresh what is due; False when this thread has been replaced."""
        if self._thread is not threading.current_thread():
            return False
        self._keys.refresh_if_due(self._clock())
        return True


def _keep_fresh(keys: "weakref.ref[KeptFresh]", every: float) -> None:
    pause = threading.Event()
    while not pause.wait(every):
        fresh = keys()
        if fresh is None or not fresh._refresh():
            return
        del fresh  # or this thread would keep it alive through the pause
