"""Servers as processes: started on some cores, waited for, asked how much they worked and hold, and ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

LOOPBACK: Final = "127.0.0.1"
PATIENCE: Final = 30.0
"""Seconds that a server may take to start, or to end."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGESIZE")


def cores() -> tuple[int, int]:
    """A core for the server and another for whoever loads it.

    :raises SystemExit: there are not two.
    """
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise SystemExit("two cores are needed: one for the server, one for the load generator")
    return available[0], available[1]


def on(core_list: Sequence[int], command: Sequence[str]) -> list[str]:
    """A command whose process, and every one that it starts, stays on these cores."""
    return ["taskset", "-c", ",".join(map(str, core_list)), *command]


@contextmanager
def running(
    command: Sequence[str],
    ready: Callable[[], bool],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    output: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[int]:
    """A server, once it is ready; its process id. What it says is in ``folder``, as ``<program>.log``.

    :raises SystemExit: it ended, or was not ready in time. The message ends with the last that it said.
    """
    said = folder / f"{Path(command[-1]).stem}.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **(environment or {})}, stdout=output, stderr=log
        )
    try:
        try:
            wait_until(lambda: process.poll() is not None or ready())
        except TimeoutError:
            raise SystemExit(f"not ready after {PATIENCE:.0f} s: {' '.join(command)}\n{_end(said)}") from None
        if process.returncode is not None:
            raise SystemExit(f"ended with {process.returncode}: {' '.join(command)}\n{_end(said)}")
        yield process.pid
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process, and whatever of its family outlives it."""
    family = tree(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        for each in family:
            _kill(each)
        process.wait(PATIENCE)


def tree(pid: int) -> list[int]:
    """A process and those that it started, directly or not."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def worked(pid: int) -> float:
    """Seconds of processor time that a process and its children have had, those that have ended too."""
    return sum(sum(int(ticks) for ticks in _stat(each)[11:15]) for each in tree(pid)) / _TICKS


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something does."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def wait_until(true: Callable[[], bool], every: float = 0.02) -> None:
    """Return when it is.

    :raises TimeoutError: it does not become so.
    """
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(every)


def _stat(pid: int) -> list[str]:
    """What follows the name in ``/proc/<pid>/stat`` (proc(5)), or nothing for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]
