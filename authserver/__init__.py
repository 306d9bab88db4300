"""authserver trades the identity a program already has for a short-lived, scoped token."""

from authserver._version import __version__

__all__ = ["__version__"]
