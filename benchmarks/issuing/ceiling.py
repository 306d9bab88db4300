"""How many requests a second the load generator can send: against nginx, which answers all of them alike."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.issuing.contenders import Contender, Running
from benchmarks.issuing.loads import Answer, Keys, Load, Wrong
from benchmarks.processes import LOOPBACK, free_port, listens, on, running

NAME: Final = "nginx, static"
CONFIGURATION: Final = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  server {{
    listen {address}:{port};
    default_type application/json;
    location / {{ return 200 '{{"keys":[]}}'; }}
  }}
}}
"""


def contender(like: Load) -> Contender:
    """nginx, for requests like those of another load."""
    load = Load(like.kind, like.make, _any, keys_path="/")
    return Contender(NAME, _started, (load,), missing="" if _program() else "nginx is not installed")


def _program() -> str | None:
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


def _any(answer: Answer, _keys: Keys) -> None:
    if answer.status != 200:
        raise Wrong(f"{answer.status}")


@contextmanager
def _started(folder: Path, core_list: Sequence[int]) -> Iterator[Running]:
    port, file = free_port(), folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, address=LOOPBACK, port=port), encoding="utf-8")
    command = on(core_list, [_program() or "nginx", "-e", "stderr", "-p", str(folder), "-c", str(file)])
    with running(command, lambda: listens(port), folder=folder) as pid:
        yield Running(port, pid)
