"""Authenticating what ``requests`` sends: a hook sees each answer, as that of its own digest authentication does.

``requests`` follows redirects after its hooks have run, with a copy of the request that was redirected. It takes
``Authorization`` away for another origin, and knows nothing of ``DPoP``; so a proof is taken off once it was used.
"""

from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import IO, Any, cast

from requests import PreparedRequest, Response
from requests.cookies import extract_cookies_to_jar
from requests.utils import urldefragauth

from authserver.client.api_call import ApiCall, Next, Seen
from authserver.oauth import DPOP

Replace = Callable[[ApiCall], Next]


def authenticate(request: PreparedRequest, call: ApiCall, replace: Replace) -> PreparedRequest:
    """Have ``request`` carry the token of ``call``, and its answers looked at. ``replace`` finds another token."""
    _carry(request, call)
    request.register_hook("response", _Answers(call, replace, _position(request.body)))
    return request


class _Answers:
    """What is done about the answers to one request, and to those that redirects make of it."""

    def __init__(self, call: ApiCall, replace: Replace, start: int | None) -> None:
        self._call = call
        self._replace = replace
        self._start = start

    def __call__(self, response: Response, **options: Any) -> Response:
        sent = response.request
        ours = self._is_ours(response)
        while self._is_ours(response) and self._asks_for_more(response) and self._rewind(response.request):
            response = self._send_again(response, options)
        sent.headers.pop(DPOP, None)
        if ours:
            sent.headers["Authorization"] = self._call.authorization
        return response

    def _is_ours(self, response: Response) -> bool:
        return self._call.carries_token(response.request.headers.get("Authorization"))

    def _asks_for_more(self, response: Response) -> bool:
        method, url = _target(response.request)
        wanted = self._call.judge(method, url, Seen(response.status_code, response.headers))
        if wanted is Next.ANOTHER_TOKEN:
            wanted = self._replace(self._call)
        return wanted is Next.AGAIN

    def _rewind(self, request: PreparedRequest) -> bool:
        """Whether the body can be sent once more. A stream that cannot be is not: the caller gets the refusal."""
        body = request.body
        if body is None or isinstance(body, str | bytes):
            return True
        if self._start is None:
            return False
        cast(IO[bytes], body).seek(self._start)
        return True

    def _send_again(self, response: Response, options: dict[str, Any]) -> Response:
        _ = response.content  # read to its end, so that its connection can be used again
        response.close()
        request = response.request.copy()
        jar = cast(CookieJar, request._cookies)
        extract_cookies_to_jar(jar, response.request, response.raw)
        request.headers.pop("Cookie", None)
        request.prepare_cookies(jar)
        _carry(request, self._call)
        again: Response = response.connection.send(request, **options)
        again.history.append(response)
        again.request = request
        return again


def _carry(request: PreparedRequest, call: ApiCall) -> None:
    request.headers.update(call.headers(*_target(request)))


def _target(request: PreparedRequest) -> tuple[str, str]:
    return request.method or "", urldefragauth(request.url or "")


def _position(body: object) -> int | None:
    """Where a body begins that is a file; None if it is none, or one in which nobody can go back."""
    seekable = getattr(body, "seekable", None)
    return cast(IO[bytes], body).tell() if seekable is not None and seekable() else None
