"""Proofs that nobody may believe: the hostile table as far as it applies to DPoP (RFC 9449 section 4.3).

Each is one deviation from a good proof, and signed by the key that it carries unless the row is about that.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authserver.errors import Reason
from authserver.jose.compact import MAX_BYTES, MAX_DEPTH, base64url_decode, base64url_encode
from authserver.jose.dpop import MAX_ID
from authserver.jose.jwk import SigningKey, export_public, generate
from authserver.testing.splice import as_json, splice, unsigned, without_nones

IDENTITY_POINT = (1).to_bytes(32, "little")
"""The point of order one: the signature that is this point and zero is one of any message, and needs no key."""


@dataclass(frozen=True)
class HostileProof:
    """A proof, what is wrong with it, and why it must be refused."""

    name: str
    reason: Reason
    proof: str = field(repr=False)

    @property
    def fits_a_header(self) -> bool:
        """Whether HTTP can carry it unchanged (RFC 9110 section 5.5)."""
        return self.proof.strip() == self.proof and self.proof.isascii() and self.proof.isprintable()


@dataclass(frozen=True)
class _Model:
    """The good proof that every hostile one deviates from."""

    key: SigningKey
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    def with_header(self, **members: Any) -> str:
        return splice(without_nones({**self.header, **members}), self.claims, self.key)

    def with_jwk(self, **members: Any) -> str:
        return self.with_header(jwk=without_nones({**self.header["jwk"], **members}))

    def with_claims(self, **members: Any) -> str:
        return splice(self.header, without_nones({**self.claims, **members}), self.key)

    def with_raw(self, name: str, json_text: str) -> str:
        rest = as_json(without_nones({**self.claims, name: None})).decode()
        return splice(self.header, f'{{"{name}":{json_text},{rest[1:]}'.encode(), self.key)

    def of_another_kind(self, algorithm: str, private: Any) -> str:
        key = SigningKey("", algorithm, private)
        return replace(self, key=key).with_header(alg=algorithm, jwk=export_public(private.public_key()))

    def good(self) -> str:
        return splice(self.header, self.claims, self.key)


def hostile_proofs(method: str, url: str, now: float) -> Iterator[HostileProof]:
    """Every hostile variation of a proof for this request at this time, in seconds since the epoch."""
    key = SigningKey("", "ES256", generate("ES256"))
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": export_public(key.private.public_key())}
    model = _Model(key, header, {"jti": "hostile", "htm": method, "htu": url, "iat": int(now)})
    tables = {
        Reason.PROOF_MALFORMED: {
            **_serializations(model),
            **_headers(model),
            **_algorithms(model),
            **_keys(model),
            **_claims(model),
            **_payloads(model),
        },
        Reason.PROOF_SIGNATURE_WRONG: _signatures(model),
        Reason.PROOF_METHOD_WRONG: {
            "htm-of-another-method": model.with_claims(htm="PUT"),
            "htm-in-lower-case": model.with_claims(htm=method.lower()),
            "htm-with-a-space": model.with_claims(htm=f"{method} "),
        },
        Reason.PROOF_ADDRESS_WRONG: {
            f"htu-{name}": model.with_claims(htu=other) for name, other in other_addresses(url).items()
        },
    }
    return (HostileProof(name, reason, proof) for reason, table in tables.items() for name, proof in table.items())


def other_addresses(url: str) -> dict[str, str]:
    """Addresses that are almost ``url``, whose path must not be that of the root."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    bare = re.sub(r":\d+$", "", host)
    return {
        "of-another-scheme": f"{'http' if scheme == 'https' else 'https'}://{rest}",
        "without-a-scheme": f"//{rest}",
        "of-a-foreign-scheme": f"ftp://{rest}",
        "of-another-host": f"{scheme}://attacker.example/{path}",
        "of-a-longer-host": f"{scheme}://{host}.attacker.example/{path}",
        "with-a-final-dot": f"{scheme}://{host}./{path}",
        "with-another-port": f"{scheme}://{bare}:1/{path}",
        "with-an-impossible-port": f"{scheme}://{bare}:99999/{path}",
        "with-userinfo": f"{scheme}://{host}@attacker.example/{path}",
        "with-a-user": f"{scheme}://somebody@{host}/{path}",
        "with-an-empty-user": f"{scheme}://@{host}/{path}",
        "homograph": url.replace("e", "\u0435", 1) if "e" in url else f"{url}\u0435",
        "with-a-backslash": f"{scheme}:\\\\{rest}",
        "with-a-broken-address": f"{scheme}://[::1/{path}",
        "of-the-root": f"{scheme}://{host}/",
        "path-alone": f"/{path}",
        "with-a-trailing-slash": f"{url}/",
        "with-another-case": f"{scheme}://{host}/{path.upper()}",
        "with-a-doubled-slash": f"{scheme}://{host}//{path}",
        "with-an-escaped-slash": f"{scheme}://{host}%2F{path}",
        "with-a-parameter": f"{url};a=b",
        "with-a-tab": f"{scheme}://{host}/\t{path}",
        "with-a-line-break": f"{url}\n",
        "with-a-space": f" {url}",
        "of-a-sibling": f"{url}/../other",
    }


def _serializations(model: _Model) -> dict[str, str]:
    good = model.good()
    header, payload, signature = good.split(".")
    flattened = {"protected": header, "payload": payload, "signature": signature}
    return {
        "empty": "",
        "nonsense": "x",
        "one-dot": f"{header}.{payload}",
        "four-dots": f"{good}.{payload}.{signature}",
        "encrypted": f"{base64url_encode(as_json({'alg': 'dir', 'enc': 'A256GCM'}))}..{payload}.{payload}.{signature}",
        "space-before": f" {good}",
        "space-within": f"{header}. {payload}.{signature}",
        "padding": f"{good}==",
        "another-alphabet": f"{good[:-2]}+/",
        "not-ascii": f"{good[:-1]}\u00e9",
        "flattened-json": as_json(flattened).decode().replace(",", "\t"),
        "oversize": model.with_claims(padding="x" * MAX_BYTES),
        "two-proofs-and-a-space": f"{good} {good}",
    }


def _headers(model: _Model) -> dict[str, str]:
    header = as_json(model.header)
    return {
        **{f"typ-{typ}": model.with_header(typ=typ) for typ in ("JWT", "at+jwt", "dpop", "dpop+jwt2", "")},
        "typ-absent": model.with_header(typ=None),
        "typ-a-list": model.with_header(typ=["dpop+jwt"]),
        "crit-unknown": model.with_header(crit=["urn:example:unknown"], **{"urn:example:unknown": True}),
        "crit-empty": model.with_header(crit=[]),
        "b64-false": model.with_header(b64=False, crit=["b64"]),
        "b64-false-without-crit": model.with_header(b64=False),
        "header-a-list": splice(b"[" + header + b"]", model.claims, model.key),
        "header-with-duplicate-member": splice(header[:-1] + b',"alg":"ES256"}', model.claims, model.key),
    }


def _algorithms(model: _Model) -> dict[str, str]:
    pem = model.key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    symmetric = unsigned({**model.header, "alg": "HS256"}, model.claims)
    mac = hmac.digest(pem, symmetric.encode(), hashlib.sha256)
    nothing = unsigned({**model.header, "alg": "none"}, model.claims)
    return {
        "alg-none": f"{nothing}.",
        **{f"alg-{name}-with-signature": model.with_header(alg=name) for name in ("none", "None", "es256", "XX256")},
        "alg-hs256-with-the-public-key": f"{symmetric}.{base64url_encode(mac)}",
        "alg-absent": model.with_header(alg=None),
        "alg-a-list": model.with_header(alg=["ES256"]),
        "alg-of-another-key": model.with_header(alg="EdDSA"),
        "alg-unlisted-of-rsa": model.of_another_kind("RS256", generate("RS256")),
        "alg-unlisted-of-another-curve": model.of_another_kind("ES384", ec.generate_private_key(ec.SECP384R1())),
    }


def _keys(model: _Model) -> dict[str, str]:
    jwk = model.header["jwk"]
    secret = base64url_encode(bytes(32))
    return {
        "jwk-absent": model.with_header(jwk=None),
        "jwk-absent-with-a-kid": model.with_header(jwk=None, kid="somebody"),
        "jwk-absent-with-jku": model.with_header(jwk=None, jku="https://attacker.example/jwks.json"),
        "jwk-absent-with-x5u": model.with_header(jwk=None, x5u="https://attacker.example/chain.pem"),
        "jwk-absent-with-x5c": model.with_header(jwk=None, x5c=["MIIBszCCAVmgAwIBAgIUattackers"]),
        "jwk-a-string": model.with_header(jwk=as_json(jwk).decode()),
        "jwk-a-list": model.with_header(jwk=[jwk]),
        "jwk-a-set": model.with_header(jwk={"keys": [jwk]}),
        "jwk-empty": model.with_header(jwk={}),
        "jwk-private": model.with_jwk(d=secret),
        "jwk-private-and-empty": model.with_jwk(d=""),
        "jwk-symmetric": model.with_header(jwk={"kty": "oct", "k": secret}),
        "jwk-for-encryption": model.with_jwk(use="enc"),
        "jwk-for-signing-alone": model.with_jwk(key_ops=["sign"]),
        "jwk-for-another-algorithm": model.with_jwk(alg="ES384"),
        "jwk-of-another-curve": model.with_jwk(crv="P-384"),
        "jwk-of-a-curve-in-a-list": model.with_jwk(crv=["P-256"]),
        "jwk-with-a-number": model.with_jwk(x=1),
        "jwk-without-y": model.with_jwk(y=None),
        "jwk-off-the-curve": model.with_jwk(y=jwk["x"]),
        "jwk-too-short": model.with_jwk(x=jwk["x"][:-2]),
        "jwk-padded": model.with_jwk(x=f"{jwk['x']}="),
        "jwk-with-a-kid-in-a-list": model.with_jwk(kid=["a"]),
        **{f"jwk-of-small-order-{name}": proof for name, proof in _proofs_without_a_key(model).items()},
    }


def _proofs_without_a_key(model: _Model) -> dict[str, str]:
    """Proofs that nobody needs a private key for: the library underneath believes the first of them."""
    spellings = {
        "identity": IDENTITY_POINT,
        "identity-with-a-sign": bytes([*IDENTITY_POINT[:-1], 0x80]),
        "two": (2**255 - 20).to_bytes(32, "little"),
        "four": bytes(32),
        "identity-above-the-prime": (2**255 - 18).to_bytes(32, "little"),
    }
    signature = base64url_encode(IDENTITY_POINT + bytes(32))
    return {
        name: unsigned(
            {**model.header, "alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": base64url_encode(raw)}},
            model.claims,
        )
        + f".{signature}"
        for name, raw in spellings.items()
    }


def _claims(model: _Model) -> dict[str, str]:
    return {
        **{f"{claim}-absent": model.with_claims(**{claim: None}) for claim in ("jti", "htm", "htu", "iat")},
        **{f"{claim}-empty": model.with_claims(**{claim: ""}) for claim in ("jti", "htm", "htu", "iat", "nonce")},
        **{f"{claim}-null": model.with_raw(claim, "null") for claim in ("jti", "htm", "htu", "iat", "nonce")},
        **{f"{claim}-a-number": model.with_claims(**{claim: 1}) for claim in ("jti", "htm", "htu", "nonce")},
        "htm-a-list": model.with_claims(htm=[model.claims["htm"]]),
        "htu-a-list": model.with_claims(htu=[model.claims["htu"]]),
        "jti-too-long": model.with_claims(jti="x" * (MAX_ID + 1)),
        "iat-a-string": model.with_claims(iat=str(model.claims["iat"])),
        "iat-true": model.with_claims(iat=True),
        "iat-negative": model.with_claims(iat=-1),
        "iat-beyond-all-clocks": model.with_claims(iat=2**53),
        **{f"iat-{text}": model.with_raw("iat", text) for text in ("NaN", "Infinity", "1e400", "9" * 5000)},
    }


def _payloads(model: _Model) -> dict[str, str]:
    good = as_json(model.claims)
    payloads = {
        "empty": b"",
        "a-list": b"[" + good + b"]",
        "two-objects": good + good,
        "not-utf-8": good[:-1] + b',"note":"\xff"}',
        "with-byte-order-mark": b"\xef\xbb\xbf" + good,
        "with-duplicate-member": good[:-1] + b',"htm":"PUT"}',
    }
    return {
        **{f"payload-{name}": splice(model.header, payload, model.key) for name, payload in payloads.items()},
        "payload-nested-deeply": model.with_raw("note", "[" * MAX_DEPTH + "]" * MAX_DEPTH),
        "payload-with-lone-surrogate": model.with_raw("note", '"\\ud800"'),
    }


def _signatures(model: _Model) -> dict[str, str]:
    signing_input, _, text = model.good().rpartition(".")
    signature = base64url_decode(text)
    another = SigningKey("", "ES256", generate("ES256"))
    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    forged = {
        "truncated": signature[:-1],
        "extended": signature + b"\0",
        "flipped": signature[:-1] + bytes((signature[-1] ^ 1,)),
        "zero": bytes(64),
        "in-der": der,
    }
    return {
        "signature-of-another-proof": f"{signing_input}.{model.with_claims(jti='another').rpartition('.')[2]}",
        "signature-of-another-key": splice(model.header, model.claims, another),
        "jwk-of-another-key": model.with_header(jwk=export_public(another.private.public_key())),
        **{f"signature-{name}": f"{signing_input}.{base64url_encode(raw)}" for name, raw in forged.items()},
    }
