"""The lock files: whole, hashed, and free of anything that belongs to one machine or one registry."""

import re

import pytest

from tests.house.tree import LOCKS, ROOT, locked, requirements

DEPENDENCIES = (ROOT / "docs" / "explanation" / "dependencies.md").read_text(encoding="utf-8")
KINDS = ("base", "server", "cli", "flask", "keyring", "otel", "dev", "build", "recipes", "browser", "deploy", "fuzz")
DIRECT = frozenset().union(*map(requirements, KINDS))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address_no_option_and_no_path(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert not re.search(r"://|^\s*--(?!hash=sha256:[0-9a-f]{64})|^-|(^|\s)[./~]*/|@ ", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_gives_every_package_one_exact_version_with_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert len(blocks) == len(locked(lock))
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==[0-9][^ ]*( ; .+)? \\\n    --hash=sha256:", block), block


def test_the_server_is_locked() -> None:
    assert requirements("base") | requirements("server") | requirements("flask") <= locked("requirements.lock")


def test_the_development_lock_holds_the_others() -> None:
    assert requirements("dev") | locked("requirements.lock") | locked("requirements-build.lock") <= locked(
        "requirements-dev.lock"
    )


def test_the_build_backend_is_locked() -> None:
    assert requirements("build") <= locked("requirements-build.lock")


@pytest.mark.parametrize("group", ["recipes", "browser", "deploy", "fuzz"])
def test_what_only_some_tests_need_is_locked(group: str) -> None:
    assert requirements(group) <= locked(f"requirements-{group}.lock")


def test_all_locks_agree_on_every_version() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in re.findall(
            r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE
        ):
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", sorted(DIRECT))
def test_a_dependency_says_what_it_is_for(name: str) -> None:
    assert re.search(rf"^\| {re.escape(name)} \|", DEPENDENCIES, re.MULTILINE | re.IGNORECASE)


def test_no_dependency_is_explained_that_is_gone() -> None:
    explained = {name.lower() for name in re.findall(r"^\| ([A-Za-z][\w-]*) \|", DEPENDENCIES, re.MULTILINE)}
    assert explained - DIRECT == {"name"}
