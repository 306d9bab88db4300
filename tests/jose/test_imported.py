"""Keys that are imported once: the same as if they were imported each time."""

from typing import Any

import pytest

from authserver.jose.imported import LONGEST_KEPT, imported
from authserver.jose.jwk import import_public, thumbprint
from tests.devices import DeviceKey

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_an_imported_key_is_what_its_jwk_says(algorithm: str) -> None:
    jwk = DeviceKey(algorithm).jwk
    for _ in range(2):
        found = imported(jwk, algorithm)
        assert found.key == import_public(jwk, (algorithm,))
        assert (found.thumbprint, dict(found.jwk)) == (thumbprint(jwk), jwk)


def test_a_key_is_imported_once_in_whatever_order_its_members_come() -> None:
    jwk = DeviceKey().jwk
    assert imported(dict(reversed(jwk.items())), "ES256") is imported(jwk, "ES256")


@pytest.mark.parametrize("more", [{"kid": "mine"}, {"use": "sig"}, {"key_ops": ["verify"]}, {"unknown": {"a": [1]}}])
def test_members_that_do_not_make_the_key_are_read_and_left_out(more: dict[str, Any]) -> None:
    jwk = DeviceKey().jwk
    for _ in range(2):
        found = imported({**jwk, **more}, "ES256")
        assert (found.key.kid, dict(found.jwk), found.thumbprint) == (more.get("kid"), jwk, thumbprint(jwk))


@pytest.mark.parametrize("more", [{"d": "AA"}, {"use": "enc"}, {"key_ops": ["sign"]}, {"alg": "ES384"}, {"kid": 1}])
def test_a_key_that_is_refused_is_refused_each_time_also_after_a_good_one(more: dict[str, Any]) -> None:
    jwk = DeviceKey().jwk
    imported(jwk, "ES256")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"key|kid"):
            imported({**jwk, **more}, "ES256")


def test_a_key_serves_only_the_algorithm_that_it_was_imported_for() -> None:
    key = DeviceKey("EdDSA")
    assert [imported(key.jwk, name).key.algorithm for name in ("EdDSA", "Ed25519")] == ["EdDSA", "Ed25519"]
    with pytest.raises(ValueError, match="algorithm"):
        imported(key.jwk, "ES256")


def test_what_is_given_out_cannot_be_changed_for_others() -> None:
    with pytest.raises(TypeError):
        imported(DeviceKey().jwk, "ES256").jwk["x"] = "y"  # type: ignore[index]


@pytest.mark.parametrize("name", ["unknown", "kid"])
def test_a_key_that_somebody_has_made_long_is_not_kept(name: str) -> None:
    jwk = {**DeviceKey().jwk, name: "x" * LONGEST_KEPT}
    assert imported(jwk, "ES256") is not imported(jwk, "ES256")
