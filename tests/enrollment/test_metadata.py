"""What a device says of itself when it registers: what is read, what is ignored, and what is refused."""

from typing import Any

import pytest

from authserver.enrollment.attest import Statement
from authserver.enrollment.metadata import DeviceMetadata, read_key, read_metadata
from authserver.errors import MetadataRefused, Reason
from tests import oracle
from tests.devices import DeviceKey

KEY = DeviceKey()


def refused(document: dict[str, Any]) -> tuple[Reason, object]:
    """Why a document is refused, and which member is to blame."""
    with pytest.raises(MetadataRefused) as caught:
        read_metadata(document)
    return caught.value.reason, caught.value.facts.get("member")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_everything_that_a_device_says_is_read(algorithm: str) -> None:
    key = DeviceKey(algorithm)
    read = read_metadata(key.registration(source="phones", attestation={"format": "made-up", "statement": "x"}))
    assert (read.key.jwk, read.key.thumbprint, read.key.key_id) == (key.jwk, key.thumbprint, None)
    assert read == DeviceMetadata(
        key=read.key,
        source="phones",
        name="Alice's phone",
        platform="ios",
        model="iPhone17,1",
        app_id="com.example.app",
        app_version="1.0",
        attestation=Statement("made-up", {"statement": "x"}),
    )


def test_only_a_key_has_to_be_there_and_null_is_as_good_as_absent() -> None:
    bare = read_metadata({"jwks": {"keys": [KEY.jwk]}})
    assert (bare.source, bare.name, bare.platform, bare.attestation) == (None, None, None, None)
    members = ("token_endpoint_auth_method", "grant_types", "redirect_uris", "response_types", "jwks_uri")
    nulls = dict.fromkeys((*members, "client_secret", "client_name", "device", "attestation", "source"))
    assert read_metadata({"jwks": {"keys": [KEY.jwk]}, **nulls}) == bare
    assert read_metadata({"jwks": {"keys": [KEY.jwk]}, "device": {"platform": None}}) == bare


def test_members_that_are_not_known_are_ignored() -> None:
    document = KEY.registration(scope="everything", software_statement="x", dpop_bound_access_tokens=False)
    assert read_metadata(document) == read_metadata(KEY.registration())
    assert read_metadata(KEY.registration(device={"imei": 1})).platform is None


def test_empty_lists_of_what_a_device_does_not_have_are_accepted() -> None:
    document = KEY.registration(redirect_uris=[], response_types=[])
    assert read_metadata(document) == read_metadata(KEY.registration())


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("token_endpoint_auth_method", "none"),
        ("token_endpoint_auth_method", ["private_key_jwt"]),
        ("token_endpoint_auth_method", {}),
        ("grant_types", []),
        ("grant_types", ["authorization_code"]),
        ("grant_types", ["client_credentials", "client_credentials"]),
        ("grant_types", "client_credentials"),
        ("redirect_uris", ["https://a.example"]),
        ("response_types", ["code"]),
        ("response_types", False),
        ("jwks_uri", "https://a.example/jwks.json"),
        ("client_secret", "hush"),
        ("client_secret", ""),
    ],
)
def test_what_a_device_cannot_have_is_refused(member: str, value: object) -> None:
    assert refused(KEY.registration(**{member: value})) == (Reason.METADATA_UNSUPPORTED, member)


@pytest.mark.parametrize("value", ["", "x" * 257, "two\nlines", "\u202eevil", 1, True, ["x"], {}])
@pytest.mark.parametrize("member", ["client_name", "source", "platform", "model", "app_id", "app_version"])
def test_words_are_short_printable_strings(member: str, value: object) -> None:
    own = {"client_name": value, "source": value}
    changes = {member: value} if member in own else {"device": {member: value}}
    assert refused(KEY.registration(**changes)) == (Reason.METADATA_MALFORMED, member)


def test_words_may_have_256_characters_of_any_script() -> None:
    assert read_metadata(KEY.registration(client_name="\N{GREEK SMALL LETTER PI}" * 256)).name


@pytest.mark.parametrize("value", ["ios", [], 1, True])
def test_the_device_is_an_object(value: object) -> None:
    assert refused(KEY.registration(device=value)) == (Reason.METADATA_MALFORMED, "device")


@pytest.mark.parametrize("jwks", [None, [], {}, {"keys": []}, {"keys": {}}, {"keys": ["x"]}, {"keys": [KEY.jwk] * 2}])
def test_there_is_exactly_one_key(jwks: object) -> None:
    assert refused(KEY.registration(jwks=jwks)) == (Reason.METADATA_MALFORMED, "jwks")


@pytest.mark.parametrize("kid", ["", 1, "x" * 257, "a\tb"])
def test_a_key_may_have_a_name_that_is_a_short_printable_string(kid: object) -> None:
    assert refused(KEY.registration(jwks={"keys": [{**KEY.jwk, "kid": kid}]})) == (Reason.METADATA_MALFORMED, "jwks")
    assert read_key({"jwks": {"keys": [{**KEY.jwk, "kid": "one"}]}}).key_id == "one"


UNSUITABLE = {
    "empty": {},
    "a coordinate too short": {**KEY.jwk, "x": "AA"},
    "not on the curve": {**KEY.jwk, "y": KEY.jwk["x"]},
    "for encryption": {**KEY.jwk, "use": "enc"},
    "for signing": {**KEY.jwk, "key_ops": ["sign"]},
    "for another algorithm": {**KEY.jwk, "alg": "ES384"},
    "symmetric": {"kty": "oct", "k": "AAAA"},
    "RSA": oracle.public_jwk(oracle.make_key("RS256")),
    "P-384": oracle.public_jwk(oracle.make_key("ES384")),
}


@pytest.mark.parametrize("name", UNSUITABLE)
def test_a_key_that_no_proof_can_be_made_with_is_refused(name: str) -> None:
    assert refused(KEY.registration(jwks={"keys": [UNSUITABLE[name]]})) == (Reason.KEY_UNSUITABLE, None)


def test_a_key_with_its_private_half_is_refused_and_not_repeated() -> None:
    private = KEY.key.as_dict(private=True)
    with pytest.raises(MetadataRefused) as caught:
        read_metadata(KEY.registration(jwks={"keys": [private]}))
    assert caught.value.reason is Reason.KEY_UNSUITABLE
    assert str(private["d"]) not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.facts}"


def test_of_a_key_only_what_its_thumbprint_is_made_of_is_kept() -> None:
    decorated = {**KEY.jwk, "alg": "ES256", "use": "sig", "x5c": ["AAAA"], "note": "mine"}
    assert read_key({"jwks": {"keys": [decorated]}}).jwk == KEY.jwk


@pytest.mark.parametrize("value", ["x", [], {}, {"format": 1}, {"format": ""}, {"format": "A B"}, {"format": "a" * 65}])
def test_an_attestation_names_its_format(value: object) -> None:
    assert refused(KEY.registration(attestation=value)) == (Reason.METADATA_MALFORMED, "attestation")
