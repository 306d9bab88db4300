"""What ``check`` finds out on this machine, for the warnings that do not follow from the configuration alone."""

import hashlib
from collections.abc import Iterator

from authserver.errors import ConfigurationError
from authserver.keys.wrapping import load_master_key
from authserver.server import plan
from authserver.settings import Settings
from authserver.settings.advice import Facts, MasterKeyFact
from authserver.table import SecretReference


def facts(settings: Settings) -> Facts:
    """Look at the master keys that are on this machine. None is made, and one that is not here is no mistake."""
    return Facts(plan(settings), tuple(_master_key(where, each, settings) for where, each in _references(settings)))


def _references(settings: Settings) -> Iterator[tuple[str, SecretReference]]:
    yield "keys.master_key", settings.master_key
    for position, reference in enumerate(settings.previous_master_keys):
        yield f"keys.previous_master_keys[{position}]", reference


def _master_key(where: str, reference: SecretReference, settings: Settings) -> MasterKeyFact:
    path = None if reference.file is None else str((settings.base / reference.file).resolve())
    try:
        loaded = load_master_key(reference, config=settings.file, where=where, create=False)
    except ConfigurationError:
        return MasterKeyFact(where, path)
    return MasterKeyFact(where, path, hashlib.sha256(loaded.key).digest(), loaded.readable_by_others)
