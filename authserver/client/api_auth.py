"""What HTTP libraries take as ``auth``: the part that none of them has a say in."""

from typing import Any

from authserver.client.api_call import ApiCall, Next
from authserver.client.bound import BoundCalls
from authserver.client.renewal import Renewal


class ApiAuth:
    """Authenticates calls to an API. For ``requests`` it is a callable; where httpx is installed, an ``httpx.Auth``."""

    def __init__(self, renewal: Renewal, calls: BoundCalls) -> None:
        self._renewal = renewal
        self._calls = calls

    def __call__(self, request: Any) -> Any:
        """What ``requests`` calls to have a request authenticated.

        :raises CallFailed: there is no token. See :meth:`authserver.client.TokenClient.token`.
        """
        from authserver.client.auth_requests import authenticate

        return authenticate(request, self._begun(), self._replaced)

    def _begun(self) -> ApiCall:
        return ApiCall(self._calls, self._renewal.current())

    async def _begun_async(self) -> ApiCall:
        return ApiCall(self._calls, await self._renewal.current_async())

    def _replaced(self, call: ApiCall) -> Next:
        return call.take(self._renewal.replaced(call.token))

    async def _replaced_async(self, call: ApiCall) -> Next:
        return call.take(await self._renewal.replaced_async(call.token))
