"""The manifests in deploy/: nothing in them has more rights than it needs, and all of them speak of the same thing."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest

from authserver.cli.check import check_file
from authserver.settings import Settings, load
from tests.deploy.manifests import CONFIGURATIONS, DEPLOY, OVERLAYS, base, compose, image, unit

SERVICES = ("proxy", "authserver", "valkey", "images")
POD: dict[str, Any] = base()["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
USER = 10001


def name(file: Path) -> str:
    return str(file.relative_to(DEPLOY).parent)


# Configurations


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=name)
def test_every_configuration_can_be_used_and_its_policy_tests_pass(file: Path) -> None:
    checked = check_file(file)
    assert checked.problems == ()
    assert checked.verdicts
    assert not checked.failed


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=name)
def test_a_server_in_a_container_listens_where_its_proxy_can_reach_it(file: Path) -> None:
    settings = load(file)
    assert settings.server.bind == image()["CMD"][1] == "0.0.0.0:8400"
    assert settings.telemetry.bind == "0.0.0.0:8401"
    assert image()["EXPOSE"].split() == ["8400", "8401"]


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=name)
def test_only_private_networks_are_trusted_as_proxies(file: Path) -> None:
    private = [ipaddress.ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
    trusted = load(file).server.trusted_proxies
    assert trusted
    assert all(any(network.subnet_of(each) for each in private) for network in trusted)  # type: ignore[arg-type]


def test_the_environments_share_neither_issuer_nor_audience() -> None:
    settings = [load(DEPLOY / "kubernetes" / "overlays" / each / "authserver.toml") for each in OVERLAYS]
    assert len({each.server.issuer for each in settings}) == len(OVERLAYS)
    assert [each.server.environment for each in settings] == list(OVERLAYS)
    assert len({table.audience for each in settings for table in each.jwt_sources.values()}) == len(OVERLAYS)
    assert not set(settings[0].resources) & set(settings[1].resources)


def files_of(settings: Settings) -> set[str]:
    """The secrets that a configuration reads from files."""
    password = settings.store.password
    assert settings.master_key.file
    assert password
    assert password.file
    return {settings.master_key.file, password.file}


# The image


def test_the_image_runs_the_server_itself_without_root_and_without_a_shell() -> None:
    assert image()["USER"] == f"{USER}:{USER}"
    assert image()["ENTRYPOINT"] == ["authserver", "serve"]
    assert image()["HEALTHCHECK"] == ["authserver", "health"]
    assert image()["ENV"]["AUTHSERVER_CONFIG"] == "/etc/authserver/authserver.toml"


# Compose


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_read_only_root_and_no_capability(service: str) -> None:
    said = compose()["services"][service]
    assert said["read_only"] is True
    assert said["cap_drop"] == ["ALL"]
    assert "cap_add" not in said
    assert "privileged" not in said
    assert said["security_opt"] == ["no-new-privileges:true"]
    user, _ = said["user"].split(":")
    assert int(user) > 0
    for mount in said.get("volumes", ()):
        assert mount.endswith(":ro") or mount == "valkey-data:/data"


def test_the_compose_file_has_no_other_service() -> None:
    assert tuple(compose()["services"]) == SERVICES


def test_our_own_image_is_built_and_never_pulled() -> None:
    """Compose looks for an image in a registry before it builds one, and anybody may have called theirs the same."""
    services = compose()["services"]
    ours = {name: said["pull_policy"] for name, said in services.items() if said["image"] == "authserver"}
    assert ours == {"authserver": "build", "images": "never"}
    assert "build" in services["authserver"]


def test_every_file_that_is_mounted_is_there_or_is_a_secret() -> None:
    for said in compose()["services"].values():
        for mount in said.get("volumes", ()):
            source = mount.split(":")[0]
            assert not source.startswith(".") or "secrets" in source or (DEPLOY / source).exists()
    assert (DEPLOY / "compose" / "secrets" / ".gitignore").read_text("utf-8").splitlines()[1:] == ["*", "!.gitignore"]


def test_the_secrets_of_the_servers_in_compose_are_files_where_the_configuration_looks() -> None:
    said = compose()["services"]["authserver"]
    assert said["user"] == image()["USER"]
    assert said["deploy"]["replicas"] == 2
    assert "environment" not in said
    settings = load(DEPLOY / "compose" / "config" / "authserver.toml")
    assert {f"/run/secrets/{name}" for name in said["secrets"]} == files_of(settings)
    assert settings.store.url == "redis://valkey:6379"


def test_only_the_proxy_is_reached_from_outside_and_only_the_servers_reach_the_store() -> None:
    services, networks = compose()["services"], compose()["networks"]
    assert [name for name, said in services.items() if "ports" in said] == ["proxy", "images"]
    assert services["images"]["ports"] == ["127.0.0.1:8500:8500"]
    assert [name for name, said in services.items() if "store" in said["networks"]] == ["authserver", "valkey"]
    assert [name for name, said in services.items() if "inside" in said["networks"]] == ["proxy", "authserver"]
    assert networks["store"]["internal"] is networks["inside"]["internal"] is True


def test_the_store_of_the_compose_file_forgets_nothing() -> None:
    lines = (DEPLOY / "compose" / "valkey.conf").read_text("utf-8").splitlines()
    said = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    assert said["appendonly"] == "yes"
    assert said["appendfsync"] == "always"
    assert said["maxmemory-policy"] == "noeviction"
    assert said["dir"] == "/data"
    assert said["aclfile"] == f"/run/secrets/{compose()['services']['valkey']['secrets'][0]}"


# Kubernetes


def test_a_pod_has_no_right_that_it_does_not_need() -> None:
    assert POD["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["automountServiceAccountToken"] is base()["ServiceAccount"]["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & POD.keys()
    assert not {"command", "env", "envFrom"} & CONTAINER.keys()
    assert CONTAINER["args"] == image()["CMD"]


def test_what_is_mounted_is_read_only_but_for_memory() -> None:
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == volumes.keys()
    for mount in CONTAINER["volumeMounts"]:
        if not mount.get("readOnly"):
            assert mount["mountPath"] == "/tmp"
            assert volumes[mount["name"]]["emptyDir"]["medium"] == "Memory"
    for volume in volumes.values():
        if secret := volume.get("secret"):
            assert secret["defaultMode"] == 0o400


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_secrets_of_a_pod_are_files_where_the_configuration_looks(overlay: str) -> None:
    secrets = {volume["name"] for volume in POD["volumes"] if "secret" in volume}
    places = {mount["mountPath"] for mount in CONTAINER["volumeMounts"] if mount["name"] in secrets}
    settings = load(DEPLOY / "kubernetes" / "overlays" / overlay / "authserver.toml")
    assert {str(Path(file).parent) for file in files_of(settings)} == places
    assert settings.store.url.startswith("redis")


def test_pods_are_asked_how_they_are_and_have_time_to_end() -> None:
    assert CONTAINER["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert CONTAINER["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert CONTAINER["startupProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    before = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    readiness = CONTAINER["readinessProbe"]
    assert before >= readiness["periodSeconds"] * readiness["failureThreshold"]
    assert POD["terminationGracePeriodSeconds"] > before + 20  # what gunicorn gives to requests in flight


def test_a_roll_out_takes_none_away_before_another_is_ready() -> None:
    spec = base()["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["replicas"] >= 2
    assert base()["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    keys = [each["topologyKey"] for each in POD["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


def test_everything_selects_the_same_pods() -> None:
    labels = base()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert base()["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert base()["Service"]["spec"]["selector"] == labels
    assert base()["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert base()["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    for constraint in POD["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"] == labels


def test_only_the_proxy_and_monitoring_reach_a_pod_and_it_reaches_no_metadata_service() -> None:
    spec = base()["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    let_in = [(each["from"][0]["namespaceSelector"]["matchLabels"], each["ports"]) for each in spec["ingress"]]
    assert [labels["kubernetes.io/metadata.name"] for labels, _ in let_in] == ["ingress", "monitoring"]
    assert [[port["port"] for port in ports] for _, ports in let_in] == [["http"], ["metrics"]]
    for rule in spec["egress"]:
        assert rule["ports"]
        for block in (each["ipBlock"] for each in rule["to"] if "ipBlock" in each):
            assert "169.254.0.0/16" in block["except"]


# systemd


def test_the_unit_runs_what_the_image_runs() -> None:
    assert unit()["ExecStart"] == ["/opt/authserver/bin/authserver serve"]
    assert unit()["ExecReload"] == ["/opt/authserver/bin/authserver reload"]
    assert "AUTHSERVER_CONFIG=/etc/authserver/authserver.toml" in unit()["Environment"][0]


def test_the_unit_has_no_capability_and_writes_nowhere_else() -> None:
    said = unit()
    for setting in ("CapabilityBoundingSet", "AmbientCapabilities"):
        assert said[setting] == [""]
    assert said["ProtectSystem"] == ["strict"]
    assert said["StateDirectory"] == said["LogsDirectory"] == ["authserver"]
    assert "ReadWritePaths" not in said
    for setting in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictNamespaces"):
        assert said[setting] == ["yes"]
    assert said["RestartPreventExitStatus"] == ["78"]
