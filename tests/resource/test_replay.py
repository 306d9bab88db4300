"""A proof is used once: by many threads, by several processes, and when the memory is full."""

import gc
import logging
import multiprocessing
import os
import threading
import weakref
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from authserver.errors import CredentialRejected, ProofRejected, Reason, Refused, Unavailable
from authserver.jose.key_set import StaticKeySet
from authserver.resource import AccessTokenVerifier, OfferedProof, Replay, ReplayMemory
from authserver.store.sqlite import SqliteStore
from authserver.testing import FakeIssuer, FrozenClock
from tests.devices import DeviceKey
from tests.resource.environment import AUDIENCE, bound_token

THREADS = 50
NOW = 1_800_000_000.0


def use(memory: Replay, name: str, *, source: str = "key", now: float = NOW, lasts: float = 90) -> None:
    memory.use_once(source, name, expires_at=now + lasts, now=now)


def refused(memory: Replay, name: str, *, source: str = "key", now: float = NOW) -> Reason:
    with pytest.raises((Refused, Unavailable)) as caught:
        use(memory, name, source=source, now=now)
    assert isinstance(caught.value, Refused | Unavailable)
    return caught.value.reason


# The memory


def test_once_and_for_each_source() -> None:
    memory = ReplayMemory()
    use(memory, "a")
    use(memory, "b")
    use(memory, "a", source="other")
    assert refused(memory, "a") is Reason.USED_TWICE
    assert len(memory) == 3


def test_what_has_expired_makes_room_to_the_second() -> None:
    memory = ReplayMemory(2)
    use(memory, "long", lasts=300)
    use(memory, "short", lasts=90)
    assert refused(memory, "short", now=NOW + 89.9) is Reason.USED_TWICE
    use(memory, "short", now=NOW + 90)
    assert refused(memory, "long", now=NOW + 179) is Reason.USED_TWICE
    use(memory, "new", source="other", now=NOW + 400)
    assert len(memory) == 1


def test_a_full_memory_accepts_nothing_and_says_when_to_come_back() -> None:
    """Fails closed: what it forgot to make room could be used again."""
    memory = ReplayMemory(2)
    use(memory, "a", lasts=90)
    use(memory, "b", source="other", lasts=10.5)
    with pytest.raises(Unavailable) as caught:
        use(memory, "c", source="third")
    assert (caught.value.reason, caught.value.retry_after) == (Reason.PROOF_MEMORY_FULL, 11)
    assert refused(memory, "a") is Reason.USED_TWICE
    use(memory, "c", source="third", now=NOW + 11)


def test_one_key_cannot_fill_the_memory_for_the_others() -> None:
    memory = ReplayMemory(10, per_key=3)
    for name in "abc":
        use(memory, name)
    with pytest.raises(ProofRejected) as caught:
        use(memory, "d")
    assert caught.value.reason is Reason.PROOF_MEMORY_FULL
    use(memory, "d", source="other")
    use(memory, "d", now=NOW + 90)
    assert len(memory) == 1


@pytest.mark.parametrize("bounds", [{"capacity": 0}, {"capacity": -1}, {"per_key": 0}])
def test_a_memory_without_room_is_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="room"):
        ReplayMemory(**bounds)


def test_the_memory_keeps_only_hashes() -> None:
    """R64"""
    memory = ReplayMemory()
    use(memory, "an-identifier", source="a-source")
    held = repr(vars(memory))
    assert "an-identifier" not in held
    assert "a-source" not in held


def test_a_memory_can_be_dropped_although_the_system_calls_it_after_a_fork() -> None:
    memory = weakref.ref(ReplayMemory())
    gc.collect()
    assert memory() is None
    _in_child(lambda: True)


# Forks


def _in_child(check: Callable[[], bool]) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0 if check() else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "authserver.resource")
    return caplog


def test_a_forked_process_begins_empty_and_says_so_once(log: pytest.LogCaptureFixture) -> None:
    memory = ReplayMemory()
    use(memory, "a")

    def check() -> bool:
        empty = len(memory) == 0
        use(memory, "a")
        use(memory, "b")
        return empty and [record.levelname for record in log.records] == ["WARNING"]

    _in_child(check)
    assert not log.records
    assert refused(memory, "a") is Reason.USED_TWICE


def test_a_fork_while_a_thread_holds_the_memory_stops_nobody() -> None:
    memory = ReplayMemory()

    def check() -> bool:
        use(memory, "a")
        return len(memory) == 1

    with memory._lock:
        _in_child(check)


# Races


class Caller:
    """A verifier and one proof, which is replayed."""

    def __init__(self, issuer: FakeIssuer, clock: FrozenClock) -> None:
        device = DeviceKey()
        self.issuer = issuer.issuer
        self.keys = issuer.jwks
        self.clock = clock
        self.token = bound_token(issuer, device)
        self.proof = device.proof("GET", AUDIENCE, now=clock(), access_token=self.token)

    def accepted(self, replay: Replay, threads: int = THREADS) -> int:
        """How many of so many threads, which begin together, are let in."""
        keys = StaticKeySet(self.keys, ["ES256"])
        verifier = AccessTokenVerifier(
            issuer=self.issuer, audience=AUDIENCE, keys=keys, clock=self.clock, replay=replay
        )
        together = threading.Barrier(threads)
        outcomes: list[bool] = []

        def call() -> None:
            together.wait()
            outcomes.append(self._is_accepted(verifier))

        started = [threading.Thread(target=call) for _ in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        assert len(outcomes) == threads
        return outcomes.count(True)

    def _is_accepted(self, verifier: AccessTokenVerifier) -> bool:
        try:
            verifier.verify_bound(self.token, OfferedProof((self.proof,), "GET", (AUDIENCE,)))
        except ProofRejected as error:
            assert error.reason is Reason.PROOF_REPLAYED  # noqa: PT017 - any other outcome is counted as none
            return False
        return True


@pytest.fixture
def caller(issuer: FakeIssuer, clock: FrozenClock) -> Caller:
    return Caller(issuer, clock)


def test_of_fifty_threads_with_one_proof_one_is_let_in(caller: Caller) -> None:
    """R64, attacks: the same (source, jti) 50 times at once."""
    assert caller.accepted(ReplayMemory()) == 1


def _race(caller: Caller, database: Path, ready: Barrier, results: "Queue[int]") -> None:
    store = SqliteStore(database, create=False, busy_timeout=30)
    ready.wait(30)
    results.put(caller.accepted(store, THREADS // 2))


def test_of_fifty_threads_over_two_processes_with_a_shared_store_one_is_let_in(caller: Caller, tmp_path: Path) -> None:
    """R64, attacks: the same (source, jti) 50 times at once, on two nodes."""
    database = tmp_path / "replay.db"
    SqliteStore(database).close()
    processes = multiprocessing.get_context("spawn")
    ready, results = processes.Barrier(2), processes.Queue()
    workers = [processes.Process(target=_race, args=(caller, database, ready, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    counts = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(counts) == 1


def test_every_store_can_be_handed_in(caller: Caller, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "replay.db")
    assert caller.accepted(store, 2) == 1
    assert caller.accepted(store, 2) == 0
    store.close()


def test_threads_that_use_different_proofs_do_not_disturb_each_other() -> None:
    memory = ReplayMemory(1000, per_key=1000)
    outcomes: list[str] = []

    def work(name: str) -> None:
        for number in range(200):
            try:
                use(memory, str(number), source=f"key {name}", now=NOW + number, lasts=1)
                use(memory, f"shared {number}", now=NOW, lasts=1e6)
            except CredentialRejected:
                continue
            outcomes.append(f"{number}")

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == sorted(str(number) for number in range(200))
