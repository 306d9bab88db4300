"""A file for an access token that another program reads: in memory where there is a place for it."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_PREFIX: Final = "authserver-token-"
_LOCK: Final = "lock"
_SHARED: Final = "/dev/shm"  # noqa: S108 (what is put there is a directory of the user's alone)
_MEMORY: Final = frozenset(("tmpfs", "ramfs"))


class TokenFile:
    """The file ``token`` in a directory of its user's alone. It is there whole or not at all."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "token"

    def write(self, value: str) -> None:
        """Put a token in the place of the old one, at once.

        :raises OSError: it cannot be written.
        """
        draft = self.path.with_name("draft")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 (a descriptor, not a path)
            file.write(value)
        draft.replace(self.path)


@contextlib.contextmanager
def token_file(environ: Mapping[str, str], shared: str = _SHARED) -> Iterator[TokenFile]:
    """A place for a token, which is removed afterwards. What a process that was killed has left is removed first.

    ``shared`` is the directory in memory that belongs to all users of the system, if there is one.

    :raises OSError: there is no place for it.
    """
    place = _place(environ.get("XDG_RUNTIME_DIR", ""), shared)
    _sweep(place)
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    try:
        with _locked(directory):
            yield TokenFile(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _place(*candidates: str) -> Path:
    for candidate in candidates:
        path = Path(candidate)
        if path.is_absolute() and os.access(path, os.W_OK | os.X_OK) and _is_safe(path) and _is_in_memory(path):
            return path
    return Path(tempfile.gettempdir())


def _is_safe(place: Path) -> bool:
    """Whether nobody else can put another directory in the place of one that is made in there."""
    found = place.stat()
    return found.st_uid == os.geteuid() or (found.st_uid == 0 and bool(found.st_mode & stat.S_ISVTX))


def _is_in_memory(path: Path) -> bool:
    """Whether the file system is made of memory, as Linux has it: proc_pid_mountinfo(5)."""
    number = path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    kinds = {
        kind.split()[0] for before, _, kind in (line.partition(" - ") for line in mounts) if device in before.split()
    }
    return bool(kinds & _MEMORY)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Show for as long as this process lives that the directory is in use.

    :raises OSError: it is.
    """
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _sweep(place: Path) -> None:
    for left in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if left.lstat().st_uid == os.geteuid() and (left / "token").exists():
                with _locked(left):
                    shutil.rmtree(left, ignore_errors=True)
