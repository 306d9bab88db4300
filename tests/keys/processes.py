"""What the tests of this room run in processes of their own."""

import contextlib
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from authserver.errors import Unavailable
from authserver.keys.rotate import KeyRing
from authserver.keys.schedule import Plan
from authserver.keys.wrapping import MasterKeys, load_master_key
from authserver.store.sqlite import SqliteStore
from authserver.table import SecretReference
from tests.keys.fixtures import ISSUER

MASTER = bytes(range(32))
HASTY = Plan(
    ("ES256",), rotate_every=0.05, publish_ahead=0, jwks_max_age=0, skew=0, longest_lifetime=1, reread_every=0.01
)
"""Keys that turn over about twenty times a second."""


def load_at_once(config: Path, file: str, together: Barrier, answer: Connection) -> None:
    """Create the master key together with others."""
    together.wait()
    answer.send(load_master_key(SecretReference(file=file), config=config, where="keys.master_key", create=True).key)


def refresh_for_ever(path: Path, answer: Connection) -> None:
    """Be a worker with very short intervals, until killed; tell which key signs whenever that changes."""
    ring = KeyRing(SqliteStore(path), HASTY, ISSUER, MasterKeys(MASTER), time.time)
    signing = None
    while True:
        with contextlib.suppress(Unavailable):  # as when every other worker was faster, again and again
            ring.refresh()
        now = time.time()
        try:
            kid = ring.signing_key("ES256", now).kid
        except Unavailable:
            continue  # it was scheduled away for longer than a key lives; the next refresh makes good for that
        ring.jwks(now)
        if kid != signing:
            signing = kid
            answer.send(kid)


def begin_at_once(path: Path, together: Barrier, answer: Connection) -> None:
    """Start on an empty store together with others, and tell which keys sign."""
    plan = Plan(("ES256", "RS256"), rotate_every=86400, publish_ahead=3600, jwks_max_age=300, skew=30)
    together.wait()
    ring = KeyRing(SqliteStore(path), plan, ISSUER, MasterKeys(MASTER), time.time)
    ring.refresh()
    answer.send(tuple(ring.signing_key(algorithm, time.time()).kid for algorithm in plan.algorithms))
