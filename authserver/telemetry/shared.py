"""Counting over all worker processes: files that a worker counts in and its successor goes on with.

A worker claims the first *slot* that no living process holds, by a lock that the kernel opens when its holder dies,
however it dies. The numbers in a slot's files outlive the worker, so nothing that was counted is lost, and there are
never more files than there were workers at the same time.
"""

import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import values

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the directory, as the Prometheus client has it."""

MARKER: Final = "made-by-authserver"
"""A file in every directory that is made here. A directory without it is never removed, whatever its name is."""

_PREFIX: Final = "authserver-metrics-"
_HISTOGRAMS: Final = 64 * 1024
_COUNTERS: Final = 1024 * 1024
# For about 50 different sets of labels of about 300 bytes each.
_COUNTERS_OF_A_SOURCE: Final = 16 * 1024


class FileLock:
    """A lock that belongs to a process, and is free again as soon as that process is gone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Whether this process has the lock now, or had it already."""
        if self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            if not _lock(descriptor):
                os.close(descriptor)
                return False
            self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go of it. After a fork this leaves the parent's lock alone."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Slot:
    """The number that this process counts under. A forked child takes one of its own."""

    def __init__(self, directory: Path, sources: int) -> None:
        self._directory = directory
        self._file_sizes = {"counter": _COUNTERS + sources * _COUNTERS_OF_A_SOURCE, "histogram": _HISTOGRAMS}
        self._held: tuple[int, FileLock] | None = None
        self.number()
        os.register_at_fork(after_in_child=self._forget)

    def number(self) -> int:
        """This process's slot, claimed the first time it is asked for."""
        if self._held is None:
            self._held = self._claim()
        return self._held[0]

    def _claim(self) -> tuple[int, FileLock]:
        for number in itertools.count():
            lock = FileLock(self._directory / f"{number}.slot")
            if lock.acquire():
                for kind, size in self._file_sizes.items():
                    _allocate(self._directory / f"{kind}_{number}.db", size)
                return number, lock
        raise AssertionError("unreachable")

    def _forget(self) -> None:
        if self._held is not None:
            self._held[1].release()
            self._held = None


def count_in(directory: Path, sources: int) -> Slot:
    """Let every metric that is made from now on count in this process's slot of ``directory``.

    ``sources`` is how many identity sources there are: room for what is counted of them is taken now.

    :raises OSError: the directory cannot be used.
    """
    slot = Slot(directory, sources)
    # The client's own way to count under something else than the process id; it finds the directory by DIRECTORY.
    values.ValueClass = values.MultiProcessValue(process_identifier=slot.number)  # type: ignore[no-untyped-call]
    return slot


def count_alone() -> None:
    """Let every metric that is made from now on count in the memory of this process.

    The client has chosen files when it was imported if the environment names a directory, usable or not.
    """
    values.ValueClass = values.MutexValue


@contextmanager
def shared_directory() -> Iterator[Path]:
    """A new directory for the files, gone at the end. What a server that was killed left behind goes too.

    Leaving this in a forked child removes nothing.
    """
    owner = os.getpid()
    parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=parent))
    descriptor = os.open(made, os.O_RDONLY)
    # The lock also keeps systemd-tmpfiles from clearing the directory away while it is in use.
    _lock(descriptor)
    (made / MARKER).touch()
    directory = made.rename(parent / made.name.removeprefix("."))
    try:
        yield directory
    finally:
        if os.getpid() == owner:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(descriptor)


def in_use() -> Iterator[Path]:
    """The directories of this user's servers that run."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        descriptor = _opened(directory)
        if descriptor is None:
            continue
        try:
            if _is_ours(descriptor) and not _lock(descriptor):
                yield directory
        finally:
            os.close(descriptor)


def _opened(directory: Path) -> int | None:
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None  # somebody else's, or just gone


def _remove_abandoned(parent: Path) -> None:
    for directory in parent.glob(f"{_PREFIX}*"):
        descriptor = _opened(directory)
        if descriptor is None:
            continue
        try:
            if _is_ours(descriptor) and _lock(descriptor):
                shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(descriptor)


def _is_ours(directory: int) -> bool:
    try:
        marker = os.stat(MARKER, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return os.fstat(directory).st_uid == marker.st_uid == os.geteuid()


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _allocate(path: Path, size: int) -> None:
    """Make a file with real blocks behind it: counting in a file that the disk has no room for would kill the process.

    It appears whole, so that a reader never sees half of it.
    """
    if not path.exists():
        new = path.with_suffix(".new")
        new.write_bytes(bytes(size))
        new.rename(path)
