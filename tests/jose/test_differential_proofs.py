"""We, PyJWT and joserfc read the same DPoP proofs. The libraries know nothing of DPoP, so they judge less than we do.

What must not be: a proof that we believe, whose signature, key or JSON one of the others refuses or reads otherwise.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import jwt
import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import import_key

from authserver.errors import ProofRejected
from authserver.jose.dpop import Proof, read_proof
from tests import leaks, oracle
from tests.jose.differences import as_text
from tests.jose.drafts import KEYS, NOW, Draft, Oddity, as_members
from tests.jose.oddities import ODDITIES
from tests.jose.strategies import bounded, changed

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")

UNREAD: Final = frozenset(("kid", "jku", "x5u", "x5c", "x5t", "x5t#S256", "cty"))
"""What nothing reads in a proof, whose key is in it; the others still want each to be of its kind."""

URL: Final = "https://auth.test/token"
ALGORITHMS: Final = ["ES256", "EdDSA"]
_HEADERS: Final = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
_HEADERS.max_header_length = 16 * 1024  # by default a key of some kinds does not fit


def good_proof(kid: str = "elliptic") -> Draft:
    """A proof that everybody accepts."""
    key = KEYS[kid]
    jwk = oracle.public_jwk(key, kid=None, alg=None, use=None)
    header = {"alg": key.as_dict(private=False)["alg"], "typ": "dpop+jwt", "jwk": jwk}
    claims = {"htm": "POST", "htu": URL, "iat": NOW, "jti": "one"}
    return Draft(kid, as_members(header), as_members(claims))


def ours(proof: str) -> Proof | None:
    try:
        return read_proof(proof, method="POST", url=URL)
    except ProofRejected:
        return None


def pyjwt(proof: str) -> Mapping[str, Any]:
    """The claims, or whatever PyJWT raises."""
    key = jwt.PyJWK(jwt.get_unverified_header(proof)["jwk"])
    claims: Mapping[str, Any] = json.loads(jwt.PyJWS().decode(proof, key, algorithms=ALGORITHMS))
    return claims


def joserfc(proof: str) -> tuple[Mapping[str, Any], str]:
    """The claims and the thumbprint, or whatever joserfc raises."""
    taken = jws.extract_compact(proof.encode(), registry=_HEADERS)
    key = import_key(taken.headers()["jwk"])
    assert jws.validate_compact(taken, key, registry=_HEADERS)
    return json.loads(taken.payload), key.thumbprint()


def believed_by_the_others_too(token: str) -> bool:
    """Whether we believe a proof; if we do, both others must, and read the same."""
    proof = ours(token)
    if proof is None:
        return False
    if not UNREAD.isdisjoint(jws.extract_compact(token.encode(), registry=_HEADERS).headers()):
        return True
    claims, thumbprint = joserfc(token)
    assert as_text(proof.claims) == as_text(claims) == as_text(pyjwt(token))
    assert proof.thumbprint == thumbprint
    return True


@pytest.mark.parametrize("kid", ["elliptic", "edwards"])
def test_a_good_proof_is_believed_by_all_and_read_the_same(kid: str) -> None:
    assert believed_by_the_others_too(leaks.handled(good_proof(kid).written()))


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.name)
def test_no_odd_proof_is_believed_that_another_refuses(oddity: Oddity) -> None:
    """R59, R95"""
    for variant in oddity.variants:
        draft = good_proof()
        oddity.apply(draft, variant)
        believed_by_the_others_too(draft.written())


@pytest.mark.slow
@bounded(500)
@given(changed(st.sampled_from(["elliptic", "edwards"]).map(good_proof)))
def test_no_proof_is_believed_that_another_refuses_whatever_the_proof(draft: Draft) -> None:
    """R59, R95"""
    note(str(draft))
    believed_by_the_others_too(draft.written())
