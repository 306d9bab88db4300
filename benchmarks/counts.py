"""What one token and one verification call: counts that depend on no machine, no load and no clock.

``python -m benchmarks.counts`` counts, and compares with ``benchmarks/counts.json``; with ``--write`` it writes that
file anew, which is what to do after a change that is meant. A test in ``tests/performance`` compares, too.

What is counted is every call of a function, in Python or in C, by the thread that answers, once everything is warm. How
long a call takes it does not say; the other benchmarks do. Instructions were tried and left: those of the processor
(``valgrind --tool=callgrind``) are others with another build of Python or OpenSSL and on another processor, and
bytecodes differ by a fifth between two versions of Python. Calls are the same to the last one in every run, whatever
the hash seed, and within one per cent from Python 3.11 to 3.13.
"""

import gc
import io
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import FrameType
from typing import Any, Final
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults

from authserver.hosting.doorway import Doorway
from authserver.oauth import TOKEN_PATH
from authserver.resource import AccessTokenVerifier
from authserver.server import Service, build, prepare
from authserver.settings import load
from authserver.testing import FakeIssuer, FrozenClock
from benchmarks import devices
from benchmarks.measure import MORE, exchange

BASELINE: Final = Path(__file__).with_suffix(".json")
WARM_UP: Final = 20
ROUNDS: Final = 5

PYTHONS: Final = ("3.11", "3.12", "3.13")
"""Where the counts were seen to agree."""

TOLERANCE: Final = 0.02
"""The share by which the calls of a workload may grow or shrink before the baseline must be written anew."""

SHOWN: Final = 12
"""How many functions a difference names, those that differ most."""

OPERATIONS: Final[Mapping[str, frozenset[str]]] = {
    "JSON texts read": frozenset({"json.decoder:JSONDecoder.raw_decode"}),
    "JSON texts written": frozenset(
        {"authserver.jose.compact:json_writer.<locals>.write", "json.encoder:JSONEncoder.iterencode"}
    ),
    "base64 texts read and written": frozenset({"binascii.a2b_base64()", "binascii.b2a_base64()"}),
    "log calls": frozenset({"logging:Logger.isEnabledFor", "logging:Logger.handle"}),
    "signatures made": frozenset({"ECPrivateKey.sign()", "RSAPrivateKey.sign()", "Ed25519PrivateKey.sign()"}),
    "signatures checked": frozenset({"ECPublicKey.verify()", "RSAPublicKey.verify()", "Ed25519PublicKey.verify()"}),
    "hashes": frozenset({"_hashlib.openssl_sha256()", "_hashlib.new()"}),
    "random numbers": frozenset({"posix.urandom()"}),
    "statements of SQL": frozenset({"_Connection.execute()", "Cursor.execute()"}),
    "writes": frozenset({"FileIO.write()", "posix.write()"}),
}
"""What is dear, or must not be done twice, by the functions that do it. Of these not one more or less is let pass."""

Calls = Mapping[str, int]
"""How often each function was called, by its module and name; that of a function in C ends with ``()``."""

Act = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted: for each workload its calls; and the versions of the libraries that were called."""

    libraries: Mapping[str, str]
    workloads: Mapping[str, Calls]


def main(arguments: Sequence[str]) -> int:
    """Count, and then print, write or compare; the exit code."""
    found = measured()
    if "--json" in arguments:
        print(as_json(found))
        return 0
    if "--write" in arguments:
        BASELINE.write_text(as_json(found), encoding="utf-8")
        return 0
    for name, calls in found.workloads.items():
        print(f"{name}: {total(calls)} calls")
    differing = differences(baseline(), found)
    print("\n\n".join(differing) or "as in the baseline")
    return 1 if differing else 0


def baseline() -> Counts:
    """What was written last."""
    return from_json(BASELINE.read_text(encoding="utf-8"))


def as_json(counts: Counts) -> str:
    """Counts as they are kept, a function a line."""
    return json.dumps(asdict(counts), indent=1, sort_keys=True) + "\n"


def from_json(text: str) -> Counts:
    """Counts as they were kept."""
    return Counts(**json.loads(text))


def total(calls: Calls) -> int:
    """How many calls there were."""
    return sum(calls.values())


def operations(calls: Calls) -> dict[str, int]:
    """How often each of :data:`OPERATIONS` was done."""
    return {name: sum(calls.get(function, 0) for function in doers) for name, doers in OPERATIONS.items()}


def differences(expected: Counts, found: Counts) -> list[str]:
    """What differs by more than it may, each workload with the functions that make the difference."""
    names = sorted(expected.workloads.keys() | found.workloads.keys())
    each = (differs(name, expected.workloads.get(name, {}), found.workloads.get(name, {})) for name in names)
    return [text for text in each if text]


def differs(name: str, before: Calls, now: Calls) -> str:
    """What one workload does more or less often than it did, or nothing."""
    was, does = operations(before), operations(now)
    lines = [
        f"{operation}: {was[operation]} -> {does[operation]}" for operation in was if was[operation] != does[operation]
    ]
    if abs(total(now) - total(before)) > max(1, TOLERANCE * total(before)):
        lines.append(f"calls: {total(before)} -> {total(now)}, more than {TOLERANCE:.0%} apart")
    if not lines:
        return ""
    by = {function: now.get(function, 0) - before.get(function, 0) for function in before.keys() | now.keys()}
    most = sorted((function for function in by if by[function]), key=lambda function: (-abs(by[function]), function))
    lines += [f"  {by[function]:+d} {function}" for function in most[:SHOWN]]
    return "\n".join([f"{name}:", *lines])


def measured() -> Counts:
    """The calls of every workload."""
    with workloads() as makers:
        found = {name: dict(least(make)) for name, make in makers.items()}
    return Counts(libraries(found), found)


def least(make: Callable[[], Act]) -> Counter[str]:
    """The calls of one act, once everything is warm; of some rounds the one with the fewest."""
    for _ in range(WARM_UP):
        make()()
    return min((counted(make()) for _ in range(ROUNDS)), key=Counter.total)


def counted(act: Act) -> Counter[str]:
    """The calls of ``act`` in this thread."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, function: Any) -> None:
        if frame.f_code.co_filename == __file__:
            return
        if event == "call":
            calls[f"{frame.f_globals.get('__name__', '')}:{frame.f_code.co_qualname}"] += 1
        elif event == "c_call":
            module = getattr(function, "__module__", None)
            calls[f"{module}.{function.__qualname__}()" if module else f"{function.__qualname__}()"] += 1

    gc.collect()
    gc.disable()  # a collection would run finalizers in the midst of it
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
        gc.enable()
    # Python 3.12 and later run comprehensions in line.
    return Counter({name: count for name, count in calls.items() if not name.endswith("comp>")})


def libraries(found: Mapping[str, Calls]) -> dict[str, str]:
    """The libraries of others that were called, with their versions."""
    modules = {name.partition(":")[0].partition(".")[0] for calls in found.values() for name in calls}
    distributions = packages_distributions()
    used = {distribution for module in modules for distribution in distributions.get(module, ())} - {"authserver"}
    return {distribution.lower(): version(distribution) for distribution in sorted(used)}


@contextmanager
def workloads() -> Iterator[dict[str, Callable[[], Act]]]:
    """What is counted, by name: each makes a fresh act, ready to be counted."""
    clock = FrozenClock(time.time())  # near the real time, which is in a phone's proofs
    phone = devices.Phone()
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeIssuer(clock=clock) as cluster,
        served(Path(folder), cluster, clock, phone) as service,
    ):
        token = cluster.access_token(devices.RESOURCE, "images:read")
        verifier = AccessTokenVerifier(issuer=cluster.issuer, audience=devices.RESOURCE, clock=clock)
        app = Doorway(service)

        def workload() -> Act:
            identity = cluster.kubernetes_token("media", "thumbnailer", devices.ISSUER)
            return asking(app, exchange(identity).encode("ascii"))

        def device() -> Act:
            request = phone.request()
            return asking(app, request["data"], HTTP_DPOP=request["headers"]["DPoP"])

        def first() -> Act:
            fresh = cluster.access_token(devices.RESOURCE, "images:read")
            return lambda: verifier.verify(fresh)

        yield {
            "workload exchange": workload,
            "device token": device,
            "first verification": first,
            "further verification": lambda: lambda: verifier.verify(token),
        }


@contextmanager
def served(folder: Path, cluster: FakeIssuer, clock: FrozenClock, phone: devices.Phone) -> Iterator[Service]:
    """A server as a user configures it, with one rule for each kind of caller, and one phone in the store."""
    file = folder / "authserver.toml"
    server = "[server]\ninsecure_allow_http = true"
    text = devices.CONFIGURATION.replace("[server]", server) + MORE.format(cluster=cluster.issuer)
    file.write_text(text, encoding="utf-8")
    settings = load(file)
    master_keys = prepare(settings, clock=clock)
    devices.fill(settings, 1, phone)
    with (folder / "audit.log").open("wb", buffering=0) as audit:
        service = build(settings, master_keys=master_keys, clock=clock, audit_stream=audit)
        try:
            yield service
        finally:
            service.close()


def asking(app: WSGIApplication, form: bytes, **more: str) -> Act:
    """A request for a token, made ready; to be called once. It ends the benchmark if it is refused."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": TOKEN_PATH,
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(form)),
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(form),
        **more,
    }
    setup_testing_defaults(environ)
    said: list[str] = []

    def started(status: str, *_: object) -> Callable[[bytes], object]:
        said.append(status)
        return lambda _: None

    def act() -> None:
        answer = app(environ, started)
        body = b"".join(answer)
        if close := getattr(answer, "close", None):
            close()
        if said != ["200 OK"]:
            raise SystemExit(f"no token: {body.decode()}")

    return act


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
