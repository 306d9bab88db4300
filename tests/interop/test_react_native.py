"""The TypeScript of the page about React Native: it fits together, and it works in node against a real server."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import leaks
from tests.house.pages import blocks
from tests.house.test_device_pages import PAGES, vector
from tests.house.tree import ROOT
from tests.interop.test_node import HERE, node
from tests.recipes.test_enrol_a_device import Machine, machine

pytestmark = pytest.mark.interop

__all__ = ["machine", "node"]

EXPO_CRYPTO = """
declare module 'expo-crypto' {
  export enum CryptoDigestAlgorithm { SHA256 = 'SHA-256' }
  export function digest(algorithm: CryptoDigestAlgorithm, data: BufferSource): Promise<ArrayBuffer>;
  export function randomUUID(): string;
}
"""
"""What the page uses of a package that runs on phones only."""

OPTIONS = (
    "--strict",
    "--target",
    "es2022",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
    "--lib",
    "es2022,dom",
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's code, checked and compiled."""
    folder = tmp_path_factory.mktemp("react-native")
    page = ROOT / "docs" / "how-to" / "enrol-a-react-native-app.md"
    (folder / "device.ts").write_text("\n".join(block.text for block in blocks(page, "typescript")), encoding="utf-8")
    (folder / "expo-crypto.d.ts").write_text(EXPO_CRYPTO, encoding="utf-8")
    compiler = str(HERE / "node_modules" / "typescript" / "bin" / "tsc")
    command = ["node", compiler, *OPTIONS, "--outDir", ".", "device.ts", "expo-crypto.d.ts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    package = folder / "node_modules" / "expo-crypto"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"main": "index.js"}', encoding="utf-8")
    (package / "index.js").touch()
    yield (folder / "device.js").rename(folder / "device.mjs")
    shutil.rmtree(folder)


def run(compiled: Path, **question: str) -> dict[str, Any]:
    """What the program answers."""
    done = subprocess.run(
        ["node", "react_native.mjs", compiled.as_uri()],
        cwd=HERE,
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    leak = leaks.find(done.stdout + done.stderr)
    assert leak is None, f"the program's output holds {leak}"
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("page", PAGES)
def test_the_conversions_give_the_test_vectors_of_every_page(compiled: Path, page: str) -> None:
    wanted = vector(page)
    assert run(compiled, point=wanted["public_key"], der=wanted["der_signature"]) == {
        "jwk": wanted["jwk"],
        "thumbprint": wanted["thumbprint"],
        "raw": wanted["raw_signature"],
        "again": wanted["public_key"],
    }


def test_a_device_enrols_gets_its_token_after_a_nonce_and_calls_the_api(compiled: Path, machine: Machine) -> None:
    invite = "authserver devices invite --source phones --owner alice --json | jq -j .url"
    scanned = leaks.handled(machine.run(invite))
    answer = run(compiled, scanned=scanned, resource=machine.api, url=f"{machine.api}/images")
    assert answer.pop("clientId").startswith("dev_")
    assert answer == {"kept": True, "statuses": [200, 200, 200]}
