"""What the configuration says of the store."""

from typing import Annotated, Final

from pydantic import AfterValidator

from authserver.store.redis_address import is_redis, read_address
from authserver.table import Keywords, Mistake, SecretReference, Table

_WRITE_STORE: Final = (
    'Write sqlite: and a path, such as "sqlite:authserver.db" or "sqlite:/var/lib/authserver/store.db", or an address'
    ' such as "rediss://store.example.com:6379".'
)
_MOST_REPLICAS: Final = 10


def _store_url(url: str) -> str:
    if is_redis(url):
        read_address(url)
        return url
    path = url.removeprefix("sqlite:")
    if path == url or not path or path.startswith(("//", ":")) or not path.isprintable():
        raise Mistake("does not name a store", _WRITE_STORE)
    return url


def _prefix(prefix: str) -> str:
    if not prefix or not prefix.isascii() or not prefix.isprintable() or set(prefix) & set("{}[]*?\\ "):
        remedy = 'Write letters, digits, colons and hyphens, such as "authserver:production".'
        raise Mistake("is no prefix for keys", remedy)
    return prefix


def _replicas(count: int) -> int:
    if not 0 <= count <= _MOST_REPLICAS:
        raise Mistake(f"must be between 0 and {_MOST_REPLICAS}", "Write how many replicas must have what was written.")
    return count


Prefix = Annotated[str, AfterValidator(_prefix), Keywords({"pattern": r"^[^{}\[\]*?\\ ]+$"})]
Replicas = Annotated[int, AfterValidator(_replicas), Keywords({"minimum": 0, "maximum": _MOST_REPLICAS})]


class StoreTable(Table):
    """``[store]``: where that is remembered which must not be forgotten. All but ``url`` is for Redis or Valkey."""

    url: Annotated[str, AfterValidator(_store_url)] = "sqlite:authserver.db"
    """`sqlite:` and a path, which serves one host with several processes; or the address of a Redis or Valkey."""
    key_prefix: Prefix | None = None
    """What every key at the server begins with, before a colon."""
    username: str | None = None
    """The ACL user to be at the server."""
    password: SecretReference | None = None
    """Where the user's password is."""
    sentinel_username: str | None = None
    """The ACL user to be at the Sentinels."""
    sentinel_password: SecretReference | None = None
    """Where the password for the Sentinels is."""
    ca_file: str | None = None
    """A file with the certificates of the authorities that may vouch for the server."""
    certificate_file: str | None = None
    """A file with our certificate, for a server that asks for one."""
    key_file: str | None = None
    """The file with the private key of our certificate."""
    confirm_on_disk: bool = True
    """Whether what must not be lost counts as done only when the server has it on its disk."""
    confirm_replicas: Replicas | None = None
    """How many replicas must have received what must not be lost before it counts as done."""
