"""Demonstrating proof of possession: reading and making DPoP proofs (RFC 9449 section 4).

Everything about a proof that needs no memory is checked here. That it is used only once is the replay memory's to say,
and what its nonce is worth is :class:`authserver.jose.nonce.Nonces`'.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from authserver.errors import CredentialRejected, ProofRejected, Reason
from authserver.jose.compact import UnverifiedToken, base64url_encode, parse
from authserver.jose.imported import ImportedKey, imported
from authserver.jose.jwk import SigningKey, export_public
from authserver.jose.sign import sign_under
from authserver.jose.verify import media_type
from authserver.oauth import DPOP_ALGORITHMS, DPOP_TYP

MAX_ID: Final = 512
"""The longest ``jti`` of a proof, in characters. It is kept only as a hash."""

_DEFAULT_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}
# A host and perhaps a port, without a user. urlsplit would read "[::1].attacker.example" as the host "::1".
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@]+)(?::([0-9]*))?")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")


class Proof(NamedTuple):
    """A proof whose signature, method and address are right. Its time, nonce and single use are still to be checked.

    ``thumbprint`` is of the key that made it (RFC 7638) and ``jwk`` has that key's public members. ``use_id`` stands
    for the proof in a replay memory: a hash over its key and its ``jti``, so that nobody can use up another's.
    """

    thumbprint: str
    jwk: Mapping[str, str]
    use_id: str
    issued_at: float
    nonce: str | None
    claims: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Proof({self.thumbprint!r})"  # its claims are the caller's words


def sole_proof(headers: Sequence[str]) -> str:
    """The one proof of a request, from its ``DPoP`` headers (RFC 9449 section 4.3, check 1).

    A server that joins repeated headers does so with a comma, which no proof has.

    :raises ProofRejected: ``proof_missing`` or ``proof_repeated``.
    """
    if not headers:
        raise ProofRejected(Reason.PROOF_MISSING)
    if len(headers) > 1 or "," in headers[0]:
        raise ProofRejected(Reason.PROOF_REPEATED)
    return headers[0]


def read_proof(unverified_proof: str, *, method: str, url: str) -> Proof:
    """Verify a proof of the key that it carries, for a request with ``method`` to ``url`` (section 4.3, checks 2 to 9).

    The query and the fragment of ``url`` do not matter.

    :raises ProofRejected: with the reason of the first check that failed.
    """
    token = _parsed(unverified_proof)
    _, jwk, name = _verified_key(token)
    claims = token.unverified_claims
    identifier, issued_at = _text(claims, "jti"), _instant(claims, "iat")
    if len(identifier) > MAX_ID:
        raise _malformed("jti")
    if _text(claims, "htm") != method:
        raise ProofRejected(Reason.PROOF_METHOD_WRONG, method=method)
    if not same_address(_text(claims, "htu"), url):
        raise ProofRejected(Reason.PROOF_ADDRESS_WRONG, wanted=url)
    nonce = _text(claims, "nonce") if "nonce" in claims else None
    return Proof(name, jwk, _use_id(name, identifier), issued_at, nonce, claims)


def check_key(proof: Proof, expected: str) -> None:
    """Check that a proof was made with the key whose thumbprint is ``expected`` (section 4.3, check 12).

    :raises ProofRejected: ``proof_key_wrong``.
    """
    if proof.thumbprint != expected:
        raise ProofRejected(Reason.PROOF_KEY_WRONG)


def check_token(proof: Proof, access_token: str) -> None:
    """Check that a proof was made for this access token (section 4.3, check 12).

    :raises ProofRejected: ``proof_token_wrong``.
    """
    if proof.claims.get("ath") != token_hash(access_token):
        raise ProofRejected(Reason.PROOF_TOKEN_WRONG)


def check_time(proof: Proof, *, max_age: int, now: float, skew: int) -> float:
    """Check that a proof was made lately, at most ``max_age`` seconds ago by clocks that differ by ``skew`` seconds.

    Returns when it ends being acceptable, in seconds since the epoch: until then it must be remembered as used.

    :raises ProofRejected: ``proof_time_wrong``.
    """
    if not now - max_age - skew < proof.issued_at <= now + skew:
        raise ProofRejected(Reason.PROOF_TIME_WRONG, iat=proof.issued_at, now=now, max_age=max_age, skew=skew)
    return proof.issued_at + max_age + skew


def token_hash(access_token: str) -> str:
    """The ``ath`` of an access token (section 4.2)."""
    return base64url_encode(hashlib.sha256(access_token.encode("ascii", "replace")).digest())


def make_proof(
    key: SigningKey,
    *,
    method: str,
    url: str,
    identifier: str,
    now: float,
    nonce: str | None = None,
    access_token: str | None = None,
    **more: str,
) -> str:
    """A proof of ``key`` for one request. ``identifier`` becomes its ``jti``; ``more`` are further claims.

    The query and fragment of ``url`` are left out (section 4.2).
    """
    jwk = export_public(key.private.public_key())
    claims: dict[str, Any] = {"jti": identifier, "htm": method, "htu": _bare(url), "iat": int(now)}
    if nonce is not None:
        claims["nonce"] = nonce
    if access_token is not None:
        claims["ath"] = token_hash(access_token)
    return sign_under({"typ": DPOP_TYP, "alg": key.algorithm, "jwk": jwk}, key, {**claims, **more})


def same_address(one: str, other: str) -> bool:
    """Whether two URLs are the same but for query and fragment, after normalization.

    It is that of RFC 3986 sections 6.2.2 and 6.2.3: case, percent-encoding, dot segments and default ports. What is no
    absolute http or https URL is the same as nothing.
    """
    try:
        return _normalized(one) == _normalized(other)
    except ValueError:
        return False


def _parsed(unverified_proof: str) -> UnverifiedToken:
    try:
        return parse(unverified_proof)
    except CredentialRejected as error:
        raise ProofRejected(Reason.PROOF_MALFORMED, because=error.reason.value, **error.facts) from error


def _verified_key(token: UnverifiedToken) -> ImportedKey:
    """The public key in the header, once the signature is known to be by it."""
    header = token.unverified_header
    algorithm, jwk = header.get("alg"), header.get("jwk")
    if "crit" in header or "b64" in header:
        raise _malformed("crit")
    if media_type(header.get("typ")) != DPOP_TYP:
        raise _malformed("typ")
    if not isinstance(algorithm, str) or algorithm not in DPOP_ALGORITHMS:
        raise _malformed("alg")
    if not isinstance(jwk, Mapping):
        raise _malformed("jwk")
    try:
        maker = imported(jwk, algorithm)
    except ValueError as error:
        raise _malformed("jwk") from error
    try:
        maker.key.verify(token.signing_input, token.signature)
    except CredentialRejected as error:
        raise ProofRejected(Reason.PROOF_SIGNATURE_WRONG) from error
    return maker


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise _malformed(name)
    return value


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise _malformed(name)
    return value


def _malformed(part: str) -> ProofRejected:
    return ProofRejected(Reason.PROOF_MALFORMED, part=part)


def _use_id(name: str, identifier: str) -> str:
    return hashlib.sha256(f"{name}.{identifier}".encode("utf-8", "surrogatepass")).hexdigest()


def _bare(url: str) -> str:
    return url.partition("#")[0].partition("?")[0]


@lru_cache(64)  # a proof is nearly always for the one address that it came to, spelled as we spell it
def _normalized(url: str) -> tuple[str, str, int, str]:
    """:raises ValueError: it is no absolute http or https URL."""
    if not url.isascii() or any(character <= " " for character in url):
        raise ValueError("not a URL")  # urlsplit would quietly leave some of these out
    # What is decoded here delimits nothing, so the parts stay the same.
    parts: SplitResult = urlsplit(_ESCAPED.sub(_unescaped, url))
    scheme, authority = parts.scheme.lower(), _AUTHORITY.fullmatch(parts.netloc.lower())
    if scheme not in _DEFAULT_PORTS or authority is None:
        raise ValueError("not a URL that a request can be made to")
    host, port = authority.groups()
    return scheme, host, int(port) if port else _DEFAULT_PORTS[scheme], _without_dots(parts.path)


def _unescaped(escaped: re.Match[str]) -> str:
    character = chr(int(escaped[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escaped[0].upper()


def _without_dots(path: str) -> str:
    """An absolute path without its dot segments (RFC 3986 section 5.2.4); an empty one is that of the root."""
    segments = path.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")  # what remains is a directory
    return "/" + "/".join(kept)
