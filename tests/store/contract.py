"""The contract of tests that every store passes.

A store's test module subclasses :class:`StoreContract`, :class:`~tests.store.device_contract.DeviceStoreContract` and
:class:`~tests.store.use_contract.DeviceUseContract`, and gives the fixture ``open_store``, which opens the same
store again at each call, as another node or process would. Time is an argument everywhere.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from authserver.errors import Conflict, CredentialRejected, Reason
from authserver.model import Use
from authserver.store.ports import Store

OpenStore = Callable[[], Store]

NOW = 1_800_000_000.0


def token_id(number: int) -> str:
    """What callers give: a SHA-256 in hexadecimal."""
    return f"{number:064x}"


class StoreContract:
    """What :mod:`authserver.store.ports` promises."""

    def test_there_is_no_ring_at_first(self, open_store: OpenStore) -> None:
        assert open_store().read_ring() is None

    def test_a_ring_is_read_back_on_another_node_as_it_was_written(self, open_store: OpenStore) -> None:
        document = '{"some":"document","with":"\\u00fc and \U0001f511"}'
        written = open_store().replace_ring(document, expected=None)
        assert written.document == document
        assert open_store().read_ring() == written

    def test_each_replacement_has_a_version_of_its_own(self, open_store: OpenStore) -> None:
        store = open_store()
        first = store.replace_ring("first", expected=None)
        second = store.replace_ring("second", expected=first.version)
        assert second.version != first.version
        assert store.read_ring() == second

    def test_a_ring_that_exists_is_not_created_again(self, open_store: OpenStore) -> None:
        open_store().replace_ring("first", expected=None)
        with pytest.raises(Conflict):
            open_store().replace_ring("second", expected=None)

    def test_a_ring_is_not_replaced_by_who_has_seen_an_older_one(self, open_store: OpenStore) -> None:
        one, other = open_store(), open_store()
        seen = one.replace_ring("first", expected=None)
        newest = other.replace_ring("second", expected=seen.version)
        with pytest.raises(Conflict):
            one.replace_ring("third", expected=seen.version)
        assert one.read_ring() == newest

    def test_a_ring_that_never_was_cannot_be_replaced(self, open_store: OpenStore) -> None:
        with pytest.raises(Conflict):
            open_store().replace_ring("second", expected=1)

    def test_of_many_that_replace_the_same_ring_exactly_one_wins(self, open_store: OpenStore) -> None:
        nodes = [open_store(), open_store()]
        seen = nodes[0].replace_ring("first", expected=None)

        def replace(number: int) -> bool:
            try:
                nodes[number % 2].replace_ring(f"by {number}", expected=seen.version)
            except Conflict:
                return False
            return True

        assert race(16, replace).count(True) == 1

    def test_what_was_used_cannot_be_used_again_on_any_node(self, open_store: OpenStore) -> None:
        """R37"""
        open_store().use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
        with pytest.raises(CredentialRejected) as refused:
            open_store().use_once("source", token_id(1), expires_at=NOW + 60, now=NOW + 59.9)
        assert refused.value.reason is Reason.USED_TWICE

    def test_a_second_use_does_not_lengthen_the_memory_of_the_first(self, open_store: OpenStore) -> None:
        store = open_store()
        store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
        with pytest.raises(CredentialRejected):
            store.use_once("source", token_id(1), expires_at=NOW + 600, now=NOW)
        store.use_once("source", token_id(1), expires_at=NOW + 600, now=NOW + 60)

    def test_sources_do_not_share_their_identifiers(self, open_store: OpenStore) -> None:
        store = open_store()
        store.use_once("one", token_id(1), expires_at=NOW + 60, now=NOW)
        store.use_once("other", token_id(1), expires_at=NOW + 60, now=NOW)
        store.use_once("one", token_id(2), expires_at=NOW + 60, now=NOW)

    def test_of_fifty_simultaneous_uses_on_two_nodes_exactly_one_succeeds(self, open_store: OpenStore) -> None:
        """R37"""
        nodes = [open_store(), open_store()]

        def use(number: int) -> bool:
            try:
                nodes[number % 2].use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
            except CredentialRejected:
                return False
            return True

        assert race(50, use).count(True) == 1

    def test_uses_together_are_all_remembered_or_none_is(self, open_store: OpenStore) -> None:
        """R37"""
        store = open_store()
        assertion, proof, other = (
            Use(source, token_id(n), NOW + 60) for n, source in enumerate(("phones", "DPoP", "x"))
        )
        assert store.use_together([assertion, proof], NOW) is None
        for used, fresh in ((assertion, other), (proof, other)):
            assert open_store().use_together([fresh, used], NOW) == used
            assert open_store().use_together([used, fresh], NOW) == used
        assert store.use_together([assertion, proof], NOW + 59) == assertion, "the first that was used is the one"
        assert open_store().use_together([other], NOW) is None, "it was used up for nothing"
        assert store.use_together([assertion, proof], NOW + 60) is None
        assert store.use_together([], NOW) is None

    def test_of_many_that_use_one_thing_with_another_exactly_one_succeeds(self, open_store: OpenStore) -> None:
        """R37"""
        nodes, holder = [open_store(), open_store()], "thumbprint"

        def use(number: int) -> bool:
            own = Use("DPoP", f"{holder}.{token_id(number + 1)}", NOW + 60)
            return (
                nodes[number % 2].use_together([Use("phones", f"{holder}.{token_id(0)}", NOW + 60), own], NOW) is None
            )

        assert race(20, use).count(True) == 1

    def test_a_sweep_forgets_what_has_expired_and_nothing_else(self, open_store: OpenStore) -> None:
        store = open_store()
        for number in range(1100):
            store.use_once("source", token_id(number), expires_at=NOW + number, now=NOW - 1)
        open_store().sweep(NOW + 1050)
        store.use_once("source", token_id(1050), expires_at=NOW + 2000, now=NOW)
        with pytest.raises(CredentialRejected):
            store.use_once("source", token_id(1051), expires_at=NOW + 2000, now=NOW)

    def test_a_sweep_leaves_the_ring_alone(self, open_store: OpenStore) -> None:
        store = open_store()
        written = store.replace_ring("ring", expected=None)
        store.sweep(NOW + 10**9)
        assert store.read_ring() == written

    def test_what_was_revoked_is_revoked_on_every_node_until_it_expires(self, open_store: OpenStore) -> None:
        """R79"""
        one, other = open_store(), open_store()
        assert not other.is_revoked("issuer", "jti", NOW)
        one.revoke("issuer", "jti", expires_at=NOW + 60)
        assert [node.is_revoked("issuer", "jti", NOW + 59.9) for node in (one, other)] == [True, True]
        assert not other.is_revoked("issuer", "jti", NOW + 60)

    def test_revoking_twice_is_harmless(self, open_store: OpenStore) -> None:
        store = open_store()
        for _ in range(2):
            store.revoke("issuer", "jti", expires_at=NOW + 60)
        assert store.is_revoked("issuer", "jti", NOW)

    def test_a_revocation_is_of_one_token_of_one_issuer(self, open_store: OpenStore) -> None:
        """R79"""
        store = open_store()
        store.revoke("issuer", "jti", expires_at=NOW + 60)
        assert not store.is_revoked("issuer", "another", NOW)
        assert not store.is_revoked("another", "jti", NOW)
        assert not store.is_revoked("issuer", "JTI", NOW)

    def test_a_sweep_forgets_the_revocations_that_have_expired_and_no_others(self, open_store: OpenStore) -> None:
        store = open_store()
        for number in range(1100):
            store.revoke("issuer", token_id(number), expires_at=NOW + number)
        store.sweep(NOW + 1050)
        assert not store.is_revoked("issuer", token_id(1050), NOW)
        assert store.is_revoked("issuer", token_id(1051), NOW)

    def test_a_store_that_works_passes_its_check(self, open_store: OpenStore) -> None:
        open_store().check()

    def test_closing_twice_is_harmless(self, open_store: OpenStore) -> None:
        store = open_store()
        store.close()
        store.close()

    def test_everything_survives_closing_and_opening_again(self, open_store: OpenStore) -> None:
        store = open_store()
        written = store.replace_ring("ring", expected=None)
        store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
        store.revoke("issuer", "jti", expires_at=NOW + 60)
        store.close()
        again = open_store()
        assert again.is_revoked("issuer", "jti", NOW)
        assert again.read_ring() == written
        with pytest.raises(CredentialRejected):
            again.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)


def race(threads: int, action: Callable[[int], bool]) -> list[bool]:
    """Do something in many threads at the same moment."""
    together = threading.Barrier(threads)

    def one(number: int) -> bool:
        together.wait()
        return action(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(threads)))
