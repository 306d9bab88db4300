"""The keys of the authorization server, found by its metadata and refreshed in the background."""

import contextlib
import math
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from authserver.jose.discovery import Discovery, oauth_metadata_url
from authserver.jose.fetch import Endpoint, Fetcher
from authserver.jose.flight import Wait
from authserver.jose.jwk import VerificationKey
from authserver.jose.jwks import RemoteKeySet
from authserver.jose.key_cache import KeyCacheFile
from authserver.jose.verify import Keys
from authserver.resource.urls import require_url

STALE_BOUND: Final = 86400.0
"""How old keys may become while the issuer cannot be asked, in seconds, unless told otherwise."""

_EVERY: Final = 1.0
"""Seconds between two looks at whether a refresh is due."""


@runtime_checkable
class AwaitableKeys(Protocol):
    """Keys that say what to wait for instead of waiting, so that who asks can do it in its own way."""

    def awaited(self, kid: str, now: float) -> Wait | None:
        """See :meth:`authserver.jose.remote_keys.RemoteKeys.awaited`."""
        ...  # a protocol has no body

    def at_hand(self, kid: str, now: float) -> VerificationKey | None:
        """See :meth:`authserver.jose.remote_keys.RemoteKeys.at_hand`."""
        ...  # a protocol has no body

    def find_now(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        """See :meth:`authserver.jose.remote_keys.RemoteKeys.find_now`."""
        ...  # a protocol has no body


def keys_of(
    issuer: str,
    algorithms: Sequence[str],
    clock: Callable[[], float],
    *,
    jwks_url: str | None = None,
    key_cache: Path | None = None,
    stale_bound: float = STALE_BOUND,
) -> "KeptFresh":
    """The keys at ``jwks_url``, or those that the metadata of ``issuer`` leads to (RFC 8414 section 3).

    Asks for nothing yet; what ``key_cache`` holds is read now.

    :raises ValueError: ``jwks_url`` or ``stale_bound`` cannot be used.
    """
    if jwks_url is not None:
        require_url("jwks_url", jwks_url)
    if not 0 <= stale_bound < math.inf:
        raise ValueError("stale_bound must be a number of seconds")
    # The verifier accepts http on loopback only, and the fetcher sees to the same at the connection.
    fetcher = Fetcher(insecure_allow_http=(jwks_url or issuer).startswith("http:"))
    keys = RemoteKeySet(
        Discovery(fetcher, issuer, Endpoint(oauth_metadata_url(issuer)))
        if jwks_url is None
        else partial(fetcher.get_json, Endpoint(jwks_url)),
        algorithms,
        clock=clock,
        # What our own issuer says of caching is meant, to the second: it is how fast a withdrawn key dies.
        shortest_lifetime=_EVERY,
        stale_bound=stale_bound,
        cache=None if key_cache is None else KeyCacheFile(key_cache, jwks_url or issuer),
    )
    return KeptFresh(keys, clock)


def awaitable(keys: Keys) -> AwaitableKeys:
    """Keys that were handed in. Those that cannot say what to wait for are taken to be at hand."""
    return keys if isinstance(keys, AwaitableKeys) else _AtHand(keys)


class _AtHand:
    def __init__(self, keys: Keys) -> None:
        self.find_now = keys.find

    def awaited(self, _kid: str, _now: float) -> None:
        """There is nothing to wait for."""

    def at_hand(self, _kid: str, _now: float) -> None:
        """None, always: whether a key may be used is for their ``find`` to say."""


class KeptFresh:
    """A remote key set and a daemon thread that refreshes it, so that a request finds fresh keys after any pause.

    The thread starts with the first look-up in a process, and once more in a process that was forked; it ends
    with this object.
    """

    def __init__(self, keys: RemoteKeySet, clock: Callable[[], float], *, every: float = _EVERY) -> None:
        """``every`` is in seconds of real time, whatever ``clock`` says."""
        self._keys = keys
        self._at_hand = keys.at_hand
        self.find_now = keys.find_now
        """See :class:`AwaitableKeys`."""
        self._clock = clock
        self._every = every
        self._runs_in: int | None = None
        self._thread: threading.Thread | None = None

    def awaited(self, kid: str, now: float) -> Wait | None:
        """See :class:`AwaitableKeys`."""
        if self._runs_in != os.getpid():
            self._start()
        return self._keys.awaited(kid, now)

    def at_hand(self, kid: str, now: float) -> VerificationKey | None:
        """See :class:`AwaitableKeys`."""
        return self._at_hand(kid, now) if self._runs_in == os.getpid() else None

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
