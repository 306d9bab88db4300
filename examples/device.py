"""A device: it enrols once, and then calls an API with tokens that nobody else can use. Copy it, replace the addresses.

Run it with ``ISSUER=https://auth.example.com API=https://images.example.com/images python device.py``. The first time
it asks for an enrolment code, which ``authserver devices invite`` makes; after that it has a key of its own. Needs
the base install of authserver: ``pip install .`` in a clone.
"""

import os
from getpass import getpass

import urllib3

from authserver.client import (
    AuthorizationServer,
    BoundCalls,
    DeviceSupplier,
    EnrollmentRecord,
    Introduction,
    NotEnrolled,
    enroll,
    request_token,
)

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8400")
API = os.environ.get("API", "http://127.0.0.1:8500/images")
RESOURCE = os.environ.get("RESOURCE", "https://images.example.com")

APP = Introduction("Example device", device={"platform": "linux", "app_id": "com.example.device", "app_version": "1.0"})


def main() -> None:
    """Enrol where that has not been done yet, get a token, and make one call with it."""
    server, record = AuthorizationServer(ISSUER), EnrollmentRecord(ISSUER)
    device = DeviceSupplier(server, record)
    try:
        token = request_token(server, device, resource=RESOURCE, scope="images:read")
    except NotEnrolled:
        enroll(server, record, getpass("Enrolment code: "), APP)
        token = request_token(server, device, resource=RESOURCE, scope="images:read")
    # Keep the token and use it again until it expires; every call gets a proof of its own.
    answer = BoundCalls(server).call(
        "GET", API, token, lambda headers: urllib3.request("GET", API, headers=headers, redirect=False, timeout=10.0)
    )
    print(answer.status, answer.data.decode())


if __name__ == "__main__":
    main()
