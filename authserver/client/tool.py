"""Programs that developers have signed in to their clouds with, asked without a shell and within limits."""

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Final

from authserver.client.failures import IdentityUnusable, NoAnswer, printable
from authserver.jose.connection import Deadline

MAX_BYTES: Final = 64 * 1024
"""How much a tool may print on either of its outputs, in bytes."""

ENVIRONMENT: Final = "AUTHSERVER_ENVIRONMENT"
DEVELOPMENT: Final = "development"
NAMED: Final = "AUTHSERVER_DEVELOPER_TOOL"
"""The variable that names the tool whose credentials are meant."""

_POLL: Final = 0.05  # seconds
_NOWHERE: Final = "/"  # az and gcloud run Python, which may import what lies in the working directory
_SECRET = re.compile(r"[A-Za-z0-9_.~+=-]{40,}")


def forbidden(environ: Mapping[str, str]) -> str | None:
    """Why the credentials of a developer must not be used here; None where they may."""
    if environ.get(ENVIRONMENT) == DEVELOPMENT:
        return None
    return f"the credentials of a developer are for {ENVIRONMENT}={DEVELOPMENT} alone"


def find_tool(name: str, environ: Mapping[str, str]) -> str:
    """The path of a program. Nothing is looked for in the working directory, whatever ``PATH`` says.

    :raises IdentityUnusable: there is none.
    """
    directories = filter(os.path.isabs, environ.get("PATH", os.defpath).split(os.pathsep))
    path = shutil.which(name, path=os.pathsep.join(directories))
    if path is None:
        raise IdentityUnusable(f"{NAMED} names {name}, which is not on the PATH. Install it, or unset {NAMED}")
    return path


def run_tool(
    command: Sequence[str],
    environ: Mapping[str, str],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """What a program prints. It gets nothing to read, and so many ``seconds``. ``clock`` must never be set back.

    :raises NoAnswer: it takes too long.
    :raises IdentityUnusable: it fails, or prints too much.
    """
    name = os.path.basename(command[0])  # noqa: PTH119 (a name for people)
    deadline = Deadline(seconds, clock)
    with _started(command, environ) as process:
        try:
            printed, said = _outputs(process, deadline, name)
        except TimeoutError as error:
            raise NoAnswer(f"{name} did not answer in time") from error
        if process.returncode != 0:
            last = _SECRET.sub("...", said.decode("utf-8", "replace").strip()).splitlines()[-1:]
            raise IdentityUnusable(f"{name} failed: {printable(''.join(last)) or f'exit code {process.returncode}'}")
    return printed.decode("utf-8", "replace")


@contextlib.contextmanager
def _started(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process. When it has not ended in the end, it is killed with all that it started."""
    try:
        process = subprocess.Popen(  # noqa: S603 (a list of arguments, and no shell)
            command,
            env=dict(environ),
            cwd=_NOWHERE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise IdentityUnusable(f"{command[0]} cannot be started: {type(error).__name__}") from error
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:  # so nobody else can have its number by now
                os.killpg(process.pid, signal.SIGKILL)


def _outputs(process: subprocess.Popen[bytes], deadline: Deadline, name: str) -> tuple[bytes, bytes]:
    """What it prints on its two outputs until it ends. What it leaves running is not waited for.

    :raises TimeoutError: it does not end in time.
    """
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
    collected: dict[IO[bytes], bytearray] = {pipe: bytearray() for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            ready = [key.fileobj for key, _ in selector.select(0 if ended else min(_POLL, deadline.remaining()))]
            for pipe in pipes:
                if pipe in ready and not _take(pipe, collected[pipe], name):
                    selector.unregister(pipe)
            if ended and not ready:
                break
    out, error = (bytes(collected[pipe]) for pipe in pipes)
    return out, error


def _take(pipe: IO[bytes], into: bytearray, name: str) -> bool:
    """Read what is there; whether there may be more."""
    piece = os.read(pipe.fileno(), 8192)
    into += piece
    if len(into) > MAX_BYTES:
        raise IdentityUnusable(f"{name} prints too much to be a token")
    return bool(piece)
