"""Choosing what HTTP libraries take as ``auth``. None of them is imported before an ``auth`` is asked for."""

from functools import cache

from authserver.client.api_auth import ApiAuth
from authserver.client.bound import BoundCalls
from authserver.client.renewal import Renewal


def make_auth(renewal: Renewal, calls: BoundCalls) -> ApiAuth:
    """An ``auth`` for whichever library takes it."""
    return _auth_class()(renewal, calls)


@cache
def _auth_class() -> type[ApiAuth]:
    # httpx goes by the class and not by what an object can do. Whether the program is going to use it is not known
    # here: it may import it later.
    try:
        from authserver.client.auth_httpx import HttpxAuth
    except ImportError:
        return ApiAuth
    return HttpxAuth
