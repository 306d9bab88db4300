"""Running a command in the place of this process: same terminal, same process group, its signals and its exit code.

Signals are not handled but waited for. So :func:`hold_signals` must come before any thread is started, or one of
them would take what this process should pass on.
"""

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

_PASSED_ON: Final = frozenset(
    (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
)
_OF_TERMINALS: Final = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGQUIT))
_CHANGED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)  # ignored here, and an ignored signal is inherited

NOT_FOUND: Final = 127
NOT_RUNNABLE: Final = 126
"""The exit codes with which shells and env(1) say that a command cannot be run (POSIX, XCU section 2.8.2)."""

Mask = set[int] | set[signal.Signals]


def hold_signals() -> Mask:
    """Let signals wait until somebody asks for them, to the end of this process; the mask that the command must have.

    One that comes when the command has ended must neither keep this process from tidying up nor change its exit code.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever ignores it does not learn how a child ends
    return signal.pthread_sigmask(signal.SIG_BLOCK, {*_PASSED_ON, signal.SIGCHLD})


def interrupted() -> int | None:
    """The exit code for a signal that came while no command was running; None if none did."""
    # What is held waits even if it is ignored, as after nohup(1).
    pending = {number for number in signal.sigpending() & _PASSED_ON if signal.getsignal(number) != signal.SIG_IGN}
    return 128 + min(pending) if pending else None


def run(command: Sequence[str], environ: Mapping[str, str], mask: Mask) -> int:
    """Run a command until it ends; its exit code, or 128 and the number of the signal that ended it."""
    try:
        # A process group of its own would take the terminal from it, and Ctrl-Z from the shell.
        child = os.posix_spawnp(command[0], list(command), dict(environ), setsigmask=mask, setsigdef=_CHANGED_BY_PYTHON)
    except OSError as error:
        click.echo(f"authserver exec: {command[0]}: {error.strerror}", err=True)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE
    while True:
        number, shared = _next_signal()
        if number == signal.SIGCHLD:
            code = _ended(child)
            if code is not None:
                return code
        elif not shared:
            with contextlib.suppress(PermissionError):  # it is another user by now, as with sudo(8)
                os.kill(child, number)


def _next_signal() -> tuple[int, bool]:
    """A signal, and whether it comes from the terminal, which sends it to the command as well."""
    awaited = {*_PASSED_ON, signal.SIGCHLD}
    if hasattr(signal, "sigwaitinfo"):
        told = signal.sigwaitinfo(awaited)
        return told.si_signo, told.si_signo in _OF_TERMINALS and told.si_code > 0  # above 0: by the kernel itself
    number = signal.sigwait(awaited)
    return number, number in _OF_TERMINALS and _has_terminal()


def _has_terminal() -> bool:
    """Whether what is typed on the terminal goes to this process group."""
    with contextlib.suppress(OSError), Path(os.ctermid()).open("rb", buffering=0) as terminal:
        return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    return False


def _ended(child: int) -> int | None:
    """How the child ended; None while it runs. The first process of a container has everybody's orphans, too."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1 if os.getpid() == 1 else child, os.WNOHANG)
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            if pid == 0:
                break
    return None
