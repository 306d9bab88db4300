"""Warnings about environments that are checked together: what they should not have in common."""

from collections.abc import Iterator, Sequence

from authserver.settings.advice.facts import Facts, MasterKeyFact
from authserver.settings.advice.warned import Advice
from authserver.settings.assemble import Settings
from authserver.settings.report import Place
from authserver.settings.silence import Code

Environment = tuple[Settings, Facts]


def advise_together(environments: Sequence[Environment]) -> tuple[tuple[Advice, ...], ...]:
    """What each environment shares with another, in the order of the environments.

    Both of two that share something are told, so that neither depends on the order in which they are named.
    """
    return tuple(tuple(_shared(one, _others(one, environments))) for one in environments)


def _others(one: Environment, environments: Sequence[Environment]) -> list[Environment]:
    file = one[0].file.resolve()
    return [other for other in environments if other[0].file.resolve() != file]


def _shared(one: Environment, others: Sequence[Environment]) -> Iterator[Advice]:
    settings, facts = one
    for key in facts.master_keys:
        theirs = [other for other, known in others if any(_same_key(key, each) for each in known.master_keys)]
        yield from _advice(settings, theirs, Code.MASTER_KEY_SHARED, key.where, "whoever has it opens the keys of both")
    stores = [other for other, _ in others if _store(other) == _store(settings)]
    yield from _advice(settings, stores, Code.STORE_SHARED, "store.url", "each works on the keys of the other")
    issuers = [other for other, _ in others if other.server.issuer == settings.server.issuer]
    why = "a resource server cannot tell their tokens apart"
    yield from _advice(settings, issuers, Code.ISSUER_SHARED, "server.issuer", why)


def _advice(settings: Settings, others: Sequence[Settings], code: Code, path: str, why: str) -> Iterator[Advice]:
    for other in others[:1]:
        message = f"is shared with the environment {other.server.environment} ({other.file}): {why}"
        yield Advice(code, Place(str(settings.file), path), path, message, "Give each environment one of its own.")


def _same_key(one: MasterKeyFact, other: MasterKeyFact) -> bool:
    # A variable has one value here and, on the hosts that the environments run on, perhaps as many as there are hosts.
    if one.file is None and other.file is None:
        return False
    same_file = one.file is not None and one.file == other.file
    return same_file or (one.fingerprint is not None and one.fingerprint == other.fingerprint)


def _store(settings: Settings) -> str:
    url = settings.store.url
    return str(settings.store_path.resolve()) if url.startswith("sqlite:") else f"{url} {settings.store_prefix}"
