"""For resource servers: verify the access tokens that requests bring.

    verifier = AccessTokenVerifier(issuer="https://auth.example.com", audience="https://images.example.com")
    token = verifier.verify(value)

Needs the base install only. The adapter for a web framework is a module of its own, such as
:mod:`authserver.resource.flask`; how to write another one is told in :mod:`authserver.resource.protection`.
"""

from authserver.resource.credential import OfferedProof
from authserver.resource.introspection import Introspection
from authserver.resource.legacy import AcceptedTokens, LegacyToken
from authserver.resource.refusal import Refusal
from authserver.resource.replay import Replay, ReplayMemory
from authserver.resource.token import VerifiedToken
from authserver.resource.verifier import AccessTokenVerifier

__all__ = [
    "AcceptedTokens",
    "AccessTokenVerifier",
    "Introspection",
    "LegacyToken",
    "OfferedProof",
    "Refusal",
    "Replay",
    "ReplayMemory",
    "VerifiedToken",
]
