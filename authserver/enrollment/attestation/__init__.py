"""The formats of attestation that can be read, each in a file of its own: the line to add one is here."""

from collections.abc import Mapping
from typing import Final

from authserver.enrollment.attest import Format

FORMATS: Final[Mapping[str, Format]] = {}
"""Each format by the name that a device gives it. There is none yet, so every attestation is refused."""
