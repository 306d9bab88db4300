"""The same as :mod:`authserver.client.token_client` for tasks of asyncio: nothing blocks the event loop."""

from authserver.client.exchange import IssuedToken
from authserver.client.token_client import Tokens


class AsyncTokenClient(Tokens):
    """Access tokens for one API, for tasks. It belongs to no event loop, so it may be made anywhere."""

    async def get_token(self) -> str:
        """See :meth:`authserver.client.TokenClient.get_token`.

        :raises CallFailed: there is none, and none could be had in time.
        """
        return (await self.token()).value

    async def token(self) -> IssuedToken:
        """See :meth:`authserver.client.TokenClient.token`.

        :raises CallFailed: there is none, and none could be had in time.
        """
        return await self._renewal.current_async()
