"""A process that counts in a shared directory, as a worker does: ``python -m tests.telemetry.shared_worker <how>``.

It counts one failure of the task ``ring``, says under which slot, and then waits to be told to end.
"""

import os
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from authserver.errors import Reason
from authserver.telemetry import shared
from authserver.telemetry.metrics import Metrics


def main(how: str) -> None:
    """Count; with ``fork``, count once more in a child."""
    slot = shared.count_in(Path(os.environ[shared.DIRECTORY]), sources=1)
    metrics = Metrics(CollectorRegistry(), sources=(), token_route="/token")
    metrics.background_failed("ring", Reason.STORE_UNAVAILABLE)
    if how == "fork" and os.fork() == 0:
        metrics.background_failed("ring", Reason.STORE_UNAVAILABLE)
        os.write(1, f"child {slot.number()}\n".encode())
        os._exit(0)
    if how == "fork":
        os.wait()
    print(slot.number(), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
