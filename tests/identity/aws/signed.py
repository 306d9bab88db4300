"""Signed requests in the form that Google's client libraries send, good ones and others."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from authserver.client.sigv4 import AwsCredentials, Signer, Unsigned
from tests.identity.aws.sts import KEY

AUDIENCE = "https://auth.example.com"
HOST = "sts.eu-central-1.amazonaws.com"
QUERY = "Action=GetCallerIdentity&Version=2011-06-15"
NAME = "x-goog-cloud-target-resource"

Pairs = list[tuple[str, str]]


def sign(
    now: float,
    *,
    host: str = HOST,
    audience: str = AUDIENCE,
    unsigned: Sequence[str] = (),
    more: Sequence[tuple[str, str]] = (),
    method: str = "POST",
    path: str = "/",
    query: str = QUERY,
    body: bytes = b"",
    key: AwsCredentials = KEY,
    region: str = "eu-central-1",
) -> dict[str, Any]:
    """A request that is signed as it says. The headers named in ``unsigned`` are there and not covered."""
    own: Pairs = [("host", host), (NAME, audience), *more]
    covered = [each for each in own if each[0] not in unsigned]
    signed = Signer(key, region, "sts").sign(Unsigned(method, path, query, covered, body), now)
    headers = [*signed, *(each for each in own if each[0] in unsigned)]
    return {
        "url": f"https://{host}{path}?{query}",
        "method": method,
        "headers": [{"key": name, "value": value} for name, value in headers],
    }


def token(document: Any, encode: Callable[[str], str] = quote) -> str:
    """The document as a subject token."""
    return encode(document if isinstance(document, str) else json.dumps(document, separators=(",", ":")))


def with_headers(document: Mapping[str, Any], change: Callable[[Pairs], Pairs]) -> dict[str, Any]:
    """The same request with other headers, after it was signed."""
    pairs = [(each["key"], each["value"]) for each in document["headers"]]
    return {**document, "headers": [{"key": name, "value": value} for name, value in change(pairs)]}


def replaced(document: Mapping[str, Any], name: str, change: Callable[[str], str]) -> dict[str, Any]:
    """The same request with another value in one header, after it was signed."""
    return with_headers(document, lambda pairs: [(n, change(v) if n == name else v) for n, v in pairs])
