"""What deploy/ has, read: the compose file, the overlays as kustomize builds them, the unit, and the image."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.absent import absent
from tests.house.tree import ROOT

DEPLOY: Final = ROOT / "deploy"
OVERLAYS: Final = ("production", "staging")
CONFIGURATIONS: Final = sorted(DEPLOY.rglob("authserver.toml"))

Document = dict[str, Any]


@cache
def compose() -> Document:
    """The compose file, with its fragments merged in."""
    found: Document = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return found


@cache
def base() -> dict[str, Document]:
    """The manifests that every environment has, by kind."""
    folder = DEPLOY / "kubernetes" / "base"
    names = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))["resources"]
    documents = [yaml.safe_load((folder / name).read_text("utf-8")) for name in names]
    return {document["kind"]: document for document in documents}


@cache
def built(overlay: str) -> dict[str, Document]:
    """What kustomize makes of an overlay, by kind."""
    folder = str(DEPLOY / "kubernetes" / "overlays" / overlay)
    done = subprocess.run([*kustomize(), folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    documents = list(yaml.safe_load_all(done.stdout))
    assert len({document["kind"] for document in documents}) == len(documents)
    return {document["kind"]: document for document in documents}


def kustomize() -> list[str]:
    """The command that builds a folder: kustomize, or the one inside kubectl."""
    if alone := shutil.which("kustomize"):
        return [alone, "build"]
    return [program("kubectl"), "kustomize"]


def program(name: str) -> str:
    """Where a program is; some are installed as Python's packages are."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=places)
    if found is None:
        absent(f"{name} is not installed")
    return found


@cache
def image() -> dict[str, Any]:
    """What the Dockerfile says of the image that it ends with, by instruction."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    last = re.split(r"^FROM ", text, flags=re.MULTILINE)[-1]
    said: dict[str, Any] = {}
    for line in last.splitlines()[1:]:
        instruction, _, value = line.partition(" ")
        if instruction in ("ENTRYPOINT", "CMD"):
            said[instruction] = json.loads(value)
        elif instruction == "HEALTHCHECK":
            said[instruction] = json.loads(value.partition("CMD ")[2])
        elif instruction in ("USER", "WORKDIR", "EXPOSE"):
            said[instruction] = value.strip()
        elif instruction == "ENV":
            said[instruction] = dict(each.split("=", 1) for each in value.split())
    return said


@cache
def unit() -> dict[str, list[str]]:
    """What the systemd unit says in ``[Service]``, each setting with its values in order."""

    class Repeated(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            if isinstance(value, list) and isinstance(self.get(key), list):
                self[key].extend(value)
            else:
                super().__setitem__(key, value)

    parser = configparser.RawConfigParser(dict_type=Repeated, strict=False, delimiters="=")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((DEPLOY / "systemd" / "authserver.service").read_text("utf-8"))
    return {name: parser["Service"][name].split("\n") for name in parser["Service"]}
