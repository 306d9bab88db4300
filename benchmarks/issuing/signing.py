"""Many signed tokens in little time: PyJWT in several processes, none of which is a server."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import chain
from multiprocessing import get_context
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import get_default_algorithms

CHUNK: Final = 1_000
"""So many tokens are made by a process at once. Fewer than that are made right here."""

Claims = Mapping[str, Any]


@dataclass(frozen=True)
class Signer:
    """A private key, and what it signs. ``pem`` is PKCS #8, so that other processes and other languages can read it."""

    algorithm: str
    pem: bytes

    @classmethod
    def generate(cls, algorithm: str) -> "Signer":
        """A fresh key for ``ES256``, or one of 2048 bits for ``RS256``."""
        private = (
            ec.generate_private_key(ec.SECP256R1())
            if algorithm == "ES256"
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        return cls(algorithm, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    @cached_property
    def _private(self) -> Any:
        return load_pem_private_key(self.pem, None)

    @property
    def kid(self) -> str:
        """How the key is called in headers and key sets."""
        return f"benchmark-{self.algorithm}"

    @cached_property
    def jwk(self) -> dict[str, Any]:
        """The public key (RFC 7517), with its name and what it is for."""
        algorithm = get_default_algorithms()[self.algorithm]
        public: dict[str, Any] = algorithm.to_jwk(self._private.public_key(), as_dict=True)
        public.pop("key_ops", None)
        return {**public, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    @cached_property
    def private_jwk(self) -> dict[str, Any]:
        """The private key, for a server that is to sign with it."""
        private: dict[str, Any] = get_default_algorithms()[self.algorithm].to_jwk(self._private, as_dict=True)
        private.pop("key_ops", None)
        return {**private, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def sign(self, claims: Iterable[Claims], headers: Mapping[str, Any] | None = None) -> list[str]:
        """A token for each set of claims, in whose header the key is named unless it says something else."""
        every, header = list(claims), headers or {"kid": self.kid}
        if len(every) <= CHUNK:
            return _signed(self.algorithm, self._private, header, every)
        chunks = [every[start : start + CHUNK] for start in range(0, len(every), CHUNK)]
        # What is handed over is bytes: keys as objects stay where they are.
        return [*chain.from_iterable(_processes().map(partial(_signed, self.algorithm, self.pem, header), chunks))]


def _signed(algorithm: str, key: Any, header: Mapping[str, Any], claims: Sequence[Claims]) -> list[str]:
    private: Any = load_pem_private_key(key, None) if isinstance(key, bytes) else key
    return [jwt.encode(dict(each), private, algorithm, headers=dict(header)) for each in claims]


@cache
def _processes() -> ProcessPoolExecutor:
    # Fresh processes: a fork would inherit whatever sockets and threads this one happens to have.
    return ProcessPoolExecutor(mp_context=get_context("spawn"))
