"""The identity tokens that platforms put into variables and files: any, Kubernetes, GitLab."""

import os
from pathlib import Path

import pytest

from authserver.client.failures import IdentityUnusable
from authserver.client.suppliers.environment import EnvironmentSupplier
from authserver.client.suppliers.gitlab import GitLabSupplier
from authserver.client.suppliers.kubernetes import KubernetesSupplier
from authserver.oauth import Grant, TokenType
from tests.client.identities import NOW, identity, surroundings

FILE, VALUE = "AUTHSERVER_IDENTITY_TOKEN_FILE", "AUTHSERVER_IDENTITY_TOKEN"
IN_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


def test_a_token_in_a_variable_is_exchanged(home: Path) -> None:
    supplier = EnvironmentSupplier(surroundings(home, {VALUE: f" {identity()}\n"}))
    offer = supplier.offer(NOW)
    assert offer.grant is Grant.TOKEN_EXCHANGE
    assert offer.parameters == {"subject_token": identity(), "subject_token_type": TokenType.JWT.value}
    assert offer.key is None
    assert supplier.present()


def test_a_file_is_read_anew_for_each_request(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    supplier = EnvironmentSupplier(surroundings(home, {FILE: str(file)}))
    assert supplier.present()
    assert supplier.marker == f"{FILE} names {file}"
    with pytest.raises(IdentityUnusable, match="No such file"):
        supplier.offer(NOW)
    for name in ("first", "second"):
        file.write_text(identity(sub=name) + "\n", encoding="ascii")
        assert supplier.offer(NOW).parameters["subject_token"] == identity(sub=name)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({VALUE: ""}, f"{VALUE} is empty"),
        ({VALUE: " \n"}, f"{VALUE} is empty"),
        ({VALUE: "eyJhbGciOi"}, "not a signed JWT"),
        ({FILE: ""}, f"{FILE} is empty"),
        ({FILE: "/", VALUE: "x"}, "both"),
        ({FILE: "/"}, "not a signed JWT"),
        ({FILE: "/dev/null/x"}, "Not a directory"),
        ({FILE: "/dev/zero"}, "not a signed JWT"),
    ],
    ids=str,
)
def test_what_is_broken_says_so(environ: dict[str, str], said: str, home: Path) -> None:
    supplier = EnvironmentSupplier(surroundings(home, environ))
    assert supplier.present()
    with pytest.raises(IdentityUnusable, match=said):
        supplier.check(NOW)


def test_a_pipe_that_nobody_writes_to_holds_nobody_up(home: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    supplier = EnvironmentSupplier(surroundings(home, {FILE: str(tmp_path / "pipe")}))
    with pytest.raises(IdentityUnusable, match="not a signed JWT"):
        supplier.offer(NOW)


@pytest.mark.parametrize("content", [b"\xff" * 100, b"x" * 100_000, b"a.b.c"], ids=["bytes", "long", "dots"])
def test_a_file_that_holds_something_else_is_refused(content: bytes, home: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content)
    supplier = EnvironmentSupplier(surroundings(home, {FILE: str(tmp_path / "token")}))
    with pytest.raises(IdentityUnusable, match="holds no identity token"):
        supplier.offer(NOW)


def test_a_token_that_no_server_accepts_any_more_is_not_sent(home: Path) -> None:
    supplier = EnvironmentSupplier(surroundings(home, {VALUE: identity(exp=NOW)}))
    assert supplier.offer(NOW + 59).key is None
    with pytest.raises(IdentityUnusable, match="has expired"):
        supplier.offer(NOW + 60)


def test_a_token_that_does_not_say_when_it_ends_is_for_the_server_to_judge(home: Path) -> None:
    EnvironmentSupplier(surroundings(home, {VALUE: identity(exp=None)})).check(NOW)


def test_a_pod_shows_its_projected_token_as_the_kubelet_replaces_it(home: Path, tmp_path: Path) -> None:
    volume = tmp_path / "identity"
    volume.mkdir()
    (volume / "token").symlink_to(Path("..data") / "token")
    supplier = KubernetesSupplier(surroundings(home, IN_POD), str(volume / "token"))
    for name in ("first", "second"):
        (volume / name).mkdir()
        (volume / name / "token").write_text(identity(sub=name), encoding="ascii")
        (volume / "new").symlink_to(name)
        (volume / "new").replace(volume / "..data")
        assert supplier.offer(NOW).parameters["subject_token"] == identity(sub=name)
    assert supplier.offer(NOW).parameters["subject_token_type"] == TokenType.JWT.value
    supplier.check(NOW)
    assert supplier.marker == f"the pod has {volume / 'token'}"


def test_the_path_is_that_of_the_documentation(home: Path) -> None:
    supplier = KubernetesSupplier(surroundings(home, IN_POD))
    assert "no token is projected to /var/run/identity/token" in str(supplier.absence())


def test_outside_a_pod_a_file_at_the_usual_place_means_nothing(home: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(identity(), encoding="ascii")
    supplier = KubernetesSupplier(surroundings(home), str(tmp_path / "token"))
    assert supplier.absence() == "KUBERNETES_SERVICE_HOST is not set"
    assert not supplier.present()


def test_a_link_to_nothing_is_a_marker_that_is_broken(home: Path, tmp_path: Path) -> None:
    (tmp_path / "token").symlink_to("nowhere")
    supplier = KubernetesSupplier(surroundings(home, IN_POD), str(tmp_path / "token"))
    assert supplier.present()
    with pytest.raises(IdentityUnusable, match="No such file"):
        supplier.check(NOW)


def test_a_place_that_leads_to_itself_is_broken_and_not_absent(home: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    supplier = KubernetesSupplier(surroundings(home, IN_POD), str(tmp_path / "loop" / "token"))
    assert supplier.present()
    with pytest.raises(IdentityUnusable, match="symbolic links"):
        supplier.check(NOW)


def test_a_file_that_is_named_must_be_there(home: Path, tmp_path: Path) -> None:
    named = "AUTHSERVER_KUBERNETES_TOKEN_FILE"
    supplier = KubernetesSupplier(surroundings(home, {named: str(tmp_path / "token")}))
    assert supplier.present()
    assert supplier.marker == f"{named} names {tmp_path / 'token'}"
    with pytest.raises(IdentityUnusable, match="No such file"):
        supplier.check(NOW)
    with pytest.raises(IdentityUnusable, match=f"{named} is empty"):
        KubernetesSupplier(surroundings(home, {named: ""})).check(NOW)


def test_a_gitlab_job_shows_its_id_token(home: Path) -> None:
    supplier = GitLabSupplier(surroundings(home, {"GITLAB_CI": "true", "AUTHSERVER_ID_TOKEN": identity()}))
    supplier.check(NOW)
    offered = supplier.offer(NOW).parameters
    assert offered == {"subject_token": identity(), "subject_token_type": TokenType.ID_TOKEN.value}


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "GITLAB_CI is not true"),
        ({"AUTHSERVER_ID_TOKEN": "x"}, "GITLAB_CI is not true"),
        ({"GITLAB_CI": "true"}, "its id_tokens have no AUTHSERVER_ID_TOKEN"),
    ],
    ids=str,
)
def test_a_job_that_asked_for_no_id_token_is_no_mistake(environ: dict[str, str], said: str, home: Path) -> None:
    assert said in str(GitLabSupplier(surroundings(home, environ)).absence())


def test_an_id_token_that_is_empty_is_one(home: Path) -> None:
    supplier = GitLabSupplier(surroundings(home, {"GITLAB_CI": "true", "AUTHSERVER_ID_TOKEN": ""}))
    with pytest.raises(IdentityUnusable, match="AUTHSERVER_ID_TOKEN is empty"):
        supplier.offer(NOW)
