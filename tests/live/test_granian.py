"""``authserver serve --server granian``: what it refuses, and its worker processes.

That it does what ``serve`` does under gunicorn, the tests say that run under both.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.served import ask, free_port, write_configuration

pytestmark = pytest.mark.slow

ES256: dict[str, Any] = {"keys": 'algorithms = ["ES256"]', "reports": ""}

WITH_ANOTHER_GRANIAN = """
import sys
{}
from authserver.cli import main
main()
"""

SERVER = """
import sys, time
from gunicorn.app.base import BaseApplication
from authserver.hosting.granian import Worker

def application(environ, start):
    if environ["PATH_INFO"] == "/stall":
        print("stalled", flush=True)
        time.sleep(600)
    start("200 OK", [])
    return [b"answered"]

class Application(BaseApplication):
    def load_config(self):
        for name, value in dict(option.split("=") for option in sys.argv[1:]).items():
            self.cfg.set(name, value)
        self.cfg.set("worker_class", Worker)
        self.cfg.set("control_socket_disable", True)
        self.cfg.set("worker_exit", lambda server, worker: print("worker_exit", flush=True))

    def load(self):
        return application

Application().run()
"""


def serve(folder: Path, program: str, **server: Any) -> subprocess.CompletedProcess[str]:
    """``serve --server granian``, where some Python was run before. Nothing is to be made if it is refused."""
    configuration = write_configuration(folder, cluster="http://127.0.0.1:1", **ES256, **server)
    command = [sys.executable, "-c", WITH_ANOTHER_GRANIAN.format(program), "serve", "--server", "granian"]
    done = subprocess.run(
        [*command, "--config", str(configuration)], capture_output=True, text=True, timeout=60, check=False
    )
    assert [file.name for file in folder.iterdir()] == [configuration.name]
    return done


def test_without_granian_it_says_which_extra_has_it(tmp_path: Path) -> None:
    done = serve(tmp_path, 'sys.modules["granian"] = None')
    assert done.returncode == 1
    assert done.stderr == 'granian is not installed. For it, install authserver with the extra "fast".\n'


def test_with_a_granian_that_may_be_another_inside_it_does_not_start(tmp_path: Path) -> None:
    done = serve(tmp_path, 'import granian; granian.__version__ = "2.9.0"')
    assert done.returncode == 78
    assert "granian 2.9.0 is installed" in done.stderr


def test_tls_of_its_own_is_refused_with_the_reason(tmp_path: Path) -> None:
    done = serve(tmp_path, "", server='tls = { cert_file = "cert.pem", key_file = "key.pem" }')
    assert done.returncode == 78
    assert "server.tls" in done.stderr
    assert "granian shows no certificate of a client" in done.stderr


@dataclass
class Running:
    """gunicorn with one worker of granian's and a small application."""

    process: subprocess.Popen[str]
    port: int
    output: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text(encoding="ascii").split()]

    def wait_for(self, text: str) -> None:
        """Return when the output has it."""
        deadline = time.monotonic() + 60
        while text not in self.output.read_text(encoding="utf-8"):
            assert self.process.poll() is None, self.output.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, self.output.read_text(encoding="utf-8")
            time.sleep(0.02)


@contextmanager
def running(folder: Path, **options: object) -> Iterator[Running]:
    """A server with some of gunicorn's options."""
    port = free_port()
    settings = [f"{name}={value}" for name, value in {"bind": f"127.0.0.1:{port}", **options}.items()]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen([sys.executable, "-c", SERVER, *settings], stdout=output, stderr=output, text=True)
    server = Running(process, port, folder / "output")
    try:
        server.wait_for("Booting worker")
        yield server
    finally:
        process.terminate()
        process.wait(60)
    assert "panicked" not in server.output.read_text(encoding="utf-8")


def test_a_worker_is_replaced_after_so_many_requests_and_nobody_notices(tmp_path: Path) -> None:
    with running(tmp_path, max_requests=3) as server:
        first = server.workers()
        for _ in range(10):
            assert ask("GET", f"{server.url}/").body == b"answered"
        server.wait_for("Autorestarting worker after 3 requests")
        deadline = time.monotonic() + 60
        while set(first) & set(server.workers()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.wait_for("worker_exit")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_worker_ends_without_a_noise_however_it_is_told(how: signal.Signals, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert ask("GET", f"{server.url}/").body == b"answered"
        (worker,) = server.workers()
        os.kill(worker, how)
        server.wait_for("worker_exit")
        deadline = time.monotonic() + 60
        while worker in server.workers():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "SIG" not in server.output.read_text(encoding="utf-8")


def test_a_request_that_never_ends_does_not_keep_a_worker(tmp_path: Path) -> None:
    with running(tmp_path, graceful_timeout=1) as server, socket.create_connection(("127.0.0.1", server.port)) as stuck:
        stuck.sendall(b"GET /stall HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("stalled")
        (worker,) = server.workers()
        os.kill(worker, signal.SIGTERM)
        server.wait_for("a worker ends although requests have not")
        assert ask("GET", f"{server.url}/").body == b"answered"


def test_an_orphan_ends(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        (worker,) = server.workers()
        server.process.kill()
        server.process.wait(60)
        deadline = time.monotonic() + 60
        while Path(f"/proc/{worker}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
