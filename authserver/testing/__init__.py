"""For the tests of those who use this package, and for our own: an issuer, a clock, and hostile tokens.

Needs the base install only. Everything here serves real HTTP on loopback with real keys; nothing is mocked.
"""

from authserver.testing.clock import FrozenClock
from authserver.testing.hostile import Hostile, hostile_tokens
from authserver.testing.issuer import FakeIssuer

__all__ = ["FakeIssuer", "FrozenClock", "Hostile", "hostile_tokens"]
