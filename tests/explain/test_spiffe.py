"""``authserver explain`` about SPIFFE workloads, whose tokens name no issuer."""

import json
from pathlib import Path

import pytest

from authserver.testing import FakeIssuer
from tests import mesh
from tests.explain.commands import explained
from tests.mesh import THUMBNAILER
from tests.served import AUDIENCE, IMAGES, write_configuration

READS = ("--resource", IMAGES, "--scope", "images:read")


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """One whose bundle has a key that signs nothing here."""
    with FakeIssuer() as elsewhere:
        (tmp_path / "bundle.json").write_text(json.dumps(elsewhere.bundle), "utf-8")
    return write_configuration(tmp_path, cluster="https://cluster.example.com", more=mesh.in_file("bundle.json"))


def test_a_jwt_svid_that_is_not_believed_says_who_it_claims_to_be(configuration: Path) -> None:
    with FakeIssuer() as stranger:
        found = explained(configuration, *READS, token=stranger.spiffe_token(THUMBNAILER, AUDIENCE))
    assert (found["decision"], found["reason"], found["caller"]["basis"]) == ("deny", "key_unknown", "unverified")
    assert found["rules"]["decision"] == "allow"


@pytest.mark.parametrize("envelope", [{}, {"aud": [AUDIENCE]}, {"iss": "https://oidc.example.org"}])
def test_a_claim_set_is_known_by_its_spiffe_id(envelope: dict[str, object], configuration: Path) -> None:
    found = explained(configuration, "--source", "mesh", *READS, claims={"sub": THUMBNAILER, **envelope})
    assert (found["decision"], found["caller"]["sub"]) == ("allow", f"mesh:{THUMBNAILER}")


def test_a_workload_can_be_described_by_its_attributes(configuration: Path) -> None:
    for path, decision in (("/ns/media/sa/thumbnailer", "allow"), ("/ns/default/sa/thumbnailer", "deny")):
        found = explained(configuration, "--source", "mesh", *READS, claims={"path": path})
        assert found["decision"] == decision


def test_a_claim_set_of_another_trust_domain_is_denied(configuration: Path) -> None:
    found = explained(configuration, "--source", "mesh", *READS, claims={"sub": "spiffe://other.example/a"})
    assert (found["decision"], found["reason"]) == ("deny", "trust_domain_wrong")
