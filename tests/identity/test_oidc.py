"""Any OpenID Connect issuer."""

from collections.abc import Callable

import pytest

from authserver.identity.source import spellings
from authserver.identity.sources import SOURCES
from authserver.model import Subject
from authserver.testing import FakeIssuer
from tests.identity.conftest import AUDIENCE


def test_attributes_are_data_and_dotted_names_reach_into_objects(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    token = issuer.identity_token(
        AUDIENCE,
        groups=["a", "b", 3, ["nested"], {"x": 1}],
        team={"name": "media", "lead": {"id": 7}},
        **{"team.name": "spelled out"},
        admin=True,
        level=3,
        nothing=None,
    )
    names = ["groups", "team.name", "team.lead.id", "team.lead", "admin", "level", "absent", "team.absent.id"]
    subject = authenticate("oidc", token, attributes=names)
    assert subject.attributes == {
        "groups": ("a", "b", "3"),
        "team.name": ("spelled out",),
        "team.lead.id": ("7",),
        "admin": ("true",),
        "level": ("3",),
    }


def test_what_is_not_listed_is_no_attribute(issuer: FakeIssuer, authenticate: Callable[..., Subject]) -> None:
    assert authenticate("oidc", issuer.identity_token(AUDIENCE, email="a@example.com")).attributes == {}


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ("text", ("text",)),
        (12, ("12",)),
        (True, ("true",)),
        (False, ("false",)),
        (1.5, ("1.5",)),
        (None, ()),
        ({"a": 1}, ()),
        ([], ()),
        (["a", 1, False, None], ("a", "1", "false")),
    ],
)
def test_a_claim_is_spelled_as_json_writes_it(value: object, spelled: tuple[str, ...]) -> None:
    assert spellings(value) == spelled


def test_the_place_of_the_keys_must_be_one_place(issuer: FakeIssuer) -> None:
    good = {"type": "oidc", "issuer": issuer.issuer, "audience": AUDIENCE}
    for jwks in ({}, {"url": "https://a.example", "file": "b"}, {"file": "b", "ca_file": "c"}):
        with pytest.raises(ValueError, match="jwks"):
            SOURCES["oidc"].model_validate({**good, "jwks": jwks})


def test_an_algorithm_that_cannot_be_verified_is_refused_at_once(issuer: FakeIssuer) -> None:
    good = {"type": "oidc", "issuer": issuer.issuer, "audience": AUDIENCE}
    for algorithm in ("none", "HS256", "rs256"):
        with pytest.raises(ValueError, match=algorithm):
            SOURCES["oidc"].model_validate({**good, "algorithms": [algorithm]})
