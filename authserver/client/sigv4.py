"""AWS Signature Version 4, in the headers of a request.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import posixpath
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNRESERVED: Final = "-_.~"


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """An access key of AWS. ``session_token`` comes with those that are temporary."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request. ``path`` and ``query`` are as they are sent; ``headers`` are all that shall be signed."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one service in one region. Every service but S3 wants ``normalizes``: dots and empty segments go."""

    credentials: AwsCredentials = field(repr=False)
    region: str
    service: str
    normalizes: bool = True

    def sign(self, request: Unsigned, now: float) -> list[tuple[str, str]]:
        """The headers of ``request`` with those that sign it, at ``now``, in seconds since the epoch."""
        instant = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        token = self.credentials.session_token
        headers = [
            *request.headers,
            ("x-amz-date", instant),
            *([("x-amz-security-token", token)] if token is not None else []),
        ]
        names, canonical = canonical_request(request, headers, normalized=self.normalizes)
        scope = f"{instant[:8]}/{self.region}/{self.service}/aws4_request"
        signature = _mac(self._key(instant[:8]), string_to_sign(canonical, instant, scope)).hex()
        credential = f"{self.credentials.access_key_id}/{scope}"
        authorization = f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        return [*headers, ("authorization", authorization)]

    def _key(self, day: str) -> bytes:
        key = f"AWS4{self.credentials.secret_access_key}".encode()
        for part in (day, self.region, self.service, "aws4_request"):
            key = _mac(key, part)
        return key


def canonical_request(request: Unsigned, headers: Sequence[tuple[str, str]], *, normalized: bool) -> tuple[str, str]:
    """The names of the headers that are signed, and what is signed of a request with these headers."""
    merged: dict[str, list[str]] = {}
    for name, value in headers:
        merged.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = ";".join(sorted(merged))
    lines = (
        request.method,
        quote(_normalized(request.path) if normalized else request.path, safe="/" + _UNRESERVED),
        _canonical_query(request.query),
        *(f"{name}:{','.join(merged[name])}" for name in sorted(merged)),
        "",
        names,
        hashlib.sha256(request.body).hexdigest(),
    )
    return names, "\n".join(lines)


def string_to_sign(canonical: str, instant: str, scope: str) -> str:
    """What the signature is made over."""
    return "\n".join((_ALGORITHM, instant, scope, hashlib.sha256(canonical.encode()).hexdigest()))


def _normalized(path: str) -> str:
    # posixpath leaves two slashes at the beginning alone, and takes the one at the end away.
    normal = "/" + posixpath.normpath(path).lstrip("/")
    return normal + "/" if path.endswith("/") and normal != "/" else normal


def _canonical_query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(text: str) -> str:
    return quote(unquote(text), safe=_UNRESERVED)


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
