"""The rule that no token, assertion or key ever appears in output, for every test of the suite.

Whatever looks like a compact JWS or a private key is a leak; so is anything that a test says it handled.
"""

import re

_PATTERN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----")

_handled: set[str] = set()


def handled(secret: str) -> str:
    """Remember a secret that this process handled; the secret itself."""
    if len(secret) >= 16:
        _handled.add(secret)
    return secret


def find(output: str) -> str | None:
    """What leaked into ``output``, described without repeating it; None when nothing did."""
    if match := _PATTERN.search(output):
        return f"something like a token or a private key ({len(match[0])} characters at {match.start()})"
    leaked = next((secret for secret in _handled.copy() if secret in output), None)
    return f"a secret of {len(leaked)} characters that a test handled" if leaked else None


def forget() -> None:
    """Start over, between tests."""
    _handled.clear()
