"""What the operator sees: log lines and audit events with redaction, metrics, and traces.

Logging is importable from here; :mod:`authserver.telemetry.observer` puts the rest together.
"""

from authserver.telemetry.logging import REDACTED, audit_writer, configure_logging, json_formatter

__all__ = ["REDACTED", "audit_writer", "configure_logging", "json_formatter"]
