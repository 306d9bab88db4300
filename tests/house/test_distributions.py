"""What is shipped: the wheel, the source distribution, and the image."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

from authserver import __version__
from tests.house.tree import PACKAGE, ROOT

DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS: Final = [
    line.split(maxsplit=1) for line in DOCKERFILE.replace("\\\n", " ").splitlines() if re.match(r"[A-Z]+ ", line)
]


def arguments(instruction: str) -> list[str]:
    """The arguments of every occurrence of an instruction in the Dockerfile, in order."""
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """The names in the wheel, and those in the source distribution without its top directory."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,), (sdist,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    assert wheel.name == f"authserver-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as opened, tarfile.open(sdist) as unpacked:
        return set(opened.namelist()), {name.partition("/")[2] for name in unpacked.getnames()}


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_licence_and_nothing_else(built: tuple[set[str], set[str]]) -> None:
    wheel, _ = built
    metadata = f"authserver-{__version__}.dist-info/"
    assert {name for name in wheel if not name.startswith(("authserver/", metadata))} == set()
    assert f"{metadata}licenses/LICENSE" in wheel
    modules = {file.relative_to(ROOT).as_posix() for file in PACKAGE.rglob("*.py")}
    assert modules <= wheel


@pytest.mark.slow
def test_no_distribution_holds_a_key_a_store_or_a_test(built: tuple[set[str], set[str]]) -> None:
    for names in built:
        assert {name for name in names if re.search(r"^(keys|tests|\.)|\.(key|pem|db)(-|$)", name)} <= {".gitignore"}


@pytest.mark.slow
def test_the_source_distribution_holds_what_a_user_reads(built: tuple[set[str], set[str]]) -> None:
    _, sdist = built
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", "config/authserver.toml"} <= sdist


def test_the_image_is_built_in_two_stages_from_one_pinned_slim_base() -> None:
    bases = [re.match(r"(\S+)", base) for base in arguments("FROM")]
    assert [base and base[1] for base in bases] == ["python:3.13-slim-bookworm"] * 2


def test_the_image_does_not_run_as_root() -> None:
    (user,) = arguments("USER")
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user)


def test_the_image_checks_its_own_health() -> None:
    (check,) = arguments("HEALTHCHECK")
    assert check.endswith('CMD ["authserver", "health"]')  # no shell, and no program that is not ours


def test_the_image_installs_nothing_without_a_hash() -> None:
    for command in arguments("RUN"):
        for install in re.findall(r"pip (?:\S+ \S+ )?install [^&]+", command):
            assert "--require-hashes" in install or "--no-index" in install, install


def test_the_image_copies_only_named_things_and_no_key() -> None:
    assert arguments("ADD") == []
    copied = " ".join(arguments("COPY")).split()
    assert "." not in copied
    assert not [name for name in copied if "key" in name]


def test_what_the_image_needs_is_all_that_the_build_is_shown() -> None:
    shown = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    own = [copy.split() for copy in arguments("COPY") if not copy.startswith("--from")]
    assert {source for words in own for source in words[:-1]} == shown


def test_the_image_serves() -> None:
    assert arguments("ENTRYPOINT") == ['["authserver", "serve"]']
    assert arguments("EXPOSE") == ["8400 8401"]
    assert "AUTHSERVER_CONFIG=/etc/authserver/authserver.toml" in " ".join(arguments("ENV"))
    assert arguments("VOLUME") == ["/var/lib/authserver"]


def test_keys_are_never_committed() -> None:
    ignored = (ROOT / "keys" / ".gitignore").read_text(encoding="utf-8").split()
    assert ignored == ["*", "!.gitignore", "!README.md"]


def test_the_typing_marker_is_shipped() -> None:
    assert (Path(PACKAGE) / "py.typed").is_file()
