"""A stand-in for a Kubernetes cluster, to try the server where there is none.

``python stand_in_cluster.py FOLDER AUDIENCE media/thumbnailer media/uploader`` makes a signing key, as a cluster has
one, and writes into FOLDER

- ``cluster-jwks.json``: the public key, as ``kubectl get --raw /openid/v1/jwks`` shows a cluster's;
- ``thumbnailer.token`` and ``uploader.token``: for each service account the token that its pods would find, if they
  asked for one for AUDIENCE in a projected volume. It is good for an hour.

The private key is gone when the program ends. Run it again for new tokens: they come with a new key.
"""

import json
import sys
import time
from pathlib import Path

from authserver.testing import FakeIssuer

CLUSTER = "https://kubernetes.default.svc.cluster.local"
HOUR = 3600


def stand_in(folder: Path, audience: str, service_accounts: list[str], now: int) -> None:
    """Write the key set and one token for each ``namespace/name``. ``now`` is in seconds since the epoch."""
    with FakeIssuer() as issuer:
        (folder / "cluster-jwks.json").write_text(json.dumps(issuer.jwks), encoding="ascii")
        for namespace, _, name in (service_account.partition("/") for service_account in service_accounts):
            token = issuer.kubernetes_token(namespace, name, audience, iss=CLUSTER, iat=now, exp=now + HOUR)
            (folder / f"{name}.token").write_text(token, encoding="ascii")


if __name__ == "__main__":
    stand_in(Path(sys.argv[1]), sys.argv[2], sys.argv[3:], int(time.time()))
