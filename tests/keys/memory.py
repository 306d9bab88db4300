"""A ring store in memory that several nodes share, each through its own line, which can be cut."""

from authserver.errors import Conflict, Reason, Unavailable
from authserver.store.ports import RingRecord


class SharedRing:
    """The record itself."""

    def __init__(self) -> None:
        self.record: RingRecord | None = None


class Line:
    """One node's way to the shared record; implements :class:`~authserver.store.ports.RingStore`."""

    def __init__(self, shared: SharedRing) -> None:
        self.shared = shared
        self.readable = True
        self.writable = True
        self.writes = 0

    def read_ring(self) -> RingRecord | None:
        if not self.readable:
            raise Unavailable(Reason.STORE_UNAVAILABLE)
        return self.shared.record

    def replace_ring(self, document: str, *, expected: int | None) -> RingRecord:
        if not self.writable:
            raise Unavailable(Reason.STORE_UNAVAILABLE)
        current = None if self.shared.record is None else self.shared.record.version
        if current != expected:
            raise Conflict
        self.writes += 1
        self.shared.record = RingRecord((current or 0) + 1, document)
        return self.shared.record
