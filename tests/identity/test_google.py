"""Google Cloud service accounts."""

from collections.abc import Callable
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.identity.sources.google import GoogleTable
from authserver.model import Subject
from authserver.testing import FakeIssuer
from authserver.testing.claims import google_claims
from tests.identity.conftest import AUDIENCE

EMAIL = "thumbnailer@media.iam.gserviceaccount.com"
CLAIMS = google_claims(EMAIL, AUDIENCE)


def test_a_virtual_machine_gives_its_service_account_and_itself(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    subject = authenticate("google", issuer.google_token(EMAIL, AUDIENCE))
    machine = CLAIMS["google"]["compute_engine"]
    assert subject.sub == f"here:{CLAIMS['sub']}"
    assert subject.attributes == {
        "email": (EMAIL,),
        "subject": (CLAIMS["sub"],),
        "project_id": ("media",),
        "project_number": (str(machine["project_number"]),),
        "instance_id": (machine["instance_id"],),
        "zone": ("europe-west1-b",),
    }


def test_where_there_is_no_virtual_machine_there_is_the_service_account_alone(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    absent: tuple[Any, ...] = (None, {}, {"compute_engine": []})
    for nothing in absent:
        subject = authenticate("google", issuer.google_token(EMAIL, AUDIENCE, google=nothing))
        assert set(subject.attributes) == {"email", "subject"}


@pytest.mark.parametrize("verified", [None, False, "true", 1])
def test_an_address_that_is_not_verified_is_no_attribute(
    verified: object, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    subject = authenticate("google", issuer.google_token(EMAIL, AUDIENCE, email_verified=verified))
    assert "email" not in subject.attributes
    assert subject.subject == CLAIMS["sub"]


def test_an_account_that_was_made_anew_under_its_old_address_is_another_caller(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    subject = authenticate("google", issuer.google_token(EMAIL, AUDIENCE, sub="100000000000000000007"))
    assert subject.sub == "here:100000000000000000007"


@pytest.mark.parametrize("sub", ["media.svc.id.goog", "12a", "٣"])
def test_a_subject_that_is_no_number_is_refused(
    sub: str, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    with pytest.raises(CredentialRejected) as refused:
        authenticate("google", issuer.google_token(EMAIL, AUDIENCE, sub=sub))
    assert refused.value.reason is Reason.CLAIM_MALFORMED


def test_the_issuer_is_googles_and_its_tokens_are_good_for_an_hour() -> None:
    table = GoogleTable(type="google", audience=AUDIENCE)
    assert (table.issuer, table.max_age) == ("https://accounts.google.com", 3600)
