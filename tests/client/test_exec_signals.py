"""``authserver exec`` as a program: the command's signals, its terminal, and who takes leave of it."""

import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.client.fake import Asked, Said
from tests.client.test_command import read_until
from tests.client.workloads import Line, Started, Workloads, environ, line, lines_of, run, start, workloads

__all__ = ["environ", "line", "start", "workloads"]  # fixtures

COUNTS = """
import signal, sys
def got(number, _):
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM: sys.exit(9)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, got)
print("up", signal.pthread_sigmask(signal.SIG_BLOCK, []), flush=True)
while True: signal.pause()
"""


def test_signals_are_forwarded_once_each(line: Line, start: Started) -> None:
    process = start(line(COUNTS))
    said = lines_of(process)
    assert next(said) == "up set()"
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM"):
        process.send_signal(signal.Signals[name])
        assert next(said) == name
    assert process.wait(30) == 9
    assert list(said) == []


def test_a_signal_that_ends_the_command_ends_it_all_and_leaves_nothing(line: Line, start: Started) -> None:
    process = start(line("sh", "-c", "echo $AUTHSERVER_TOKEN_FILE; echo $$; exec sleep 600"))
    said = lines_of(process)
    path, child = Path(next(said)), int(next(said))
    assert path.exists()
    process.terminate()
    assert process.wait(30) == 143
    assert not path.parent.exists()
    assert not Path(f"/proc/{child}").exists()


def test_what_a_parent_ignores_the_command_ignores_and_what_python_ignores_it_does_not(
    line: Line, environ: dict[str, str]
) -> None:
    """As after nohup(1)."""
    quiet = run(["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *line("grep", "SigIgn", "/proc/self/status")], environ)
    ignored = int(quiet.stdout.split()[1], 16)
    assert ignored & 1 << signal.SIGHUP - 1
    assert not ignored & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGCHLD - 1)


def test_a_signal_that_comes_before_the_command_is_started_ends_it(
    workloads: Workloads, line: Line, start: Started
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hang(_: Asked) -> Said:
        asked.set()
        go_on.wait(30)
        return Said(503)

    workloads.plans.append(hang)
    process = start(line("print('run')"))
    assert asked.wait(30)
    process.terminate()  # no SIGINT, which whoever runs the tests in the background has told them to ignore
    assert process.wait(30) == 143
    go_on.set()
    assert list(lines_of(process)) == []


HELD = """
import os, signal
from authserver.cli.child import hold_signals, interrupted
hold_signals()
for number in (signal.SIGHUP, signal.SIGTERM):
    os.kill(os.getpid(), number)
    print(interrupted())
"""


def test_a_signal_that_a_parent_ignores_ends_nothing_before_the_command_is_started(environ: dict[str, str]) -> None:
    """As after nohup(1)."""
    assert (
        run(["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", HELD], environ).stdout == "None\n143\n"
    )


SESSION = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, setpgroup=0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.tcsetpgrp(0, pid)
while True:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        break
    os.tcsetpgrp(0, os.getpgrp())
    print("stopped by", os.WSTOPSIG(status), flush=True)
    os.tcsetpgrp(0, pid)
    os.killpg(pid, signal.SIGCONT)
os.tcsetpgrp(0, os.getpgrp())
print("ended with", os.waitstatus_to_exitcode(status), flush=True)
"""
TYPED = """
import os, signal, sys
count = 0
def interrupted(*_):
    global count
    count += 1
    print("interrupted", flush=True)
def ended(*_):
    sys.exit(count)
signal.signal(signal.SIGINT, interrupted)
signal.signal(signal.SIGQUIT, ended)
signal.signal(signal.SIGCONT, lambda *_: print("goes on", flush=True))
print("foreground", os.tcgetpgrp(0) == os.getpgrp(), flush=True)
while True: signal.pause()
"""


def without(words: list[str]) -> list[str]:
    """The same on a system that does not tell where a signal comes from, as macOS is."""
    return [*words[:2], f"import signal; del signal.sigwaitinfo; {words[2]}", *words[3:]]


@pytest.mark.parametrize("told", [True, False], ids=["with sigwaitinfo", "without"])
def test_what_is_typed_on_the_terminal_reaches_the_command_once(
    told: bool, workloads: Workloads, line: Line, environ: dict[str, str]
) -> None:
    words = line(TYPED) if told else without(line(TYPED))
    controller, terminal = pty.openpty()
    session = [sys.executable, "-c", SESSION, *words]
    with subprocess.Popen(
        session, stdin=terminal, stdout=terminal, stderr=terminal, env=environ, start_new_session=True
    ) as process:
        os.close(terminal)
        read_until(controller, b"foreground True")
        for typed, shown in (
            (b"\x03", b"interrupted"),
            (b"\x1a", b"goes on"),
            (b"\x03", b"interrupted"),
            (b"\x1c", b"ended with 2"),
        ):
            os.write(controller, typed)
            read_until(controller, shown)
        assert process.wait(30) == 0
    os.close(controller)
    assert workloads.failures == []


def test_where_signals_cannot_be_told_apart_those_of_no_terminal_are_forwarded(line: Line, start: Started) -> None:
    process = start(without(line(COUNTS)))
    said = lines_of(process)
    next(said)
    for name in ("SIGINT", "SIGTERM"):
        process.send_signal(signal.Signals[name])
        assert next(said) == name
    assert process.wait(30) == 9


def test_the_first_process_of_a_container_takes_leave_of_every_orphan() -> None:
    program = """
import os
from authserver.cli import child
os.getpid = lambda: 1
mask = child.hold_signals()
orphan = os.posix_spawn("/bin/true", ["true"], {})
print(child.run(["sh", "-c", "sleep 0.2; exit 3"], os.environ, mask))
try: os.waitpid(orphan, 0)
except ChildProcessError: print("gone")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["3", "gone"]
