"""A program that calls an API, on a laptop and in production alike. Copy it, and replace the addresses.

Run it with ``ISSUER=https://auth.example.com API=https://images.example.com/images python client.py``. What vouches for
it is found where it runs: the token that Kubernetes, GitHub or GitLab gives, or the key of this machine after
``authserver enroll``. Needs the base install of authserver, and requests.
"""

import os

import requests

from authserver.client import TokenClient

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8400")
API = os.environ.get("API", "http://127.0.0.1:8500/images")
RESOURCE = os.environ.get("RESOURCE", "https://images.example.com")

images = TokenClient(issuer=ISSUER, resource=RESOURCE, scope="images:read")


def main() -> None:
    """Make one call. A program that goes on makes all of them with the same client, from any thread."""
    answer = requests.get(API, auth=images.auth(), timeout=10.0)
    print(answer.status_code, answer.text)


if __name__ == "__main__":
    main()
