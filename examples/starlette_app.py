"""A Starlette application that accepts access tokens: copy it and replace the two addresses.

Run it with ``ISSUER=https://auth.example.com AUDIENCE=https://images.example.com uvicorn starlette_app:app``.
"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authserver.resource.asgi import ResourceServer

api = ResourceServer(
    issuer=os.environ.get("ISSUER", "http://127.0.0.1:8400"),
    audience=os.environ.get("AUDIENCE", "https://images.example.com"),
    url=os.environ.get("URL"),
    scopes=["images:read", "images:write"],
)


@api.requires("images:read")
async def list_images(_request: Request) -> Response:
    """The token says who calls."""
    return JSONResponse({"caller": api.token.subject, "images": ["harbour", "sunrise"]})


@api.requires()
async def show_caller(_request: Request) -> Response:
    """The key tells the devices of one owner apart. A bearer token has none."""
    return JSONResponse({"caller": api.token.subject, "key": api.token.thumbprint})


app = Starlette(routes=[Route("/images", list_images), Route("/me", show_caller)])
api.init_app(app)
