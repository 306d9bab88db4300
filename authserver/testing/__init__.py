"""For the tests of those who use this package, and for our own: an issuer, a device, a clock, and hostile tokens.

Needs the base install only. Everything here serves real HTTP on loopback with real keys; nothing is mocked. With pytest
there are fixtures too: see :mod:`authserver.testing.plugin`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from authserver.testing.clock import FrozenClock
    from authserver.testing.device import FakeDevice
    from authserver.testing.hostile import Hostile, hostile_tokens
    from authserver.testing.issuer import FakeIssuer

__all__ = ["FakeDevice", "FakeIssuer", "FrozenClock", "Hostile", "hostile_tokens"]

_MODULES = {
    "FakeDevice": "device",
    "FakeIssuer": "issuer",
    "FrozenClock": "clock",
    "Hostile": "hostile",
    "hostile_tokens": "hostile",
}


def __getattr__(name: str) -> Any:
    # PEP 562. Every run of pytest where this package is installed imports the plugin, and with it this module: whoever
    # uses no fixture of ours must not wait for cryptography.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
