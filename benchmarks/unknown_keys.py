"""How much a flood of tokens with unknown keys slows down callers whose key is known.

Run it with ``python -m benchmarks.unknown_keys``. For an issuer that is up, down, slow or empty it verifies tokens with
a known key while another thread refuses a thousand tokens, over and over: tokens for another audience in one round,
which are refused without looking for a key, and tokens with unknown keys in the next. So the ratio of the two times is
what looking for unknown keys costs the others, beyond what any refused token does. The times themselves are long
because two threads share one interpreter: whoever verifies a signature lets the other one run, for up to 5 ms. It also
counts how often the issuer was asked, against the most that the cool-down allows.
"""

import contextlib
import math
import statistics
import threading
import time
from collections.abc import Callable, Sequence

from authserver.errors import AuthServerError
from authserver.jose.compact import UnverifiedToken, parse
from authserver.jose.discovery import Discovery, openid_metadata_url
from authserver.jose.fetch import Endpoint, Fetcher
from authserver.jose.jwks import RemoteKeySet
from authserver.jose.verify import verify
from authserver.oauth import JWKS_PATH, OPENID_METADATA_PATH
from authserver.testing import FakeIssuer

AUDIENCE = "https://auth.example.com"
COOLDOWN = 1.0
FLOOD = 1000
KNOWN = 200
ROUNDS = 5

FAULTS: dict[str, Callable[[FakeIssuer], None]] = {
    "up": FakeIssuer.up,
    "down": FakeIssuer.down,
    "slow": FakeIssuer.hang,
    "empty": FakeIssuer.publish_nothing,
}


def main() -> None:
    """Measure every state of the issuer and print a line for each."""
    print("issuer   audience flood   unknown flood   ratio   asked   allowed")
    for name, fault in FAULTS.items():
        with FakeIssuer() as issuer:
            measure(name, fault, issuer)


def measure(name: str, fault: Callable[[FakeIssuer], None], issuer: FakeIssuer) -> None:
    """Measure one state of the issuer."""
    discovery = Discovery(
        Fetcher(insecure_allow_http=True), issuer.issuer, Endpoint(openid_metadata_url(issuer.issuer))
    )
    keys = RemoteKeySet(discovery, ("ES256",), clock=time.time, wait=0.2, cooldown=COOLDOWN, failure_cooldown=COOLDOWN)
    known = parse(issuer.identity_token(AUDIENCE))
    unknown = [parse(issuer.token({"aud": AUDIENCE}, header={"kid": f"unknown-{n}"})) for n in range(FLOOD)]
    elsewhere = [parse(issuer.token({"aud": "https://elsewhere.example"})) for _ in range(FLOOD)]
    attempt(known, keys, issuer)
    fault(issuer)
    asked, started = rounds_of_fetching(issuer), time.monotonic()
    ordinary, flooded = [], []
    for _ in range(ROUNDS):
        ordinary.append(known_beside(elsewhere, known, keys, issuer))
        flooded.append(known_beside(unknown, known, keys, issuer))
    asked = rounds_of_fetching(issuer) - asked
    allowed = math.ceil((time.monotonic() - started) / COOLDOWN) + 1
    issuer.up()
    ratio = statistics.median(during / usual for during, usual in zip(flooded, ordinary, strict=True))
    usual, during = statistics.median(ordinary) * 1e6, statistics.median(flooded) * 1e6
    print(f"{name:<7} {usual:>12.0f} us {during:>12.0f} us {ratio:>7.2f} {asked:>7} {allowed:>9}")


def known_beside(
    flood: Sequence[UnverifiedToken], known: UnverifiedToken, keys: RemoteKeySet, issuer: FakeIssuer
) -> float:
    """Seconds that one verification with a known key takes while another thread is busy with ``flood``."""
    stop = threading.Event()

    def pour() -> None:
        while not stop.is_set():
            for token in flood:
                attempt(token, keys, issuer)

    other = threading.Thread(target=pour, daemon=True)
    other.start()
    started = time.perf_counter()
    for _ in range(KNOWN):
        attempt(known, keys, issuer)
    elapsed = time.perf_counter() - started
    stop.set()
    other.join(60)
    return elapsed / KNOWN


def attempt(token: UnverifiedToken, keys: RemoteKeySet, issuer: FakeIssuer) -> None:
    """Verify a token as the server does, whatever comes of it."""
    with contextlib.suppress(AuthServerError):
        verify(
            token,
            keys=keys,
            issuer=issuer.issuer,
            audience=AUDIENCE,
            typ=("jwt",),
            algorithms=("ES256",),
            now=time.time(),
            skew=30,
        )


def rounds_of_fetching(issuer: FakeIssuer) -> int:
    """How often the issuer was asked, by its metadata, or by its keys where it answers no more than that."""
    return max(issuer.requests.count(OPENID_METADATA_PATH), issuer.requests.count(JWKS_PATH))


if __name__ == "__main__":
    main()
