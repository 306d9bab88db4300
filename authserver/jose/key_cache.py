"""The last good key set in a file, so that a program that starts again need not ask for it.

Whoever can write to that file decides which tokens are believed. So it is used only where it belongs to this user and
nobody else may write to it.
"""

import contextlib
import json
import logging
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from authserver.jose.compact import json_object
from authserver.jose.fetch import MAX_BYTES

_log = logging.getLogger("authserver")

_MAX_FILE: Final = 2 * MAX_BYTES
"""Longer than any key set that was fetched, with what is written around it; in bytes."""

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Never through a link, and without waiting for whoever is at the other end of a pipe."""


@dataclass(frozen=True, slots=True)
class CachedKeys:
    """A key set as it was fetched. ``fetched_at`` and ``lifetime`` are in seconds."""

    document: Mapping[str, Any]
    fetched_at: float
    lifetime: float


class KeyCacheFile:
    """A file that holds the key set of one place, which ``source`` names: what another place gave is not used."""

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self._source = source
        self._warned = False

    def load(self) -> CachedKeys | None:
        """What was kept; None where there is nothing, or nothing that can be trusted. Never raises."""
        try:
            return self._read()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("the key cache is not used: %s", type(error).__name__, extra={"path": str(self._path)})
            return None

    def save(self, cached: CachedKeys) -> None:
        """Put a key set in place of the last one, atomically and with mode 0600. A failure is logged, once."""
        try:
            self._write(cached)
        except OSError as error:
            if not self._warned:
                self._warned = True
                _log.warning("the key cache cannot be written: %s", error.strerror, extra={"path": str(self._path)})

    def _read(self) -> CachedKeys:
        with open(os.open(self._path, _READ), "rb") as file:  # noqa: PTH123 - a Path follows links
            _require_ours(os.fstat(file.fileno()))
            content = json_object(file.read(_MAX_FILE))
        document = content.get("keys")
        if content.get("source") != self._source or not isinstance(document, dict):
            raise ValueError("not the keys of this place")
        return CachedKeys(document, _seconds(content.get("fetched_at")), _seconds(content.get("lifetime")))

    def _write(self, cached: CachedKeys) -> None:
        content = {
            "source": self._source,
            "fetched_at": cached.fetched_at,
            "lifetime": cached.lifetime,
            "keys": cached.document,
        }
        # Made with mode 0600, and beside the file, because only within one file system a rename is atomic.
        descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - it is a descriptor
                json.dump(content, file)
            Path(name).replace(self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


def _require_ours(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a file")
    if hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS):
        raise PermissionError("somebody else could have written it")


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError("not a time")
    return value
