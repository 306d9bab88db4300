"""The configuration: read, checked as a whole, and frozen."""

from authserver.settings.assemble import Settings, load

__all__ = ["Settings", "load"]
