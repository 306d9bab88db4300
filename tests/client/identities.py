"""Identity tokens as a client meets them, and a record of what a piece of code asks the system for."""

import contextlib
import json
import sys
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from authserver.client import AuthorizationServer
from authserver.client.supplier import Surroundings
from tests import leaks

NOW = 1_000_000_000.0
ISSUER = "https://auth.example.com"


def identity(**claims: Any) -> str:
    """A token that looks like one. No client verifies it, so nobody has signed it."""
    parts = {"alg": "ES256"}, {"sub": "somebody", "exp": NOW + 600, **claims}
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return leaks.handled(".".join([*encoded, "c2lnbmF0dXJl" * 4]))


def surroundings(home: Path, environ: Mapping[str, str] | None = None, **changes: Any) -> Surroundings:
    """What a link is made from, on a machine that has nothing but this environment."""
    server = AuthorizationServer(changes.pop("issuer", ISSUER), clock=lambda: NOW)
    alone = {"AUTHSERVER_HOME": str(home), **(environ or {})}
    return Surroundings(server, **{"audience": ISSUER, "environ": alone, **changes})


_watching = threading.local()
_ASKED = ("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.system", "open", "os.listdir")


def _hook(event: str, _arguments: tuple[Any, ...]) -> None:
    events = getattr(_watching, "events", None)
    if events is not None and event.startswith(_ASKED):
        events.append(event)


@contextlib.contextmanager
def asked_of_the_system() -> Iterator[list[str]]:
    """The audit events about sockets, processes, files and directories that this thread causes."""
    if not hasattr(_watching, "hooked"):
        sys.addaudithook(_hook)  # there is no way to take one away, so it is added once for each thread
        _watching.hooked = True
    _watching.events = []
    try:
        yield _watching.events
    finally:
        _watching.events = None
