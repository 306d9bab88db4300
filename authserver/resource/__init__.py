"""For resource servers: verify the access tokens that requests bring.

    verifier = AccessTokenVerifier(issuer="https://auth.example.com", audience="https://images.example.com")
    token = verifier.verify(value)

Needs the base install only. The adapter for a web framework is a module of its own, such as
:mod:`authserver.resource.flask`.
"""

from authserver.resource.credential import OfferedProof
from authserver.resource.replay import Replay, ReplayMemory
from authserver.resource.token import VerifiedToken
from authserver.resource.verifier import AccessTokenVerifier

__all__ = ["AccessTokenVerifier", "OfferedProof", "Replay", "ReplayMemory", "VerifiedToken"]
