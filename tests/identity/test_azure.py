"""Azure managed identities."""

from collections.abc import Callable

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.identity.sources.azure import AzureTable
from authserver.model import Subject
from authserver.testing import FakeIssuer, FrozenClock
from authserver.testing.claims import azure_claims
from tests.identity.conftest import AUDIENCE, TENANT

CLAIMS = azure_claims(TENANT, "thumbnailer", AUDIENCE)
V1, V2 = f"https://sts.windows.net/{TENANT}/", f"https://login.microsoftonline.com/{TENANT}/v2.0"


def test_a_managed_identity_gives_its_numbers_and_its_place(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    subject = authenticate("azure", issuer.azure_token(TENANT, "thumbnailer", AUDIENCE))
    assert subject.sub == f"here:{CLAIMS['oid']}"
    assert subject.attributes == {
        "tenant_id": (TENANT,),
        "object_id": (CLAIMS["oid"],),
        "app_id": (CLAIMS["appid"],),
        "resource_id": (CLAIMS["xms_mirid"],),
    }


def test_the_application_is_found_where_version_2_has_it(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    token = issuer.azure_token(TENANT, "thumbnailer", AUDIENCE, appid=None, azp="an-application", ver="2.0")
    assert authenticate("azure", token).attributes["app_id"] == ("an-application",)


def test_an_application_that_is_no_managed_identity_has_no_resource(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    subject = authenticate("azure", issuer.azure_token(TENANT, "thumbnailer", AUDIENCE, xms_mirid=None, appid=None))
    assert set(subject.attributes) == {"tenant_id", "object_id"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tid": None}, Reason.CLAIM_MISSING),
        ({"tid": "9bc0d1aa-0000-4000-8000-000000000002"}, Reason.CLAIM_MALFORMED),
        ({"tid": TENANT.upper()}, Reason.CLAIM_MALFORMED),
        ({"oid": None}, Reason.CLAIM_MISSING),
        ({"oid": 7}, Reason.CLAIM_MALFORMED),
        # Of a person, for whom the subject is made for each application anew.
        ({"sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "scp": "access"}, Reason.SUBJECT_MISMATCH),
    ],
    ids=str,
)
def test_a_token_of_another_tenant_or_of_a_person_is_refused(
    changes: dict[str, object], reason: Reason, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    with pytest.raises(CredentialRejected) as refused:
        authenticate("azure", issuer.azure_token(TENANT, "thumbnailer", AUDIENCE, **changes))
    assert refused.value.reason is reason


def test_a_token_for_24_hours_that_is_backdated_as_entra_does_is_accepted(
    issuer: FakeIssuer, authenticate: Callable[..., Subject], clock: FrozenClock
) -> None:
    now = int(clock())
    for age in (0, 86000):
        times = {"iat": now - 300 - age, "nbf": now - 300 - age, "exp": now - age + 86400}
        authenticate("azure", issuer.azure_token(TENANT, "thumbnailer", AUDIENCE, **times))


@pytest.mark.parametrize("issuer", [V1, V2, f"https://login.microsoftonline.us/{TENANT}/v2.0"])
def test_the_issuer_is_that_of_one_tenant(issuer: str) -> None:
    assert AzureTable(type="azure", issuer=issuer, audience=AUDIENCE).issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/organizations/v2.0",
        "https://login.microsoftonline.com/consumers/v2.0",
        "https://login.microsoftonline.com/{tenantid}/v2.0",
        "https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0",
        "https://sts.windows.net/",
        V1.removesuffix("/"),
        f"{V2}/",
        V2.upper(),
        f"{V1}{TENANT}/",
        f"https://login.microsoftonline.com/common/v2.0?tenant={TENANT}",
    ],
)
def test_an_issuer_of_any_tenant_or_in_another_spelling_does_not_load(issuer: str) -> None:
    with pytest.raises(ValueError, match="is not the issuer of one tenant"):
        AzureTable(type="azure", issuer=issuer, audience=AUDIENCE)
