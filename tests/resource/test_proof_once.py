"""When a proof is accepted, and that it is only once (RFC 9449 sections 8, 9 and 11.1)."""

import pytest

from authserver.errors import NonceWanted, ProofRejected, Reason, Unavailable
from authserver.resource import AccessTokenVerifier, OfferedProof
from tests.devices import DeviceKey
from tests.resource.api import URL, Api
from tests.resource.environment import bound_token

LEEWAY = 30
MAX_AGE = 60
NONCE_LIFETIME = 300


# When


@pytest.mark.parametrize(("seconds", "fine"), [(-30, True), (-31, False), (89, True), (90, False), (-86400, False)])
def test_a_proof_without_a_nonce_must_be_young_to_the_second(api: Api, seconds: int, fine: bool) -> None:
    """R64, R67: otherwise the answer brings the nonce that helps a device with a wrong clock."""
    proof = api.proof(iat=int(api.clock()) - seconds)
    assert MAX_AGE + LEEWAY == 90
    if fine:
        api.call(proof)
    else:
        assert api.refusal(proof) == (NonceWanted, Reason.PROOF_TIME_WRONG)


def test_with_a_fresh_nonce_a_wrong_clock_does_not_matter(api: Api) -> None:
    """R67"""
    with pytest.raises(NonceWanted) as caught:
        api.call(api.proof(iat=0))
    api.call(api.proof(iat=0, nonce=caught.value.nonce))


def test_an_api_may_want_a_nonce_always(api: Api) -> None:
    """R67; RFC 9449 section 9"""
    api.verifier = api.make(require_dpop_nonce=True)
    with pytest.raises(NonceWanted) as caught:
        api.call(api.proof())
    assert caught.value.reason is Reason.NONCE_MISSING
    api.call(api.proof(nonce=caught.value.nonce))


def test_a_nonce_is_fresh_for_five_minutes_to_the_second(api: Api) -> None:
    """R67"""
    nonce = api.nonce()
    api.clock.advance(NONCE_LIFETIME - 1)
    api.call(api.proof(nonce=nonce))
    api.clock.advance(1)
    assert api.refusal(api.proof(nonce=nonce)) == (NonceWanted, Reason.NONCE_WRONG)


@pytest.mark.parametrize("nonce", ["", "a", "=", "é", "A" * 32, "A" * 10_000])
def test_a_nonce_that_is_not_ours_is_answered_with_one_that_is(api: Api, nonce: str) -> None:
    """R67: an empty one is no nonce."""
    kind, reason = api.refusal(api.proof(nonce=nonce))
    assert (kind, reason) in ((NonceWanted, Reason.NONCE_WRONG), (ProofRejected, Reason.PROOF_MALFORMED))
    assert kind is NonceWanted or nonce == ""


def test_a_nonce_is_known_to_whoever_has_its_key_and_to_nobody_else(api: Api) -> None:
    """R67: rotation of the keys in mid-flight."""
    old, new = b"o" * 32, b"n" * 32
    api.verifier = api.make(nonce_keys=[old])
    nonce = api.nonce()
    for keys, known in (([new, old], True), ([new], False), ((), False)):
        api.verifier = api.make(nonce_keys=keys)
        if known:
            api.call(api.proof(nonce=nonce))
        else:
            assert api.refusal(api.proof(nonce=nonce)) == (NonceWanted, Reason.NONCE_WRONG)


def test_a_nonce_key_must_be_long_enough(api: Api) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        api.make(nonce_keys=[b"short"])


@pytest.mark.parametrize(("age", "renewed"), [(0, False), (149, False), (150, True), (299, True)])
def test_a_nonce_that_is_half_way_to_stale_is_followed_by_another(api: Api, age: int, renewed: bool) -> None:
    """R67; RFC 9449 section 8.2: the answer that brings it costs no round trip."""
    nonce = api.nonce()
    api.clock.advance(age)
    proof = OfferedProof((api.proof(nonce=nonce),), "GET", (URL,))
    _, following = api.verifier.verify_bound(api.token, proof)
    assert (following is not None) is renewed
    if following is not None:
        api.clock.advance(299)
        api.call(api.proof(nonce=following))


def test_who_needs_no_nonce_is_given_none(api: Api) -> None:
    """Answers with a nonce must not be cached, so they are rare."""
    _, following = api.verifier.verify_bound(api.token, OfferedProof((api.proof(),), "GET", (URL,)))
    assert following is None


# How often


def test_a_proof_is_used_once(api: Api) -> None:
    """R64"""
    for proof in (api.proof(), api.proof(nonce=api.nonce())):
        api.call(proof)
        assert api.refusal(proof) == (ProofRejected, Reason.PROOF_REPLAYED)


def test_a_jti_is_used_once_whatever_else_the_proof_says(api: Api) -> None:
    """R64"""
    api.call(api.proof(jti="same"))
    assert api.refusal(api.proof(jti="same", htm="POST"), method="POST")[1] is Reason.PROOF_REPLAYED
    assert api.refusal(api.proof(jti="same", iat=int(api.clock()) - 5))[1] is Reason.PROOF_REPLAYED


def test_nobody_can_use_up_the_jti_of_another_key(api: Api) -> None:
    other = Api(api.issuer, api.clock, DeviceKey())
    other.verifier = api.verifier
    other.call(other.proof(jti="same"))
    api.call(api.proof(jti="same"))


def test_a_refused_proof_is_not_used_up(api: Api) -> None:
    proof = api.proof()
    assert api.refusal(proof, method="POST")[1] is Reason.PROOF_METHOD_WRONG
    api.call(proof)


@pytest.mark.parametrize("with_nonce", [True, False])
def test_a_proof_is_remembered_for_as_long_as_it_would_be_accepted(api: Api, with_nonce: bool) -> None:
    """R64: to the last second."""
    ahead = api.proof(iat=int(api.clock()) + LEEWAY, nonce=api.nonce() if with_nonce else None)
    lasts = NONCE_LIFETIME if with_nonce else LEEWAY + MAX_AGE + LEEWAY
    api.call(ahead)
    api.clock.advance(lasts - 1)
    assert api.refusal(ahead)[1] is Reason.PROOF_REPLAYED
    api.clock.advance(1)
    assert api.refusal(ahead)[0] is NonceWanted


def test_two_apis_that_share_a_store_do_not_use_up_each_others_proofs(api: Api) -> None:
    """The jti of a client need not differ between APIs (RFC 9449 section 11.1)."""
    seen: list[tuple[str, str]] = []

    class Store:
        def use_once(self, source: str, token_id: str, **times: float) -> None:
            assert times.keys() == {"expires_at", "now"}
            seen.append((source, token_id))

    other = AccessTokenVerifier(issuer=api.issuer.issuer, audience="other", clock=api.clock, replay=Store())
    api.verifier = api.make(replay=Store())
    api.call(api.proof(jti="same"))
    token = bound_token(api.issuer, api.device, aud="other")
    other.verify_bound(token, OfferedProof((api.proof(jti="same", access_token=token),), "GET", (URL,)))
    assert seen[0] != seen[1]
    assert all("same" not in part for pair in seen for part in pair)


def test_when_nothing_can_be_remembered_nothing_is_accepted(api: Api) -> None:
    """Contract section 5: no replay memory, no single-use token."""

    class Away:
        def use_once(self, *_: str, **__: float) -> None:
            raise Unavailable(Reason.STORE_UNAVAILABLE)

    api.verifier = api.make(replay=Away())
    with pytest.raises(Unavailable):
        api.call(api.proof())
