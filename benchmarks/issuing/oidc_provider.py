"""node's oidc-provider as a contender (``benchmarks/node/oidc_provider.mjs``)."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.issuing.answers import AUDIENCE, SCOPE, Expected, token_check
from benchmarks.issuing.callers import Client
from benchmarks.issuing.contenders import DPOP, ES256, RS256, Contender, Running
from benchmarks.issuing.loads import Load
from benchmarks.issuing.ours import Callers
from benchmarks.issuing.signing import Signer
from benchmarks.processes import free_port, listens, on, running

NAME: Final = "node oidc-provider"
NODE: Final = Path(__file__).parents[1] / "node"
ISSUER: Final = "http://auth.example.com"
"""Plain HTTP: it compares the address in a proof with that of the request, and nothing stands before it here."""

TOKENS: Final = "/token"
KEYS: Final = "/jwks"


def contender(callers: Callers) -> Contender:
    """The server, with a client for each algorithm."""
    es256, rs256 = (Client(signer, f"service-{signer.algorithm}", ISSUER) for signer in (callers.es256, callers.rs256))
    proving = Client(callers.es256, es256.client_id, ISSUER, proves=True)
    loads = (_load(ES256, es256), _load(RS256, rs256), _load(DPOP, proving))
    document = {
        "issuer": ISSUER,
        "jwks": {"keys": [Signer.generate("ES256").private_jwk, Signer.generate("RS256").private_jwk]},
        "clients": [_registered(client) for client in (es256, rs256)],
        "audience": AUDIENCE,
        "scope": SCOPE,
    }
    return Contender(NAME, partial(_started, document), loads, missing=_missing())


def _missing() -> str:
    if shutil.which("node") is None:
        return "node is not installed"
    return "" if (NODE / "node_modules" / "oidc-provider").exists() else f"npm ci was not run in {NODE.name}"


def _load(kind: str, client: Client) -> Load:
    expected = Expected(ISSUER, client.client_id, jkt=client.jkt if client.proves else None)
    return Load(kind, client.requests(TOKENS), token_check(expected), single_use=True, keys_path=KEYS)


def _registered(client: Client) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": client.signer.algorithm,
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
        "scope": SCOPE,
        "jwks": {"keys": [client.signer.jwk]},
    }


@contextmanager
def _started(document: dict[str, Any], folder: Path, core_list: Sequence[int]) -> Iterator[Running]:
    port = free_port()
    said = folder / "oidc-provider.json"
    said.write_text(json.dumps({**document, "port": port}), encoding="utf-8")
    command = on(core_list, ["node", str(NODE / "oidc_provider.mjs"), str(said)])
    with running(command, lambda: listens(port), folder=folder, environment={"NODE_ENV": "production"}) as pid:
        yield Running(port, pid)
