"""A FastAPI application that accepts access tokens: copy it and replace the two addresses.

Run it with ``ISSUER=https://auth.example.com AUDIENCE=https://images.example.com uvicorn fastapi_app:app``. What is at
``/docs`` shows how calls are authorized.
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request

from authserver.resource import VerifiedToken
from authserver.resource.asgi import ResourceServer

api = ResourceServer(
    issuer=os.environ.get("ISSUER", "http://127.0.0.1:8400"),
    audience=os.environ.get("AUDIENCE", "https://images.example.com"),
    url=os.environ.get("URL"),
    scopes=["images:read", "images:write"],
)
app = FastAPI()
api.init_app(app)

Reader = Annotated[VerifiedToken, Depends(api.requires("images:read"))]

IMAGES = {"sunrise": "An orange sky", "harbour": "Boats at rest"}


def scope_of_album(request: Request) -> str:
    """What one album needs: ``images:read:cats``. A token with ``images:read:*`` may read them all."""
    return f"images:read:{request.path_params['album']}"


@app.get("/images")
async def list_images(token: Reader) -> dict[str, object]:
    """Whoever may read sees the names; the token says who that is."""
    return {"caller": token.subject, "images": sorted(IMAGES)}


@app.get("/images/{name}")
def show_image(name: str, token: Reader) -> dict[str, object]:
    """A view that is not asynchronous will do as well."""
    if name not in IMAGES:
        raise HTTPException(404)
    return {"image": IMAGES[name], "may_write": token.has_scope("images:write")}


@app.get("/albums/{album}", dependencies=[Depends(api.requires(scope_of_album))])
async def show_album(album: str) -> dict[str, str]:
    """What is needed may depend on the request."""
    return {"album": album}


@app.get("/me")
async def show_caller(token: Annotated[VerifiedToken, Depends(api.requires())]) -> dict[str, str | None]:
    """The key tells the devices of one owner apart. A bearer token has none."""
    return {"caller": token.subject, "key": token.thumbprint}
