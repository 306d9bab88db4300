"""Counting over processes that come, go, fork and are killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from authserver.telemetry import shared
from authserver.telemetry.shared import FileLock, shared_directory
from tests.served import write_configuration


class Workers:
    """Processes that count in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: list[subprocess.Popen[str]] = []

    def start(self, how: str = "") -> tuple[subprocess.Popen[str], str]:
        """Start one, and wait until it has counted; what it said."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.telemetry.shared_worker", how],
            env={**os.environ, shared.DIRECTORY: str(self.directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        assert process.stdout is not None
        said = process.stdout.readline()
        return process, said + (process.stdout.readline() if how else "")

    def stop(self) -> None:
        """End all of them."""
        for process in self._running:
            process.communicate(timeout=30)

    def counted(self) -> float:
        """What all of them counted together, the dead included."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self.directory))  # type: ignore[no-untyped-call]
        labels = {"task": "ring", "reason": "store_unavailable"}
        return registry.get_sample_value("authserver_background_failures_total", labels) or 0.0

    @property
    def files(self) -> set[str]:
        """The names of the files that there are."""
        return {file.name for file in self.directory.iterdir()}


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """None yet."""
    started = Workers(tmp_path)
    yield started
    started.stop()


def test_what_a_killed_worker_counted_is_kept_and_its_successor_goes_on(workers: Workers) -> None:
    first, slot = workers.start()
    _, other = workers.start()
    assert {slot, other} == {"0\n", "1\n"}
    first.kill()
    first.wait(30)
    files = workers.files
    for _ in range(2):
        successor, taken = workers.start()
        assert taken == slot
        successor.communicate(timeout=30)
    assert workers.counted() == 4
    assert workers.files == files  # however many workers there were


def test_a_fork_counts_under_a_slot_of_its_own(workers: Workers) -> None:
    _, said = workers.start("fork")
    assert said.splitlines() == ["child 1", "0"]
    assert workers.counted() == 2


def test_a_file_has_its_blocks_before_anybody_counts_in_it(workers: Workers) -> None:
    """Counting where the disk is full would otherwise end the process by a signal."""
    workers.start()
    for name in ("counter_0.db", "histogram_0.db"):
        status = (workers.directory / name).stat()
        assert status.st_blocks * 512 >= status.st_size > 0


def test_there_are_blocks_for_all_that_is_counted_of_many_sources(tmp_path: Path) -> None:
    """What the client makes a file longer by has no blocks."""
    done = subprocess.run(
        [sys.executable, "-c", COUNTS_MANY],
        env={**os.environ, shared.DIRECTORY: str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    used, size = map(int, done.stdout.split())
    status = (tmp_path / "counter_0.db").stat()
    assert 256 * 1024 < used <= size == status.st_size <= status.st_blocks * 512


COUNTS_MANY = """
import itertools, os, struct
from pathlib import Path
from prometheus_client import CollectorRegistry
from authserver.errors import Reason
from authserver.telemetry import shared
from authserver.telemetry.metrics import Metrics
directory = Path(os.environ[shared.DIRECTORY])
names = [f"a-source-with-a-rather-long-name-{number}" for number in range(300)]
shared.count_in(directory, len(names))
file = directory / "counter_0.db"
size = file.stat().st_size
metrics = Metrics(CollectorRegistry(), sources=names, token_route="/token")
for name, reason in itertools.product(names, list(Reason)[:40]):
    metrics.decided((name, "a-resource-with-a-long-name", "token_exchange", "refused", reason.value))
print(struct.unpack("i", file.read_bytes()[:4])[0], size)
"""


def test_a_directory_that_cannot_be_used_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        shared.Slot(tmp_path / "absent", sources=1)


COUNTS_WHATEVER_HAPPENS = """
import logging, os, sys
from pathlib import Path
from authserver.errors import Reason
from authserver.settings import load
from authserver.telemetry.observer import Telemetry
logging.basicConfig()
telemetry = Telemetry(load(Path(sys.argv[1])))
telemetry.metrics.background_failed("ring", Reason.STORE_UNAVAILABLE)
sys.stdout.write(telemetry.render().decode())
"""


@pytest.mark.parametrize(("directory", "told"), [("absent", True), ("", False)])
def test_a_directory_that_cannot_be_used_leaves_each_process_its_own_numbers(
    tmp_path: Path, directory: str, told: bool
) -> None:
    """The Prometheus client has chosen files by then, because the environment names a directory."""
    configuration = write_configuration(tmp_path, cluster="https://cluster.example", issuer="https://auth.example")
    done = subprocess.run(
        [sys.executable, "-c", COUNTS_WHATEVER_HAPPENS, str(configuration)],
        env={**os.environ, shared.DIRECTORY: directory and str(tmp_path / directory)},
        capture_output=True,
        text=True,
        check=True,
    )
    counted = 'authserver_background_failures_total{reason="store_unavailable",task="ring"} 1.0\n'
    assert counted in done.stdout
    assert ("metrics cannot be shared between workers" in done.stderr) == told


def test_a_lock_has_one_holder_and_is_let_go_of(tmp_path: Path) -> None:
    one, two = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert one.acquire()
    assert one.acquire()
    assert not two.acquire()
    one.release()
    one.release()
    assert two.acquire()
    two.release()


def test_the_directory_is_private_and_gone_at_the_end() -> None:
    with shared_directory() as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "counter_0.db").touch()
    assert not directory.exists()


LEAVES_IN_A_CHILD = """
import os, sys
from authserver.telemetry.shared import shared_directory
parent = os.getpid()
try:
    with shared_directory() as directory:
        if os.fork() == 0:
            sys.exit(0)
        os.wait()
        print(directory.exists())
finally:
    if os.getpid() != parent:
        os._exit(0)
"""


def test_leaving_in_a_child_removes_nothing() -> None:
    """A gunicorn worker ends by an exception that passes through everything its parent has entered."""
    done = subprocess.run([sys.executable, "-c", LEAVES_IN_A_CHILD], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_what_a_killed_server_left_behind_is_removed_and_what_is_in_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    abandoned = tmp_path / "authserver-metrics-abandoned"
    abandoned.mkdir()
    (abandoned / shared.MARKER).touch()
    (abandoned / "counter_0.db").touch()
    not_ours = tmp_path / "authserver-metrics-by-hand"
    not_ours.mkdir()
    (not_ours / "precious").touch()
    (tmp_path / "authserver-metrics-link").symlink_to(tmp_path)
    (tmp_path / "other").mkdir()
    with shared_directory() as one, shared_directory() as two:
        assert one.exists()
        assert two.exists()
        assert not abandoned.exists()
    assert (not_ours / "precious").exists()
    assert {file.name for file in tmp_path.iterdir()} == {not_ours.name, "authserver-metrics-link", "other"}
