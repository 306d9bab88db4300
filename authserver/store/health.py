"""Whether the store can be written to, remembered, so that asking costs nothing however slow the store is."""

from authserver.errors import Unavailable
from authserver.store.ports import Store


class StoreHealth:
    """What came of the last attempt to begin a write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_good = True

    def check(self) -> None:
        """Try, and remember.

        :raises Unavailable: it could not be.
        """
        try:
            self._store.check()
        except Unavailable:
            self.is_good = False
            raise
        self.is_good = True
