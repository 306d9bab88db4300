"""The API of ``authserver demo``: three lines protect it."""

import os

from flask import Flask

from authserver.resource.flask import ResourceServer

application = Flask("demo")
api = ResourceServer(issuer=os.environ["DEMO_ISSUER"], audience=os.environ["DEMO_AUDIENCE"])
api.init_app(application)


@application.get("/images")
@api.requires("images:read")
def images() -> dict[str, object]:
    """What a token with ``images:read`` opens."""
    return {"caller": api.token.subject, "images": ["harbour", "sunrise"]}


@application.delete("/images")
@api.requires("images:write")
def delete_images() -> tuple[str, int]:
    """What only a token with ``images:write`` would open."""
    return "", 204
