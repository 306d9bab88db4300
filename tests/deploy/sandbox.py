"""A container without a container engine: what the manifests ask of one, done with the programs of util-linux.

The program sees a root of its own: the operating system's libraries and Python, all read-only, without a shell; the
configuration, read-only; a process id space in which it is the first; and memory at /tmp. It has no capability and can
get none.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.deploy.manifests import program
from tests.house.tree import ROOT

USER: Final = "10001"
PLACES: Final = {sys.prefix: "/opt/authserver", str(ROOT): "/opt/source"}
"""Where the virtual environment and this tree are inside."""

PYTHON: Final = f"{PLACES[sys.prefix]}/bin/python"
SHELLS: Final = ("sh", "bash", "dash", "rbash", "busybox", "zsh", "ksh")

_PREPARE: Final = """
set -e
root=$1 configuration=$2 state=$3; shift 3
mount -t tmpfs -o mode=0755,size=64m none "$root"
cd "$root"
mkdir -p proc dev etc/authserver tmp var/lib/authserver
show() {{ mkdir -p ".$2"; mount --rbind "$1" ".$2"; mount -o remount,bind,ro ".$2"; }}
show /usr /usr
while [ $# -gt 0 ]; do show "$1" "$2"; shift 2; done
for link in bin sbin lib lib32 lib64; do
    if [ -L "/$link" ]; then ln -s "$(readlink "/$link")" "$link"; elif [ -d "/$link" ]; then show "/$link" "/$link"; fi
done
for shell in {shells}; do
    for place in usr/bin bin; do
        if [ -f "$place/$shell" ] && [ ! -L "$place/$shell" ]; then mount --bind /dev/null "$place/$shell"; fi
    done
done
for device in null zero random urandom; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
mount --bind "$configuration" etc/authserver
mount -o remount,bind,ro etc/authserver
mount --bind "$state" var/lib/authserver
mount -o remount,bind,nosuid,nodev,noexec var/lib/authserver
mount -t tmpfs -o uid={user},gid={user},mode=0700,noexec,nosuid,nodev,size=64m none tmp
mount -t proc -o nosuid,nodev,noexec none proc
mount -o remount,ro "$root"
exec unshare --root="$root" --wd=/var/lib/authserver {drop} "$PYTHON" -m authserver {arguments}
"""

DROP: Final = (
    "/usr/bin/setpriv",
    f"--reuid={USER}",
    f"--regid={USER}",
    "--clear-groups",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
)


@dataclass(frozen=True)
class Contained:
    """A program that runs so. ``process`` is what made its surroundings; ``pid`` is its own first process."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def pid(self) -> int:
        """As seen from outside."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text(encoding="ascii").split()[0])

    @property
    def pids(self) -> list[int]:
        """Of the first process and those that it has started."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
        return [self.pid, *map(int, children)]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``authserver`` beside it, as ``docker exec`` and health checks do."""
        return self.run_python("-m", "authserver", *arguments)

    def run_python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python beside it, with the same rights."""
        enter = [program("nsenter"), f"--target={self.pid}", "--mount", "--pid", "--ipc", "--uts", "--root", "--wd"]
        command = [*enter, *DROP, PYTHON, *arguments]
        return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=90, check=False)


def environment() -> dict[str, str]:
    """What the image sets, and where this tree is."""
    return {
        "AUTHSERVER_CONFIG": "/etc/authserver/authserver.toml",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": PLACES[str(ROOT)],
        "PYTHON": PYTHON,
    }


@contextmanager
def contained(folder: Path, configuration: Path, arguments: Sequence[str]) -> Iterator[Contained]:
    """Run ``authserver`` in a container of its own until the end. ``configuration`` is a directory."""
    root, state, output = folder / "root", folder / "state", folder / "output"
    for each in (root, state):
        each.mkdir()
    os.chown(state, int(USER), int(USER))
    script = _PREPARE.format(shells=" ".join(SHELLS), user=USER, drop=shlex.join(DROP), arguments=shlex.join(arguments))
    shown = PLACES if sys.base_prefix in ("/usr", *PLACES) else {sys.base_prefix: sys.base_prefix, **PLACES}
    places = [each for pair in shown.items() for each in pair]
    unshared = [program("unshare"), "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child=SIGKILL"]
    command = [*unshared, "bash", "-c", script, "bash", str(root), str(configuration), str(state), *places]
    with output.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env={**os.environ, **environment()})
    try:
        yield Contained(process, output)
    finally:
        process.kill()
        process.wait(30)
