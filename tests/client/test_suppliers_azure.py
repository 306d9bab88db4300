"""Azure as a program there meets it: App Service, AKS and virtual machines, over real HTTP."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from authserver.client.failures import AnswerUnusable, CallFailed, IdentityUnusable, NoAnswer
from authserver.client.suppliers.azure import AzureSupplier
from authserver.oauth import Grant, TokenType
from tests import leaks
from tests.client.identities import NOW, asked_of_the_system, identity, surroundings
from tests.client.metadata import MetadataService, Said

AUDIENCE = "api://authserver"
SECRET = leaks.handled("a-secret-of-the-host-0123456789")
NAMED = {"AUTHSERVER_PLATFORM": "azure"}
HOSTED = {"IDENTITY_ENDPOINT": "http://127.0.0.1/msi/token", "IDENTITY_HEADER": SECRET}


def document(**members: object) -> bytes:
    return json.dumps({"token_type": "Bearer", "expires_in": "86399", **members}).encode()


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with MetadataService() as made:
        made.said = Said(document(access_token=identity()))
        yield made


@pytest.fixture
def hosted(service: MetadataService) -> dict[str, str]:
    """The environment of a container in App Service."""
    return {"IDENTITY_ENDPOINT": f"http://{service.host}/msi/token", "IDENTITY_HEADER": SECRET}


@pytest.fixture
def in_cluster(service: MetadataService, tmp_path: Path) -> dict[str, str]:
    """The environment of a pod in AKS with a workload identity."""
    (tmp_path / "token").write_text(identity(sub="a pod"), encoding="ascii")
    return {
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        "AZURE_TENANT_ID": "a-tenant",
        "AZURE_CLIENT_ID": "a-client",
        "AZURE_AUTHORITY_HOST": f"http://{service.host}/",
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    }


def test_app_service_is_asked_with_its_secret(service: MetadataService, hosted: Mapping[str, str], home: Path) -> None:
    supplier = AzureSupplier(surroundings(home, hosted, audience=AUDIENCE))
    supplier.check(NOW)
    assert (service.asked, supplier.marker) == ([], "IDENTITY_ENDPOINT and IDENTITY_HEADER are set")
    offer = supplier.offer(NOW)
    assert offer.grant is Grant.TOKEN_EXCHANGE
    assert offer.parameters == {"subject_token": identity(), "subject_token_type": TokenType.JWT.value}
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("GET", "/msi/token")
    assert asked.query == {"api-version": "2019-08-01", "resource": AUDIENCE}
    assert asked.headers["x-identity-header"] == SECRET


def test_a_user_assigned_identity_is_chosen_by_its_client_id(
    service: MetadataService, hosted: dict[str, str], home: Path
) -> None:
    hosted |= {"AZURE_CLIENT_ID": "a-client", "IDENTITY_ENDPOINT": f"http://{service.host}/msi/token?x=y"}
    AzureSupplier(surroundings(home, hosted)).offer(NOW)
    assert (service.asked[0].query["client_id"], service.asked[0].query["x"]) == ("a-client", "y")


def test_a_virtual_machine_asks_its_metadata_service(service: MetadataService, home: Path) -> None:
    place = f"http://{service.host}/metadata/identity/oauth2/token"
    AzureSupplier(surroundings(home, NAMED, audience=AUDIENCE), place).offer(NOW)
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("GET", "/metadata/identity/oauth2/token")
    assert asked.query == {"api-version": "2018-02-01", "resource": AUDIENCE}
    assert asked.headers["metadata"] == "true"


def test_a_pod_has_its_token_exchanged_by_entra_as_the_kubelet_replaces_it(
    service: MetadataService, in_cluster: Mapping[str, str], home: Path
) -> None:
    supplier = AzureSupplier(surroundings(home, in_cluster, audience=AUDIENCE))
    for name in ("first", "second"):
        Path(in_cluster["AZURE_FEDERATED_TOKEN_FILE"]).write_text(identity(sub=name), encoding="ascii")
        supplier.offer(NOW)
        asked = service.asked[-1]
        assert (asked.method, asked.path) == ("POST", "/a-tenant/oauth2/v2.0/token")
        assert asked.form == {
            "grant_type": "client_credentials",
            "client_id": "a-client",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": identity(sub=name),
            "scope": f"{AUDIENCE}/.default",
        }


def test_no_proxy_stands_between_a_program_and_the_services_beside_it(
    service: MetadataService, hosted: Mapping[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    AzureSupplier(surroundings(home, hosted)).offer(NOW)
    assert service.asked[0].headers["host"] == service.host


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(status=302, headers={"Location": "/elsewhere"}), IdentityUnusable),
        (Said(document(error="invalid_resource"), 400), IdentityUnusable),
        (Said(status=410), NoAnswer),
        (Said(status=429), NoAnswer),
        (Said(status=500), NoAnswer),
        (Said(b"<html>"), AnswerUnusable),
        (Said(document()), AnswerUnusable),
        (Said(document(access_token=7)), AnswerUnusable),
        (Said(document(access_token="opaque")), IdentityUnusable),
    ],
    ids=["redirect", "refused", "gone", "too-many", "away", "no-json", "no-token", "a-number", "opaque"],
)
def test_what_goes_wrong_is_told_apart_and_asked_once(
    said: Said, kind: type[CallFailed], service: MetadataService, hosted: Mapping[str, str], home: Path
) -> None:
    service.said = said
    with pytest.raises(CallFailed) as failed:
        AzureSupplier(surroundings(home, hosted)).offer(NOW)
    assert type(failed.value) is kind
    assert leaks.find(str(failed.value)) is None
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"AZURE_FEDERATED_TOKEN_FILE": ""}, "AZURE_FEDERATED_TOKEN_FILE is not, or is empty"),
        ({"AZURE_FEDERATED_TOKEN_FILE": "/nowhere"}, "No such file"),
        ({"AZURE_TENANT_ID": ""}, "AZURE_TENANT_ID is not, or is empty"),
        ({"AZURE_CLIENT_ID": ""}, "AZURE_CLIENT_ID is not, or is empty"),
        ({"AZURE_AUTHORITY_HOST": "ftp://x"}, "AZURE_AUTHORITY_HOST is not an address"),
        ({**HOSTED, "IDENTITY_ENDPOINT": ""}, "IDENTITY_ENDPOINT is not an address"),
        ({**HOSTED, "IDENTITY_HEADER": ""}, "IDENTITY_HEADER is empty"),
        ({**HOSTED, "IDENTITY_HEADER": "a\r\nb"}, "characters that it never has"),
    ],
    ids=str,
)
def test_what_is_broken_says_so_before_anything_is_sent(
    changes: Mapping[str, str], said: str, service: MetadataService, in_cluster: Mapping[str, str], home: Path
) -> None:
    supplier = AzureSupplier(surroundings(home, {**in_cluster, **changes}))
    assert supplier.present()
    with pytest.raises(IdentityUnusable, match=said):
        supplier.check(NOW)
    assert service.asked == []


@pytest.mark.parametrize(
    ("environ", "marker"),
    [
        (HOSTED, "IDENTITY_ENDPOINT and IDENTITY_HEADER are set"),
        ({"AZURE_FEDERATED_TOKEN_FILE": "/nowhere"}, "AZURE_FEDERATED_TOKEN_FILE is set"),
        (NAMED, "AUTHSERVER_PLATFORM is azure"),
        ({**HOSTED, **NAMED, "CI": "true"}, "AUTHSERVER_PLATFORM is azure"),
    ],
    ids=str,
)
def test_a_variable_says_that_it_is_meant(environ: Mapping[str, str], marker: str, home: Path) -> None:
    supplier = AzureSupplier(surroundings(home, environ))
    with asked_of_the_system() as events:
        assert (supplier.absence(), supplier.marker) == (None, marker)
    assert events == []


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "neither IDENTITY_ENDPOINT with IDENTITY_HEADER nor AZURE_FEDERATED_TOKEN_FILE"),
        ({"IDENTITY_ENDPOINT": "http://localhost:40342/metadata", "IMDS_ENDPOINT": "x"}, "neither IDENTITY_ENDPOINT"),
        ({"AZURE_TENANT_ID": "x", "AZURE_CLIENT_ID": "y"}, "neither IDENTITY_ENDPOINT"),
        ({**HOSTED, "AUTHSERVER_PLATFORM": "google"}, "AUTHSERVER_PLATFORM is not azure"),
        ({"AZURE_FEDERATED_TOKEN_FILE": "/x", "CI": "true"}, "Set AUTHSERVER_PLATFORM=azure if it is meant"),
    ],
    ids=str,
)
def test_where_a_program_runs_is_no_marker_by_itself(environ: Mapping[str, str], said: str, home: Path) -> None:
    assert said in str(AzureSupplier(surroundings(home, environ)).absence())


def test_the_secret_of_the_host_goes_nowhere_without_tls(home: Path) -> None:
    environ = {**HOSTED, "IDENTITY_ENDPOINT": "http://192.0.2.1/msi/token"}
    with pytest.raises(AnswerUnusable, match="without TLS"):
        AzureSupplier(surroundings(home, environ)).offer(NOW)


def test_the_usual_place_of_a_virtual_machine_is_a_link_local_address(home: Path) -> None:
    """With no time at all nothing is sent, but that it would be shows."""
    with pytest.raises(NoAnswer, match=r"169\.254\.169\.254 did not answer in time"):
        AzureSupplier(surroundings(home, NAMED, deadline=0.0)).offer(NOW)
