"""For programs that call APIs: access tokens from whatever vouches for them, on a laptop and in production alike.

    images = TokenClient(issuer="https://auth.example.com", resource="https://images.example.com", scope="images:read")
    requests.get(url, auth=images.auth())

:class:`AsyncTokenClient` is the same for tasks of asyncio. What they are made of is here as well: :func:`enroll` makes
this machine known once, and :func:`request_token` asks for one token.

Needs the base install only; a key in the operating system's keyring needs the extra ``keyring``.
"""

from authserver.client.aio import AsyncTokenClient
from authserver.client.bound import BoundCalls
from authserver.client.enroll import Introduction, enroll
from authserver.client.enrollment import Enrollment, EnrollmentRecord
from authserver.client.exchange import IssuedToken, request_token
from authserver.client.failures import CallFailed, CallRefused, NoAnswer, NoIdentity, NotEnrolled
from authserver.client.registration import Registration
from authserver.client.server import AuthorizationServer
from authserver.client.supplier import Offer, Supplier
from authserver.client.suppliers.device import DeviceSupplier
from authserver.client.token_client import TokenClient

__all__ = [
    "AsyncTokenClient",
    "AuthorizationServer",
    "BoundCalls",
    "CallFailed",
    "CallRefused",
    "DeviceSupplier",
    "Enrollment",
    "EnrollmentRecord",
    "Introduction",
    "IssuedToken",
    "NoAnswer",
    "NoIdentity",
    "NotEnrolled",
    "Offer",
    "Registration",
    "Supplier",
    "TokenClient",
    "enroll",
    "request_token",
]
