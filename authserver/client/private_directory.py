"""A directory that only its owner can look into, and files in it that are there whole or not at all.

Every operation opens the directory anew, looks at what it opened, and names files relative to that. So a symbolic
link, or a directory that is exchanged in between, leads nowhere.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from authserver.client.failures import EnrollmentBusy, EnrollmentUnusable

MAX_BYTES: Final = 64 * 1024
"""The longest file that is read, in bytes."""

_DRAFT: Final = ".draft"
_LOCK: Final = "lock"
_NOT_A_LINK: Final = os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateDirectory:
    """The directory at ``path``, which need not exist. Nothing but this class should write to it.

    Each method raises :class:`EnrollmentUnusable` when others can get at what is there, or the system refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        """The content of a file, None if there is none."""
        with self._explained(name), contextlib.ExitStack() as files:
            try:
                directory = files.enter_context(self._opened())
                descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NOT_A_LINK, dir_fd=directory)
            except FileNotFoundError:
                return None
            file = files.enter_context(open(descriptor, "rb"))  # noqa: PTH123 (a descriptor, not a path)
            self._require_private(descriptor, name, stat.S_ISREG)
            content = file.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise EnrollmentUnusable(f"{self.path / name} is too long to be what it should be")
            return content

    def create(self, name: str, content: bytes) -> None:
        """Make a file, durably and never over another one."""
        with self._explained(name), self._opened() as directory:
            _write_draft(directory, content)
            os.link(_DRAFT, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
            os.unlink(_DRAFT, dir_fd=directory)
            os.fsync(directory)

    def replace(self, name: str, content: bytes) -> None:
        """Make a file or put it in the place of the old one, durably and at once."""
        with self._explained(name), self._opened() as directory:
            _write_draft(directory, content)
            os.replace(_DRAFT, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def remove(self, name: str) -> None:
        """Remove a file, durably. One that is not there is no mistake."""
        with self._explained(name), self._opened() as directory:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)
            os.fsync(directory)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only process that changes anything here. The directory is made if there is none.

        :raises EnrollmentBusy: another process is at it.
        """
        with contextlib.ExitStack() as held:
            with self._explained(_LOCK):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    self.path.mkdir(mode=0o700)
                directory = held.enter_context(self._opened())
                descriptor = os.open(_LOCK, os.O_RDWR | os.O_CREAT | _NOT_A_LINK, 0o600, dir_fd=directory)
                held.callback(os.close, descriptor)
                self._lock(descriptor)
            yield

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EnrollmentBusy(f"another process is at work in {self.path}; wait for it, then try again") from None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """:raises FileNotFoundError: there is no such directory."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | _NOT_A_LINK)
        try:
            self._require_private(descriptor, "", stat.S_ISDIR)
            yield descriptor
        finally:
            os.close(descriptor)

    def _require_private(self, descriptor: int, name: str, is_kind: Callable[[int], bool]) -> None:
        found, where = os.fstat(descriptor), self.path / name
        if not is_kind(found.st_mode):
            raise EnrollmentUnusable(f"{where} is not an ordinary file")
        if found.st_uid != os.geteuid():
            raise EnrollmentUnusable(f"{where} belongs to another user; run this as the user who enrolled")
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            remedy = f"If nobody else has used it: chmod go= {where}"
            raise EnrollmentUnusable(f"{where} is open to others than its owner. {remedy}")

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # O_NOFOLLOW says "too many levels" of a file that is a link, and "not a directory" of a directory.
            linked = error.errno in (errno.ELOOP, errno.ENOTDIR)
            because = (
                "symbolic links are not followed, and what it is in must be a directory" if linked else error.strerror
            )
            raise EnrollmentUnusable(f"{self.path / name}: {because}") from error


def _write_draft(directory: int, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_DRAFT, dir_fd=directory)  # what a crash has left
    descriptor = os.open(_DRAFT, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOT_A_LINK, 0o600, dir_fd=directory)
    with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
        os.fchmod(descriptor, 0o600)  # whatever the umask takes away
        file.write(content)
        file.flush()
        os.fsync(descriptor)
