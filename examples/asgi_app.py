"""An ASGI application without a framework that accepts access tokens: copy it and replace the two addresses.

Run it with ``ISSUER=https://auth.example.com AUDIENCE=https://images.example.com uvicorn asgi_app:app``. The base
install is all that it needs.
"""

import json
import os
from typing import Any

from authserver.resource.asgi import ResourceServer

api = ResourceServer(
    issuer=os.environ.get("ISSUER", "http://127.0.0.1:8400"),
    audience=os.environ.get("AUDIENCE", "https://images.example.com"),
    url=os.environ.get("URL"),
    scopes=["images:read"],
)


async def answer(scope: Any, _receive: Any, send: Any) -> None:
    """Whatever application there is, it runs only for requests that may pass."""
    if scope["type"] != "http":
        raise RuntimeError("this application serves HTTP only")
    health = scope["path"] == "/health"
    body = {"healthy": True} if health else {"caller": api.token.subject, "key": api.token.thumbprint}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


app = api.middleware(answer, "images:read", exempt=["/health"])
