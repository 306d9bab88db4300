"""A gunicorn with this server's worker class and an application that can stall: a program, for tests of processes.

Its one argument is gunicorn's settings as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from authserver.hosting import crew
from authserver.hosting.worker import Worker


def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    """Answers with the id of the worker; ``/stalled`` once there is a file ``go-on`` in the working directory.

    ``/mistake`` leaves the crew unable to go on.
    """
    if environ["PATH_INFO"] == "/stalled":
        Path("stalled").touch()
        while not Path("go-on").exists():
            time.sleep(0.01)
    if environ["PATH_INFO"] == "/mistake":
        crew.Crew._listen = None  # type: ignore[assignment, method-assign]
    start("200 OK", [])
    return [str(os.getpid()).encode("ascii")]


class Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's application object."""

    def load_config(self) -> None:
        for name, value in json.loads(sys.argv[1]).items():
            self.cfg.set(name, value)
        self.cfg.set("worker_class", Worker)

    def load(self) -> Callable[..., Iterable[bytes]]:
        return application


if __name__ == "__main__":
    Application().run()
