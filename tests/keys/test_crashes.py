"""Real processes on one SQLite store, killed at random instants."""

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from authserver.keys.ring import decode
from authserver.keys.rotate import KeyRing
from authserver.keys.wrapping import MasterKeys
from authserver.store.sqlite import SqliteStore
from tests.keys import processes
from tests.keys.fixtures import ISSUER

SPAWN = multiprocessing.get_context("spawn")
DEADLINE = 60.0


@pytest.mark.slow
def test_workers_killed_at_any_instant_leave_the_ring_whole_and_every_key_at_hand(tmp_path: Path) -> None:
    """Issue 2, point 6."""
    path = tmp_path / "authserver.db"
    chance = random.Random(9)
    lines = [SPAWN.Pipe() for _ in range(4)]

    def start(number: int) -> multiprocessing.process.BaseProcess:
        worker = SPAWN.Process(target=processes.refresh_for_ever, args=(path, lines[number][1]))
        worker.start()
        return worker

    workers = [start(number) for number in range(4)]
    signed: set[str] = set()
    try:
        for _ in range(8):
            victim = chance.randrange(4)
            for number, (mine, _) in enumerate(lines):  # every worker has signed with a few keys since the last kill
                for _ in range(chance.randrange(2, 5) if number != victim else 1):
                    assert mine.poll(DEADLINE), "a worker stopped signing"
                    signed.add(mine.recv())
            workers[victim].kill()
            workers[victim].join(DEADLINE)
            lines[victim] = SPAWN.Pipe()
            workers[victim] = start(victim)
    finally:
        for worker in workers:
            worker.kill()
            worker.join(DEADLINE)
    assert len(signed) > 10, "keys turned over"

    store = SqliteStore(path)
    record = store.read_ring()
    assert record is not None
    for entry in decode(record.document).entries:
        if entry.wrapped_private is not None:
            MasterKeys(processes.MASTER).unwrap(
                entry.wrapped_private, issuer=ISSUER, kid=entry.kid, algorithm=entry.algorithm
            )
    after = KeyRing(store, processes.HASTY, ISSUER, MasterKeys(processes.MASTER), time.time)
    after.refresh()
    able = [entry for entry in after.ring.of("ES256") if entry.wrapped_private is not None]
    assert [entry.state(able[0].activates_at) for entry in able] == ["active", "next"]
    store.close()


@pytest.mark.slow
def test_processes_that_start_at_once_on_an_empty_store_agree_on_one_ring(tmp_path: Path) -> None:
    together, (mine, theirs) = SPAWN.Barrier(4), SPAWN.Pipe()
    started = [
        SPAWN.Process(target=processes.begin_at_once, args=(tmp_path / "authserver.db", together, theirs))
        for _ in range(4)
    ]
    for process in started:
        process.start()
    answers = set()
    for _ in started:
        assert mine.poll(DEADLINE)
        answers.add(mine.recv())
    for process in started:
        process.join(DEADLINE)
    assert len(answers) == 1
