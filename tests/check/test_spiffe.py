"""``authserver check`` of SPIFFE sources: what it warns of, and what it finds at the bundle's address."""

from pathlib import Path

from authserver.cli.online import reach
from authserver.jose.fetch import Cause
from authserver.settings import load
from authserver.testing import FakeIssuer
from tests import mesh
from tests.check.build import run
from tests.served import write_configuration

CLUSTER = "https://cluster.example.com"


def found(configuration: Path) -> tuple[int, Cause | None]:
    """How many keys the trust domain has, and why there are none."""
    (mesh,) = [each for each in reach(load(configuration), clock=lambda: 0.0) if each.source == "mesh"]
    return len(mesh.keys), mesh.cause


def test_the_keys_of_a_bundle_are_listed_and_an_empty_bundle_is_no_mistake(tmp_path: Path) -> None:
    with FakeIssuer(algorithms=("ES256", "RS256")) as trust_domain:
        configuration = write_configuration(
            tmp_path, cluster=trust_domain.issuer, more=mesh.at(trust_domain.bundle_url)
        )
        assert found(configuration) == (2, None)
        trust_domain.publish_nothing()
        assert found(configuration) == (0, None)
        trust_domain.publish_garbage()
        assert found(configuration) == (0, Cause.ANSWER_MALFORMED)


def test_a_rule_that_admits_several_workloads_is_warned_of_and_one_that_names_a_path_is_not(tmp_path: Path) -> None:
    one = write_configuration(tmp_path / "one", cluster=CLUSTER, more=mesh.in_file("b.json"))
    several = write_configuration(
        tmp_path / "several",
        cluster=CLUSTER,
        more=mesh.in_file("b.json").replace('"/ns/media/sa/thumbnailer"', '{ glob = "/ns/media/sa/*" }'),
    )
    assert "mesh-thumbnailer" not in run(one).output
    assert "allow.mesh-thumbnailer-reads-images" in run(several).output
