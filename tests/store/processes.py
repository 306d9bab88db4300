"""What the tests of the SQLite store run in processes of their own."""

import contextlib
import hashlib
import itertools
import multiprocessing
import os
import resource
import sqlite3
import threading
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from authserver.errors import Conflict, CredentialRejected, Unavailable
from authserver.store.sqlite import SqliteStore
from tests.store.contract import NOW, race, token_id
from tests.store.device_contract import device, enrolled

SPAWN = multiprocessing.get_context("spawn")
DEADLINE = 60.0


def its_connection(store: SqliteStore) -> sqlite3.Connection:
    """The connection that a store, which nobody else uses, works with."""
    with store._links.lend() as connection:
        return connection


def answer_of(process: multiprocessing.process.BaseProcess, end: Connection) -> object:
    """What a process sent, once it has ended."""
    assert end.poll(DEADLINE), "the process did not answer"
    answer = end.recv()
    process.join(DEADLINE)
    return answer


def use_in_threads(path: Path, together: Barrier, threads: int, answer: Connection) -> None:
    """Use one identifier in many threads at once, and tell how many succeeded."""
    store = SqliteStore(path)

    def use(_number: int) -> bool:
        try:
            store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
        except CredentialRejected:
            return False
        return True

    together.wait()
    answer.send(race(threads, use).count(True))


def enroll_in_threads(path: Path, together: Barrier, numbers: list[int], code_hash: str, answer: Connection) -> None:
    """Enrol devices with these numbers at once, all with one code, and tell the numbers that succeeded."""
    store = SqliteStore(path)
    together.wait()
    outcomes = race(len(numbers), lambda at: enrolled(store, device(numbers[at]), code_hash=code_hash))
    answer.send([number for number, outcome in zip(numbers, outcomes, strict=True) if outcome])


def open_at_once(path: Path, together: Barrier, answer: Connection) -> None:
    """Open a store that does not exist yet, together with others, and try to be the first to write."""
    together.wait()
    store = SqliteStore(path)
    try:
        store.replace_ring(str(os.getpid()), expected=None)
    except Conflict:
        answer.send(False)
    else:
        answer.send(True)


def upgrade_at_once(path: Path, together: Barrier, answer: Connection) -> None:
    """Open a store of the first release, together with others, use what is new, and tell which schema there is."""
    together.wait()
    store = SqliteStore(path)
    store.revoke("issuer", str(os.getpid()), expires_at=NOW + 60)
    answer.send(its_connection(store).execute("SELECT version FROM schema").fetchone()[0])


def write_for_ever(path: Path, answer: Connection) -> None:
    """Replace the ring again and again with documents that prove themselves whole, telling each that is durable."""
    store = SqliteStore(path)
    record = store.read_ring()
    version = None if record is None else record.version
    for number in itertools.count():
        body = f"{number} " * 5000
        version = store.replace_ring(f"{hashlib.sha256(body.encode()).hexdigest()} {body}", expected=version).version
        answer.send(version)


def write_until_the_disk_is_full(path: Path, answer: Connection) -> None:
    """Write with a limit on the size of files; tell what every call raised, and what could be read afterwards."""
    store = SqliteStore(path)
    version = store.replace_ring("small", expected=None).version
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, 256 * 1024))
    try:
        for _ in range(1000):
            version = store.replace_ring("x" * 50_000, expected=version).version
            store.use_once("source", token_id(version), expires_at=NOW + 60, now=NOW)
    except Exception as error:
        answer.send((type(error).__name__, str(error)))
    record = store.read_ring()
    answer.send(record is not None and record.version >= 1)


def write_without_permission(path: Path, answer: Connection) -> None:
    """Try everything as a user who may only read; tell what each call raised."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    raised: list[str] = []
    with contextlib.suppress(Unavailable):
        store = SqliteStore(path)
        for call in (
            store.check,
            lambda: store.sweep(NOW),
            lambda: store.replace_ring("x", expected=1),
            lambda: store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW),
        ):
            try:
                call()
            except Exception as error:
                raised.append(type(error).__name__)
            else:
                raised.append("nothing")
    answer.send(raised)


def use_inherited(store: SqliteStore, answer: Connection) -> None:
    """Use, in a forked child, a store whose parent has connections, and tell how many threads that has started."""
    before = threading.active_count()  # what other tests have loaded may start one at a fork
    with contextlib.suppress(CredentialRejected):
        store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
        answer.send("accepted twice")
        return
    store.use_once("source", token_id(2), expires_at=NOW + 60, now=NOW)
    answer.send(threading.active_count() - before)
