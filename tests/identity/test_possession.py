"""Proofs that are used up after they were accepted."""

from pathlib import Path

import pytest

from authserver.errors import NonceWanted, ProofRejected, Reason
from authserver.identity.possession import Possession
from authserver.jose.nonce import Nonces
from authserver.store.sqlite import SqliteStore
from tests.devices import DeviceKey

NOW, SKEW, URL = 1_800_000_000.0, 30, "https://auth.example.com/token"


@pytest.mark.parametrize("with_nonce", [True, False])
def test_a_proof_that_is_over_when_it_is_used_up_is_refused_so_that_no_replay_passes(
    with_nonce: bool, tmp_path: Path
) -> None:
    store = SqliteStore(tmp_path / "store.db")
    possession = Possession(store, Nonces([bytes(32)], skew=SKEW), skew=SKEW)
    nonce = possession.nonce(NOW) if with_nonce else None
    proof = DeviceKey().proof("POST", URL, now=NOW, nonce=nonce)
    proven = possession.prove([proof], method="POST", url=URL, now=NOW)
    possession.spend(proven, proven.until - 1)
    with pytest.raises(ProofRejected) as replayed:
        possession.spend(proven, proven.until - 1)
    assert replayed.value.reason is Reason.PROOF_REPLAYED
    with pytest.raises(NonceWanted) as late:
        possession.spend(proven, proven.until)
    assert late.value.reason is (Reason.NONCE_WRONG if with_nonce else Reason.PROOF_TIME_WRONG)
    store.close()
