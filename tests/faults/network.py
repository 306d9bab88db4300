"""Hosts with addresses of their own, on one switch that can be parted in two: network namespaces (ip-netns(8)).

The addresses are of RFC 5737, which nobody has, and there is no way out of the namespaces.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

SUBNET: Final = "192.0.2"
_MAC: Final = "02:00:00:00:00:01"
_CLONE_NEWNET: Final = 0x40000000
_LINUX: Final = ctypes.CDLL(None, use_errno=True)


class Network:
    """Hosts by name. We ourselves are on the switch, and reach both of its parts."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._name = f"faults-{os.getpid()}"
        self._hosts = list(hosts)

    def __enter__(self) -> "Network":
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for host in ("switch", *self._hosts):
            subprocess.run(["ip", "netns", "del", self._space(host)], check=False, capture_output=True)

    def address(self, host: str) -> str:
        """The address of a host."""
        return f"{SUBNET}.{self._hosts.index(host) + 1}"

    def at(self, host: str) -> tuple[str, ...]:
        """What stands before a command so that it runs at a host."""
        return ("ip", "netns", "exec", self._space(host))

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread, and those that it starts, be on the switch."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _enter(Path(f"/run/netns/{self._space('switch')}"))
        try:
            yield
        finally:
            _enter(Path(f"/proc/self/fd/{before}"))
            os.close(before)

    def part(self, *hosts: str) -> None:
        """Put these hosts on the other part of the switch, where they reach each other and us, and nobody else."""
        for host in hosts:
            self._switch("link", "set", self._port(host), "master", "other")
            self._switch("route", "add", f"{self.address(host)}/32", "dev", "other")

    def join(self, *hosts: str) -> None:
        """Put these hosts back."""
        for host in hosts:
            self._switch("route", "del", f"{self.address(host)}/32", "dev", "other")
            self._switch("link", "set", self._port(host), "master", "one")

    def _make(self) -> None:
        _run("ip", "netns", "add", self._space("switch"))
        self._switch("link", "set", "lo", "up")
        for bridge, address in (("one", 254), ("other", 253)):
            self._switch("link", "add", bridge, "type", "bridge", "ageing_time", "0")
            self._switch("link", "set", bridge, "address", _MAC, "up")  # so that nobody has to ask again who we are
            self._switch("address", "add", f"{SUBNET}.{address}/{24 if bridge == 'one' else 32}", "dev", bridge)
        for host in self._hosts:
            self._add(host)

    def _add(self, host: str) -> None:
        _run("ip", "netns", "add", self._space(host))
        there = ("peer", "name", "eth0", "netns", self._space(host))
        self._switch("link", "add", self._port(host), "type", "veth", *there)
        self._switch("link", "set", self._port(host), "master", "one", "up")
        within = ("ip", "-n", self._space(host))
        _run(*within, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        _run(*within, "link", "set", "eth0", "up")
        _run(*within, "link", "set", "lo", "up")

    def _switch(self, *arguments: str) -> None:
        _run("ip", "-n", self._space("switch"), *arguments)

    def _space(self, host: str) -> str:
        return f"{self._name}-{host}"

    def _port(self, host: str) -> str:
        return f"port{self._hosts.index(host)}"


def why_not() -> str | None:
    """Why no namespaces can be had here; None where they can."""
    if shutil.which("ip") is None:
        return "there is no program ip; Debian's package is iproute2"
    name = f"faults-{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True, text=True)
    if tried.returncode:
        return f"no network namespace can be made here: {tried.stderr.strip()}"
    _run("ip", "netns", "del", name)
    return None


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def _enter(namespace: Path) -> None:
    descriptor = os.open(namespace, os.O_RDONLY)
    try:
        if _LINUX.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)
