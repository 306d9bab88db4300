"""A catalogue of tokens that no verifier may accept.

Each is one deviation from a token that would be accepted, so a refusal shows that exactly this is checked.
Give the claims of such a token, and see that your verifier refuses everything that comes back:

    for hostile in hostile_tokens(issuer, claims, now=clock(), typ="at+jwt"):
        response = client.get("/images", headers={"Authorization": f"Bearer {hostile.token}"})
        assert response.status_code in (400, 401), hostile.name

The groups, in this order: serialization, algorithm, key, header, type, issuer and audience, times, payload,
signature. Every token is signed by the issuer's own key unless the row is about the signature or the key.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authserver.jose.compact import MAX_BYTES, MAX_DEPTH, base64url_decode, base64url_encode
from authserver.jose.jwk import SigningKey, export_public, generate
from authserver.testing.issuer import FakeIssuer
from authserver.testing.splice import as_json, splice, unsigned, without_nones

_YEARS: Final = 365 * 86400
_WRONG_TYPES: Final[Mapping[str, Sequence[str | None]]] = {"at+jwt": ("JWT", "dpop+jwt", "at+jwt2", "", None)}
_WRONG_IDENTITY_TYPES: Final = ("at+jwt", "dpop+jwt", "JWT2", "")


@dataclass(frozen=True, slots=True)
class Hostile:
    """One hostile token; ``name`` says what is wrong with it, in words that suit a test's identifier."""

    name: str
    token: str = field(repr=False)

    @property
    def fits_a_header(self) -> bool:
        """Whether HTTP can carry it after ``Bearer`` unchanged (RFC 9110 section 5.5)."""
        return self.token.strip() == self.token != "" and self.token.isascii() and self.token.isprintable()


@dataclass(frozen=True, slots=True)
class _Model:
    """The good token that every hostile one deviates from."""

    key: SigningKey
    other: SigningKey
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    now: float

    def with_header(self, **members: Any) -> str:
        return splice(without_nones({**self.header, **members}), self.claims, self.key)

    def with_claims(self, **members: Any) -> str:
        return splice(self.header, without_nones({**self.claims, **members}), self.key)

    def with_raw(self, name: str, json_text: str) -> str:
        """One claim is written as this text, whether or not that is JSON."""
        rest = as_json(without_nones({**self.claims, name: None})).decode("utf-8")
        return splice(self.header, f'{{"{name}":{json_text},{rest[1:]}'.encode(), self.key)

    def with_payload(self, payload: bytes) -> str:
        return splice(self.header, payload, self.key)

    def good(self) -> str:
        return splice(self.header, self.claims, self.key)


def hostile_tokens(
    issuer: FakeIssuer,
    claims: Mapping[str, Any],
    *,
    now: float,
    typ: str = "JWT",
    required: Sequence[str] = ("iss", "aud", "exp"),
    wrong_types: Sequence[str | None] | None = None,
) -> Iterator[Hostile]:
    """Every hostile variation of a token that ``issuer`` would sign over ``claims`` with header ``typ``.

    With ``claims``, ``aud`` among them, :meth:`FakeIssuer.token` must make a token that your verifier accepts.
    ``now`` is in seconds since the epoch. ``required`` are the claims whose absence must be refused.
    ``wrong_types`` are the values of ``typ`` that must be refused, None for an absent one; the default suits
    access tokens for ``typ="at+jwt"`` and identity tokens otherwise.
    """
    key = issuer.key
    other = SigningKey(key.kid, key.algorithm, generate(key.algorithm))
    header = {"typ": typ, "alg": key.algorithm, "kid": key.kid}
    model = _Model(key, other, header, {**issuer.default_claims(now), **claims}, now)
    if wrong_types is None:
        wrong_types = _WRONG_TYPES.get(typ.lower(), _WRONG_IDENTITY_TYPES)
    types = {wrong or ("empty" if wrong == "" else "absent"): wrong for wrong in wrong_types}
    rows = {
        **_serializations(model),
        **_algorithms(model),
        **_keys(model),
        **_headers(model),
        **{f"typ-{name}": model.with_header(typ=wrong) for name, wrong in types.items()},
        **{f"{claim}-absent": model.with_claims(**{claim: None}) for claim in required},
        **_parties(model),
        **_times(model),
        **_payloads(model),
        **_signatures(model),
    }
    return (Hostile(name, token) for name, token in rows.items())


def _serializations(model: _Model) -> dict[str, str]:
    """Things that are not the one spelling of a compact JWS (RFC 7515 sections 2 and 3.1)."""
    good = model.good()
    header, payload, signature = good.split(".")
    return {
        "empty": "",
        "one-dot": f"{header}.{payload}",
        "four-dots": f"{header}.{payload}.{signature}.{payload}.{signature}",
        "encrypted": f"{base64url_encode(as_json({'alg': 'dir', 'enc': 'A256GCM'}))}..{payload}.{payload}.{signature}",
        "space-before": f" {good}",
        "newline-after": f"{good}\n",
        "space-within": f"{header}. {payload}.{signature}",
        "padding": f"{header}.{payload}.{signature}{'=' * (-len(signature) % 4 or 4)}",
        "another-alphabet": f"{header}.{payload}.{signature[:-2]}+/",
        "not-ascii": f"{header}.{payload}.{signature[:-1]}\u00e9",
        "stray-bits": f"{header}.{payload}.{_with_stray_bits(signature)}",
        "flattened-json": as_json({"protected": header, "payload": payload, "signature": signature}).decode(),
        "general-json": as_json(
            {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
        ).decode(),
        "oversize": model.with_claims(padding="x" * MAX_BYTES),
    }


def _algorithms(model: _Model) -> dict[str, str]:
    """RFC 8725 sections 3.1 and 3.2: none, a symmetric one, and one that belongs to another key."""
    symmetric = unsigned({**model.header, "alg": "HS256"}, model.claims)
    pem = model.key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.digest(pem, symmetric.encode("ascii"), hashlib.sha256)
    nothing = {name: unsigned({**model.header, "alg": name}, model.claims) for name in ("none", "None", "nOnE")}
    another = "RS256" if model.key.algorithm != "RS256" else "ES256"
    return {
        **{f"alg-{name}": f"{signing_input}." for name, signing_input in nothing.items()},
        "alg-none-with-signature": model.with_header(alg="none"),
        "alg-hs256-with-the-public-key": f"{symmetric}.{base64url_encode(mac)}",
        "alg-of-another-key": model.with_header(alg=another),
        "alg-unlisted": model.with_header(alg="PS512"),
        "alg-unknown": model.with_header(alg="XX256"),
        "alg-lower-case": model.with_header(alg=model.key.algorithm.lower()),
        "alg-absent": model.with_header(alg=None),
        "alg-not-a-string": model.with_header(alg=[model.key.algorithm]),
    }


def _keys(model: _Model) -> dict[str, str]:
    """A ``kid`` that names no key of the issuer, or is meant for something other than a look-up."""
    attacker = replace(model, key=model.other)
    return {
        "kid-absent": model.with_header(kid=None),
        "kid-empty": model.with_header(kid=""),
        "kid-unknown": model.with_header(kid="unknown"),
        "kid-not-a-string": model.with_header(kid=[model.key.kid]),
        "kid-of-10-kilobytes": model.with_header(kid="k" * 10240),
        "kid-is-a-path": model.with_header(kid="../../etc/passwd"),
        "kid-is-sql": model.with_header(kid="' OR 1=1"),
        "kid-with-a-line-break": model.with_header(kid="a\r\nSet-Cookie: a=b"),
        "kid-of-another-key": attacker.good(),
    }


def _headers(model: _Model) -> dict[str, str]:
    """Keys that a token brings along (RFC 8725 section 3.10), and extensions (RFC 7515 section 4.1.11)."""
    attacker = replace(model, key=model.other)
    jwk = export_public(model.other.private.public_key(), kid="attacker", algorithm=model.other.algorithm)
    certificate = ["MIIBszCCAVmgAwIBAgIUattackers"]
    return {
        "jwk-of-the-attacker": attacker.with_header(kid="attacker", jwk=jwk),
        "jwk-of-the-attacker-without-kid": attacker.with_header(kid=None, jwk=jwk),
        "jku-of-the-attacker": attacker.with_header(kid="attacker", jku="https://attacker.example/jwks.json"),
        "x5u-of-the-attacker": attacker.with_header(kid="attacker", x5u="https://attacker.example/chain.pem"),
        "x5c-of-the-attacker": attacker.with_header(kid="attacker", x5c=certificate),
        "crit-unknown": model.with_header(crit=["urn:example:unknown"], **{"urn:example:unknown": True}),
        "crit-empty": model.with_header(crit=[]),
        "b64-false": model.with_header(b64=False, crit=["b64"]),
        "b64-false-without-crit": model.with_header(b64=False),
        "header-not-an-object": splice(as_json(model.header).replace(b"{", b"[{", 1) + b"]", model.claims, model.key),
        "header-with-duplicate-member": splice(
            as_json(model.header)[:-1] + f',"alg":"{model.key.algorithm}"}}'.encode(), model.claims, model.key
        ),
    }


def _parties(model: _Model) -> dict[str, str]:
    """An issuer or an audience that is almost the right one (RFC 7519 sections 4.1.1 and 4.1.3)."""
    issuer, audience = model.claims["iss"], model.claims["aud"]
    sole = audience[0] if isinstance(audience, list) else audience
    return {
        "iss-with-trailing-slash": model.with_claims(iss=f"{issuer}/"),
        "iss-in-another-case": model.with_claims(iss=issuer.swapcase()),
        "iss-homograph": model.with_claims(iss=issuer.replace("t", "\u0442")),
        "iss-of-somebody-else": model.with_claims(iss="https://attacker.example"),
        "iss-in-a-list": model.with_claims(iss=[issuer]),
        "aud-empty": model.with_claims(aud=""),
        "aud-empty-list": model.with_claims(aud=[]),
        "aud-of-somebody-else": model.with_claims(aud="https://elsewhere.example"),
        "aud-with-trailing-slash": model.with_claims(aud=f"{sole}/"),
        "aud-several": model.with_claims(aud=[sole, "https://elsewhere.example"]),
        "aud-a-number": model.with_claims(aud=42),
        "aud-list-in-a-list": model.with_claims(aud=[[sole]]),
        "aud-an-object": model.with_claims(aud={sole: True}),
    }


def _times(model: _Model) -> dict[str, str]:
    """Times that are past, absurd or not times (RFC 7519 sections 2 and 4.1.4 to 4.1.6)."""
    now = int(model.now)
    return {
        "exp-past": model.with_claims(iat=now - 7200, exp=now - 3600),
        "exp-a-string": model.with_claims(exp=str(model.claims["exp"])),
        "exp-true": model.with_claims(exp=True),
        "exp-null": model.with_raw("exp", "null"),
        "exp-nan": model.with_raw("exp", "NaN"),
        "exp-infinite": model.with_raw("exp", "Infinity"),
        "exp-1e400": model.with_raw("exp", "1e400"),
        "exp-1e300": model.with_raw("exp", "1e300"),
        "exp-with-5000-digits": model.with_raw("exp", "9" * 5000),
        "exp-negative": model.with_claims(exp=-1),
        "exp-in-ten-years": model.with_claims(exp=now + 10 * _YEARS),
        "nbf-in-the-future": model.with_claims(nbf=now + 3600),
        "nbf-a-string": model.with_claims(nbf=str(now)),
        "iat-in-the-future": model.with_claims(iat=now + 3600, exp=now + 4200),
        "iat-a-string": model.with_claims(iat=str(now)),
    }


def _payloads(model: _Model) -> dict[str, str]:
    """Payloads that are not one object in plain JSON (RFC 7519 sections 4 and 7.2)."""
    good = as_json(model.claims)
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    return {
        "payload-empty": model.with_payload(b""),
        "payload-a-list": model.with_payload(b"[" + good + b"]"),
        "payload-a-string": model.with_payload(b'"' + b"x" * 20 + b'"'),
        "payload-two-objects": model.with_payload(good + good),
        "payload-not-utf-8": model.with_payload(good[:-1] + b',"note":"\xff"}'),
        "payload-utf-16": model.with_payload(good.decode("utf-8").encode("utf-16")),
        "payload-with-byte-order-mark": model.with_payload(b"\xef\xbb\xbf" + good),
        "payload-with-duplicate-member": model.with_payload(good[:-1] + b',"iss":"https://attacker.example"}'),
        "payload-nested-deeply": model.with_raw("note", deep),
        "payload-with-lone-surrogate": model.with_raw("note", '"\\ud800"'),
    }


def _signatures(model: _Model) -> dict[str, str]:
    """Signatures that are missing, cut, forged, in another form, or belong to another token."""
    signing_input, _, text = model.good().rpartition(".")
    signature = base64url_decode(text)
    _, _, of_another = model.with_claims(jti="another").rpartition(".")
    forged = {
        "stripped": b"",
        "truncated": signature[:-1],
        "extended": signature + b"\0",
        "flipped": signature[:-1] + bytes((signature[-1] ^ 1,)),
        "zero": bytes(len(signature)),
        **_elliptic_forms(model.key, signature),
    }
    return {
        "signature-of-another-token": f"{signing_input}.{of_another}",
        **{f"signature-{name}": f"{signing_input}.{base64url_encode(raw)}" for name, raw in forged.items()},
    }


def _elliptic_forms(key: SigningKey, signature: bytes) -> dict[str, bytes]:
    """DER in the place of the raw form (RFC 7518 section 3.4)."""
    if not isinstance(key.private, ec.EllipticCurvePrivateKey):
        return {}
    half = len(signature) // 2
    return {"in-der": encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))}


def _with_stray_bits(segment: str) -> str:
    """Another spelling of the same bytes: one of the bits of the last character that belong to no byte is set.

    There are such bits, because no signature that :func:`authserver.jose.jwk.generate` leads to is a multiple of
    three bytes long.
    """
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]
