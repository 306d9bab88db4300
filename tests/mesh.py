"""A SPIFFE trust domain as a source, with one workload that may read images."""

from typing import Final

THUMBNAILER: Final = "spiffe://example.org/ns/media/sa/thumbnailer"

_TOML: Final = """
[sources.mesh]
type = "spiffe"
trust_domain = "example.org"
audience = "https://auth.example.com"
bundle = {bundle}

[[allow]]
name = "mesh-thumbnailer-reads-images"
source = "mesh"
match = {{ path = "/ns/media/sa/thumbnailer" }}
resource = "https://images.example.com"
scope = ["images:read"]
"""


def at(url: str) -> str:
    """The configuration of a trust domain whose bundle is at this address."""
    return _TOML.format(bundle=f'{{ url = "{url}" }}')


def in_file(name: str) -> str:
    """The configuration of a trust domain whose bundle is in this file."""
    return _TOML.format(bundle=f'{{ file = "{name}" }}')
