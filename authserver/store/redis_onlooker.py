"""A look into a Redis store, which changes nothing in it."""

from collections.abc import Sequence

from authserver.errors import CredentialRejected, Reason
from authserver.model import Device, DeviceRecord, Use
from authserver.store import redis_devices
from authserver.store.redis_client import RedisClient
from authserver.store.redis_keys import Keys
from authserver.store.redis_session import Call


class RedisOnlooker:
    """Implements :class:`~authserver.store.ports.Onlooker`: it refuses what was used, and remembers nothing."""

    def __init__(self, client: RedisClient, prefix: str) -> None:
        self._client = client
        self._keys = Keys(prefix)

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        """See :class:`~authserver.store.ports.ReplayStore`."""
        if self.use_together([Use(source, token_id, expires_at)], now) is not None:
            raise CredentialRejected(Reason.USED_TWICE)

    def use_together(self, uses: Sequence[Use], now: float) -> Use | None:
        """See :class:`~authserver.store.ports.ReplayStore`."""
        calls = [Call("GET", (self._keys.used(use.source, use.token_id),)) for use in uses]
        found = self._client.run(lambda session: session.run(*calls))
        used = (use for use, kept in zip(uses, found, strict=True) if kept and float(kept.split()[0]) > now)
        return next(used, None)

    def read_device(self, client_id: str) -> Device | None:
        """See :class:`~authserver.store.ports.DeviceReader`."""
        return self._client.run(lambda session: redis_devices.read_device(session, self._keys, client_id))

    def read_record(self, client_id: str) -> DeviceRecord | None:
        """See :class:`~authserver.store.ports.DeviceReader`."""
        return self._client.run(lambda session: redis_devices.read_record(session, self._keys, client_id))
