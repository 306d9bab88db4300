"""Google Cloud as a program there meets it: the metadata server, over real HTTP."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from authserver.client.failures import AnswerUnusable, CallFailed, IdentityUnusable, NoAnswer
from authserver.client.suppliers.google import GoogleSupplier
from authserver.oauth import Grant, TokenType
from tests.client.identities import NOW, asked_of_the_system, identity, surroundings
from tests.client.metadata import MetadataService, Said

AUDIENCE = "https://auth.example.com/a b?c&d"
FLAVOR = {"Metadata-Flavor": "Google"}
IN_CLOUD_RUN = {"K_SERVICE": "thumbnailer"}
NAMED = {"AUTHSERVER_PLATFORM": "google"}


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with MetadataService() as made:
        made.said = Said(identity().encode(), headers=FLAVOR)
        yield made


def test_the_metadata_server_is_asked_for_a_full_token_for_the_audience(service: MetadataService, home: Path) -> None:
    supplier = GoogleSupplier(surroundings(home, IN_CLOUD_RUN, audience=AUDIENCE), service.host)
    supplier.check(NOW)
    assert service.asked == []
    offer = supplier.offer(NOW)
    assert offer.grant is Grant.TOKEN_EXCHANGE
    assert offer.parameters == {"subject_token": identity(), "subject_token_type": TokenType.ID_TOKEN.value}
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("GET", "/computeMetadata/v1/instance/service-accounts/default/identity")
    assert asked.query == {"audience": AUDIENCE, "format": "full"}
    assert asked.headers["metadata-flavor"] == "Google"


def test_googles_own_variable_says_where_the_metadata_server_is(service: MetadataService, home: Path) -> None:
    supplier = GoogleSupplier(surroundings(home, {"GCE_METADATA_HOST": service.host}))
    assert (supplier.present(), supplier.marker) == (True, "GCE_METADATA_HOST is set")
    supplier.offer(NOW)
    assert len(service.asked) == 1


def test_no_proxy_stands_between_a_program_and_the_metadata_server(
    service: MetadataService, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    GoogleSupplier(surroundings(home, IN_CLOUD_RUN), service.host).offer(NOW)
    assert service.asked[0].headers["host"] == service.host


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(identity().encode()), AnswerUnusable),
        (Said(identity().encode(), headers={"Metadata-Flavor": "google"}), AnswerUnusable),
        (Said(status=404), AnswerUnusable),
        (Said(b"no account", 404, FLAVOR), IdentityUnusable),
        (Said(status=302, headers={**FLAVOR, "Location": "/elsewhere"}), IdentityUnusable),
        (Said(status=503, headers={**FLAVOR, "Retry-After": "7"}), NoAnswer),
        (Said(status=429, headers=FLAVOR), NoAnswer),
        (Said(b"", headers=FLAVOR), IdentityUnusable),
        (Said(b"<html>", headers=FLAVOR), IdentityUnusable),
        (Said(b"\xff", headers=FLAVOR), IdentityUnusable),
        (Said(identity(exp=NOW - 61).encode(), headers=FLAVOR), IdentityUnusable),
    ],
    ids=["no-flavor", "another-flavor", "a-404-of-another", "no-account", "redirect", "away", "too-many", "empty",
         "no-token", "no-ascii", "expired"],
)  # fmt: skip
def test_what_goes_wrong_is_told_apart_and_asked_once(
    said: Said, kind: type[CallFailed], service: MetadataService, home: Path
) -> None:
    service.said = said
    with pytest.raises(CallFailed) as failed:
        GoogleSupplier(surroundings(home, IN_CLOUD_RUN), service.host).offer(NOW)
    assert type(failed.value) is kind
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("environ", "marker"),
    [
        (IN_CLOUD_RUN, "this is Cloud Run: K_SERVICE is set"),
        ({"CLOUD_RUN_JOB": "import"}, "this is Cloud Run: CLOUD_RUN_JOB is set"),
        ({"CLOUD_RUN_WORKER_POOL": "workers"}, "this is Cloud Run: CLOUD_RUN_WORKER_POOL is set"),
        (NAMED, "AUTHSERVER_PLATFORM is google"),
        ({**NAMED, "CI": "true", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "AUTHSERVER_PLATFORM is google"),
        ({"GCE_METADATA_HOST": ""}, "GCE_METADATA_HOST is set"),
    ],
    ids=str,
)
def test_a_variable_says_that_it_is_meant(environ: Mapping[str, str], marker: str, home: Path) -> None:
    supplier = GoogleSupplier(surroundings(home, environ))
    with asked_of_the_system() as events:
        assert (supplier.absence(), supplier.marker) == (None, marker)
    assert events == []


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "neither GCE_METADATA_HOST nor K_SERVICE"),
        ({"GOOGLE_CLOUD_PROJECT": "media", "K_SERVICE": ""}, "neither GCE_METADATA_HOST nor K_SERVICE"),
        ({**IN_CLOUD_RUN, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "neither GCE_METADATA_HOST nor K_SERVICE"),
        ({**IN_CLOUD_RUN, "AUTHSERVER_PLATFORM": "azure"}, "AUTHSERVER_PLATFORM is not google"),
        ({**IN_CLOUD_RUN, "CI": "true"}, "Set AUTHSERVER_PLATFORM=google if it is meant"),
        ({**IN_CLOUD_RUN, "CI": "1"}, "Set AUTHSERVER_PLATFORM=google if it is meant"),
    ],
    ids=str,
)
def test_where_a_program_runs_is_no_marker_by_itself(environ: Mapping[str, str], said: str, home: Path) -> None:
    assert said in str(GoogleSupplier(surroundings(home, environ)).absence())


@pytest.mark.parametrize("host", ["", "a b", "user@127.0.0.1", "127.0.0.1:x"])
def test_a_host_that_is_none_is_broken_before_anything_is_sent(host: str, home: Path) -> None:
    with pytest.raises(IdentityUnusable, match="GCE_METADATA_HOST is not an address"):
        GoogleSupplier(surroundings(home, {"GCE_METADATA_HOST": host})).check(NOW)


def test_no_host_farther_away_is_asked_in_the_clear(home: Path) -> None:
    supplier = GoogleSupplier(surroundings(home, {"GCE_METADATA_HOST": "192.0.2.1"}))
    with pytest.raises(AnswerUnusable, match="http is for loopback and link-local addresses"):
        supplier.offer(NOW)


def test_the_usual_place_is_a_link_local_address(home: Path) -> None:
    """With no time at all nothing is sent, but that it would be shows."""
    with pytest.raises(NoAnswer, match=r"169\.254\.169\.254 did not answer in time"):
        GoogleSupplier(surroundings(home, NAMED, deadline=0.0)).offer(NOW)
