"""An API that accepts access tokens: copy it and replace the two addresses.

Run it with ``ISSUER=https://auth.example.com AUDIENCE=https://images.example.com flask --app resource_server run``.
Calls without a token are answered with a challenge that says where to get one.

Tokens that are bound to the key of a device are accepted with a proof of that key (DPoP, RFC 9449), and not without.
Nothing needs to be written for that. Set ``URL`` where the API is reached at another address than ``AUDIENCE``, and
``REPLAY``, the name of a file, where more than one process serves it: there they remember which proofs were used.
"""

import os

from flask import Flask

from authserver.resource import ReplayMemory
from authserver.resource.flask import ResourceServer
from authserver.store.sqlite import SqliteStore

app = Flask(__name__)
api = ResourceServer(
    issuer=os.environ.get("ISSUER", "http://127.0.0.1:8400"),
    audience=os.environ.get("AUDIENCE", "https://images.example.com"),
    url=os.environ.get("URL"),
    scopes=["images:read", "images:write"],
    replay=SqliteStore(os.environ["REPLAY"]) if "REPLAY" in os.environ else ReplayMemory(),
)
api.init_app(app)

IMAGES = {"sunrise": "An orange sky", "harbour": "Boats at rest"}


@app.get("/images")
@api.requires("images:read")
def list_images() -> dict[str, object]:
    """Whoever may read sees the names; the token says who that is."""
    return {"caller": api.token.subject, "images": sorted(IMAGES)}


@app.get("/images/<name>")
@api.requires(any_of=("images:read", "images:write"))
def show_image(name: str) -> tuple[dict[str, str], int]:
    """One of several scopes is enough here."""
    return ({"image": IMAGES[name]}, 200) if name in IMAGES else ({"error": "not_found"}, 404)


@app.delete("/images/<name>")
@api.requires("images:read", "images:write")
def delete_image(name: str) -> tuple[str, int]:
    """Both scopes are needed here."""
    IMAGES.pop(name, None)
    return "", 204


@app.get("/me")
@api.requires()
def show_caller() -> dict[str, str | None]:
    """The key tells the devices of one owner apart. A bearer token has none."""
    return {"caller": api.token.subject, "key": api.token.thumbprint}
