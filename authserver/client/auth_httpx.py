"""Authenticating what httpx sends, in threads and in tasks.

httpx follows redirects before it shows an answer here, so that the answer may be somebody else's.
"""

from collections.abc import AsyncGenerator, Generator

import httpx

from authserver.client.api_auth import ApiAuth
from authserver.client.api_call import ApiCall, Next, Seen
from authserver.oauth import DPOP


class HttpxAuth(ApiAuth, httpx.Auth):
    """An :class:`httpx.Auth`, and still what ``requests`` takes."""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See :meth:`httpx.Auth.sync_auth_flow`.

        :raises CallFailed: there is no token.
        """
        call = self._begun()
        wanted = Next.AGAIN
        while wanted is Next.AGAIN:
            response = yield _carrying(request, call)
            request, wanted = response.request, _judged(response, call)
            if wanted is Next.ANOTHER_TOKEN:
                wanted = self._replaced(call)
            if not _is_repeatable(request):
                return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """See :meth:`httpx.Auth.async_auth_flow`.

        :raises CallFailed: there is no token.
        """
        call = await self._begun_async()
        wanted = Next.AGAIN
        while wanted is Next.AGAIN:
            response = yield _carrying(request, call)
            request, wanted = response.request, _judged(response, call)
            if wanted is Next.ANOTHER_TOKEN:
                wanted = await self._replaced_async(call)
            if not _is_repeatable(request):
                return


def _carrying(request: httpx.Request, call: ApiCall) -> httpx.Request:
    request.headers.pop(DPOP, None)
    request.headers.update(call.headers(*_target(request)))
    return request


def _judged(response: httpx.Response, call: ApiCall) -> Next:
    if not call.carries_token(response.request.headers.get("Authorization")):
        return Next.ENOUGH
    method, url = _target(response.request)
    return call.judge(method, url, Seen(response.status_code, response.headers))


def _target(request: httpx.Request) -> tuple[str, str]:
    return request.method, str(request.url.copy_with(fragment=None, userinfo=b""))


def _is_repeatable(request: httpx.Request) -> bool:
    """Whether the body can be sent once more. For a stream that cannot be the caller gets the refusal."""
    stream = request.stream
    if isinstance(stream, httpx.ByteStream):
        return True
    parts = getattr(stream, "fields", None)  # a form with files, each of which httpx reads from its start
    return parts is not None and all(_can_be_rewound(getattr(part, "file", b"")) for part in parts)


def _can_be_rewound(file: object) -> bool:
    seekable = getattr(file, "seekable", None)
    return isinstance(file, str | bytes) or (seekable is not None and bool(seekable()))
