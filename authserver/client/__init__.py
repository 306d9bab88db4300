"""For programs that call APIs: enrol this machine once, and get access tokens that are bound to its key.

    server = AuthorizationServer("https://auth.example.com")
    machine = DeviceSupplier(server, EnrollmentRecord(server.issuer))
    token = request_token(server, machine, resource="https://images.example.com", scope="images:read")
    answer = BoundCalls(server).call("GET", url, token, lambda headers: pool.request("GET", url, headers=headers))

Needs the base install only; a key in the operating system's keyring needs the extra ``keyring``.
"""

from authserver.client.bound import BoundCalls
from authserver.client.enroll import Introduction, enroll
from authserver.client.enrollment import Enrollment, EnrollmentRecord
from authserver.client.exchange import IssuedToken, request_token
from authserver.client.failures import CallFailed, CallRefused, NoAnswer, NotEnrolled
from authserver.client.registration import Registration
from authserver.client.server import AuthorizationServer
from authserver.client.suppliers.device import DeviceSupplier

__all__ = [
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
    "NotEnrolled",
    "Registration",
    "enroll",
    "request_token",
]
