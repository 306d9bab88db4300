"""The load generator: wrk, with a script of ours that sends requests from a file and tells what it counted as JSON."""

import json
import resource
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import LOOPBACK, on

CONNECTIONS: Final = 8

SCRIPT: Final = """
local requests, next = {}, 0
local file = assert(io.open("%(pool)s", "rb"))
while true do
  local size = file:read("*n")
  if not size then break end
  file:read(1)
  requests[#requests + 1] = file:read(size)
end
file:close()

function request()
  next = next %% #requests + 1
  return requests[next]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %%d, "microseconds": %%d, "refused": %%d, "broken": %%d, "p50": %%d, "p90": %%d, "p99": %%d}\\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99)))
end
"""
"""The file has the length of each request, a line feed, and the request as it goes over the wire."""

WAITING: Final = """
math.randomseed(1)
function delay()
  return math.floor(0.5 - %(wait)f * math.log(1 - math.random()))
end
"""
"""Each connection waits before its next request: a time in milliseconds from the exponential distribution."""


@dataclass(frozen=True, slots=True)
class Fired:
    """What wrk counted in so many seconds. Latencies are seconds; ``busy`` is the share of its core that it took."""

    requests: int
    seconds: float
    p50: float
    p90: float
    p99: float
    busy: float

    @property
    def rate(self) -> float:
        """Requests that were answered in a second."""
        return self.requests / self.seconds


class WrongAnswers(Exception):
    """Some requests were refused, or not answered."""


def write_pool(file: Path, requests: Sequence[bytes]) -> None:
    """Requests for :func:`fire`, into a file."""
    with file.open("wb") as pool:
        for request in requests:
            pool.write(b"%d\n%b" % (len(request), request))


def fire(
    port: int,
    pool: Path,
    seconds: float,
    *,
    core_list: Sequence[int],
    connections: int = CONNECTIONS,
    wait: float = 0,
) -> Fired:
    """Send the requests of a file, one after the other and over again, on connections that are kept alive.

    ``wait`` is how many milliseconds a connection waits on average between an answer and its next request, which is
    not part of a latency.

    :raises WrongAnswers: an answer had a status of 400 or more, or there was none.
    """
    script = pool.with_suffix(".lua")
    script.write_text((SCRIPT + (WAITING if wait else "")) % {"pool": pool, "wait": wait}, encoding="ascii")
    options = ["-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", str(script)]
    before = _worked()
    done = subprocess.run(
        on(core_list, ["wrk", *options, f"http://{LOOPBACK}:{port}/"]), capture_output=True, text=True, check=True
    )
    return read(done.stdout, _worked() - before)


def read(output: str, worked: float) -> Fired:
    """What wrk says, of which the last line is the script's. ``worked`` is the processor time that it had, in seconds.

    :raises WrongAnswers: not every answer was good, or there was none at all.
    """
    said = json.loads(output.strip().rpartition("\n")[2])
    if said["refused"] or said["broken"] or not said["requests"]:
        raise WrongAnswers(f"of {said['requests']} requests {said['refused']} were refused and {said['broken']} broke")
    seconds = said["microseconds"] / 1e6
    latencies = {name: said[name] / 1e6 for name in ("p50", "p90", "p99")}
    return Fired(said["requests"], seconds, busy=worked / seconds, **latencies)


def _worked() -> float:
    """Processor time of every child that has ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
