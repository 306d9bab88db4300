"""What others say of deploy/: hadolint, the schemas of Kubernetes, and systemd itself. ``make deploy`` runs them."""

import json
import subprocess
from pathlib import Path

import jsonschema
import pytest

from tests.absent import absent
from tests.deploy.manifests import DEPLOY, OVERLAYS, Document, base, built, program
from tests.house.tree import ROOT

pytestmark = pytest.mark.deploy

KUBERNETES = ("1.32", "1.37")
"""The oldest version that these manifests are for, which has a pause before the end without a shell, and a new one."""


def validate(document: Document, version: str) -> None:
    """Check a manifest against the schema of a version of Kubernetes, which has no members but those it lists.

    :raises jsonschema.ValidationError: it is none.
    """
    try:
        import kubernetes_validate
    except ModuleNotFoundError:
        absent("kubernetes-validate is not installed")
    kubernetes_validate.validate(document, version, strict=True)


def test_hadolint_finds_nothing() -> None:
    command = [program("hadolint"), "--no-color", str(ROOT / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_kustomize_builds_is_what_the_schemas_of_kubernetes_allow(overlay: str, version: str) -> None:
    for document in built(overlay).values():
        validate(document, version)


def test_the_schemas_notice_what_is_wrong() -> None:
    broken = json.loads(json.dumps(base()["Deployment"]))
    broken["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRoot"] = True
    with pytest.raises(jsonschema.ValidationError, match="readOnlyRoot"):
        validate(broken, KUBERNETES[-1])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_whole(overlay: str) -> None:
    documents = built(overlay)
    assert documents.keys() == {"Namespace", "ConfigMap", *base()}
    namespace = documents["Namespace"]["metadata"]
    assert namespace["name"] == f"authserver-{overlay}"
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {d["metadata"].get("namespace") for kind, d in documents.items() if kind != "Namespace"} == {
        namespace["name"]
    }
    deployment = documents["Deployment"]["spec"]
    (configuration,) = [v for v in deployment["template"]["spec"]["volumes"] if v["name"] == "configuration"]
    assert configuration["configMap"]["name"] == documents["ConfigMap"]["metadata"]["name"] != "authserver"
    assert deployment["template"]["spec"]["containers"][0]["image"].startswith("registry.example.com/authserver:")
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert documents["Service"]["spec"]["selector"].items() <= labels.items()


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that is there."""
    text = (DEPLOY / "systemd" / "authserver.service").read_text("utf-8")
    file = tmp_path / "authserver.service"
    file.write_text(text.replace("/opt/authserver/bin/authserver", "/bin/true"), encoding="utf-8")
    return file


def test_systemd_understands_every_line_of_the_unit(unit: Path) -> None:
    done = subprocess.run(
        [program("systemd-analyze"), "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


def test_systemd_finds_the_unit_little_exposed(unit: Path) -> None:
    command = [program("systemd-analyze"), "security", "--offline=true", "--threshold=15", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
