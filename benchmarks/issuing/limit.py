"""What no server can beat: the two signatures of one token, by ``cryptography`` alone.

``python -m benchmarks.issuing.limit ES256 3`` verifies and signs for three seconds and says how often, as JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from benchmarks.processes import cores, on

MESSAGE: Final = bytes(600)
"""As long as what is signed of an identity token."""

_ECDSA: Final = ec.ECDSA(SHA256())


@dataclass(frozen=True, slots=True)
class Limit:
    """What was found. ``worked`` is seconds of processor time for a token."""

    rate: float
    worked: float


def measure(algorithm: str, seconds: int) -> Limit:
    """Verify ``ES256`` or ``RS256`` and sign ES256, over and over, in a process of its own on the server's core."""
    command = [sys.executable, "-m", __name__, algorithm, str(seconds)]
    done = subprocess.run(on([cores()[0]], command), capture_output=True, text=True, check=True)
    return Limit(**json.loads(done.stdout))


def _verification(algorithm: str) -> Callable[[], None]:
    if algorithm == "RS256":
        rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        signature, rsa_public = rsa_key.sign(MESSAGE, padding.PKCS1v15(), SHA256()), rsa_key.public_key()
        return lambda: rsa_public.verify(signature, MESSAGE, padding.PKCS1v15(), SHA256())
    key = ec.generate_private_key(ec.SECP256R1())
    ec_signature, public = key.sign(MESSAGE, _ECDSA), key.public_key()
    return lambda: public.verify(ec_signature, MESSAGE, _ECDSA)


def _main(algorithm: str, seconds: float) -> None:
    verify, key = _verification(algorithm), ec.generate_private_key(ec.SECP256R1())
    count, started, worked = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        for _ in range(100):
            verify()
            key.sign(MESSAGE, _ECDSA)
        count += 100
    took, worked = time.perf_counter() - started, time.process_time() - worked
    print(json.dumps({"rate": count / took, "worked": worked / count}))


if __name__ == "__main__":
    _main(sys.argv[1], float(sys.argv[2]))
