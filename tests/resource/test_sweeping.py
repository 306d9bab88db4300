"""Stores that have to be swept are, beside the requests."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.resource import ReplayMemory
from authserver.resource.sweeping import EVERY, SweptReplay, swept
from authserver.store.sqlite import SqliteStore
from tests.resource.api import Api

NOW = 1_800_000_000.0


class Store:
    """Counts sweeps, and fails at them if told to."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.swept = threading.Semaphore(0)
        self.times: list[float] = []

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        assert (source, expires_at) == ("s", now + 60)
        if token_id == "used":
            raise CredentialRejected(Reason.USED_TWICE)

    def sweep(self, now: float) -> None:
        self.times.append(now)
        self.swept.release()
        if self.failure is not None:
            raise self.failure

    def wait(self) -> None:
        assert self.swept.acquire(timeout=30), "nothing was swept"


def use(replay: SweptReplay, now: float, token_id: str = "x") -> None:
    replay.use_once("s", token_id, expires_at=now + 60, now=now)


def test_a_store_is_swept_once_a_minute_while_it_is_used() -> None:
    store = Store()
    replay = SweptReplay(store)
    for later in (0, 1, EVERY - 1):
        use(replay, NOW + later)
    store.wait()
    use(replay, NOW + EVERY)
    store.wait()
    assert store.times == [NOW, NOW + EVERY]


def test_what_the_store_refuses_is_refused() -> None:
    with pytest.raises(CredentialRejected):
        use(SweptReplay(Store()), NOW, "used")


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sweep_that_fails_is_tried_again() -> None:
    store = Store(Unavailable(Reason.STORE_UNAVAILABLE))
    replay = SweptReplay(store)
    for later in (0, EVERY):
        use(replay, NOW + later)
        store.wait()


def test_a_memory_of_ones_own_needs_no_sweeping() -> None:
    memory = ReplayMemory()
    assert swept(memory) is memory


def test_a_shared_file_does_not_grow_for_ever(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, done = SqliteStore(tmp_path / "replay.db"), threading.Semaphore(0)
    sweep = store.sweep

    def announced(now: float) -> None:
        sweep(now)
        done.release()

    monkeypatch.setattr(store, "sweep", announced)
    api.verifier = api.make(replay=store)
    for _ in range(3):
        api.call(api.proof())
        assert done.acquire(timeout=30), "nothing was swept"
        api.clock.advance(300)
    with closing(sqlite3.connect(tmp_path / "replay.db")) as file:
        assert file.execute("SELECT count(*) FROM used").fetchone() == (1,)
