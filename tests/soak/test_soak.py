"""A server under load for minutes: nothing refused wrongly, nothing that grows, nobody who waits longer and longer.

``make soak`` takes two minutes; ``make soak SOAK_SECONDS=3600`` an hour.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from authserver.settings import load
from authserver.store.sqlite import SqliteStore
from authserver.testing import FakeIssuer
from benchmarks.devices import Phone
from tests.served import Server, free_port, serving
from tests.soak import traffic
from tests.soak.traffic import CALLERS, EXPECTED, Callers, median

SECONDS: Final = float(os.environ.get("SOAK_SECONDS", "120"))

pytestmark = [pytest.mark.soak, pytest.mark.timeout(SECONDS + 300)]

OF_CAPACITY: Final = 0.8
FINDING_OUT: Final = 10.0
"""Seconds to find out how much the server and its callers can do."""

MORE_MEMORY: Final = 1.05
"""How much more memory may be in use in the last quarter than in the second."""

PAGES_OF_CACHES: Final = 3_000_000
"""Bytes by which caches that have a bound may still fill."""

THREADS: Final = 8
FILES_OF_A_STORE: Final = 2
"""What a connection to the store has open: the file and its log."""

MORE: Final = """
[sources.phones]
type = "device"

[[allow]]
name = "phones-read-images"
source = "phones"
match = {{ owner = {{ glob = "person-*" }} }}
resource = "https://images.example.com"
scope = ["images:read"]

[[allow]]
name = "thumbnailer-asks"
source = "cluster"
match = {{ namespace = "media", service_account = "thumbnailer" }}
resource = "{issuer}"
scope = ["introspect:images"]
"""


@dataclass
class Sample:
    """What the processes of a server had at one moment."""

    memory: int
    descriptors: int
    threads: int


@dataclass
class Watch:
    """Looks at a server every half a second."""

    server: Server
    samples: list[Sample] = field(default_factory=list)

    def look(self) -> Sample:
        """What its processes have now."""
        assert self.server.process is not None
        found = Sample(0, 0, 0)
        for pid in (self.server.process.pid, *self.server.workers()):
            process = Path(f"/proc/{pid}")
            found.memory += int((process / "statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
            found.descriptors += len(list((process / "fd").iterdir()))
            found.threads += len(list((process / "task").iterdir()))
        return found

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Look again and again until the end."""
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.5):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a worker was just replaced
                    self.samples.append(self.look())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def quarter(self, number: int) -> list[Sample]:
        """The samples of a quarter of the time; the first is 1."""
        length = len(self.samples) // 4
        return self.samples[(number - 1) * length : number * length]


def test_minutes_at_four_fifths_of_what_it_can_do_change_nothing(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    phone = Phone(url)
    with (
        FakeIssuer() as cluster,
        serving(tmp_path, cluster=cluster.issuer, port=port, more=MORE.format(issuer=url)) as server,
    ):
        store = SqliteStore(load(server.configuration).store_path, create=False)
        store.enroll(phone.device, code_hash=None, max_per_owner=5, now=phone.device.created_at)
        store.close()
        callers, watch = Callers(url, cluster, phone), Watch(server)
        flat_out = traffic.run(callers, f"127.0.0.1:{port}", FINDING_OUT)
        assert flat_out.unexpected == {}
        before = watch.look()
        with watch.looking():
            soaked = traffic.run(callers, f"127.0.0.1:{port}", SECONDS, rate=OF_CAPACITY * flat_out.rate)
        after = watch.look()
    report(flat_out, soaked, watch)
    assert soaked.unexpected == {}
    assert {kind for kind, _ in soaked.answers} == EXPECTED.keys()
    assert soaked.rate > OF_CAPACITY * flat_out.rate / 2  # or it was no load
    second, last = (median([each.memory for each in watch.quarter(number)]) for number in (2, 4))
    assert last <= second * MORE_MEMORY + PAGES_OF_CACHES
    # Connections of callers come and go with them, and threads that need the store at the same moment have a connection
    # to it each; everything else has to be what it was.
    assert after.descriptors <= before.descriptors + CALLERS + THREADS * FILES_OF_A_STORE
    assert after.threads <= before.threads + CALLERS
    assert soaked.p99(0.5, 1.0) <= 3 * soaked.p99(0.0, 0.5) + 0.05


def report(flat_out: traffic.Outcome, soaked: traffic.Outcome, watch: Watch) -> None:
    """Print what was seen, for who runs it with ``-s``."""
    memory = [median([each.memory for each in watch.quarter(number)]) / 1e6 for number in (1, 2, 3, 4)]
    print(f"\n{flat_out.rate:.0f} answers a second flat out; {soaked.rate:.0f} for {soaked.seconds:.0f} s")
    print("answers:", dict(sorted(soaked.answers.items())))
    print("memory by quarter, MB:", [f"{each:.1f}" for each in memory])
    print("p99 by half, ms:", [f"{soaked.p99(half, half + 0.5) * 1000:.1f}" for half in (0.0, 0.5)])
