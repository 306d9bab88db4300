"""A Django project in one file that accepts access tokens: copy what you need and replace the two addresses.

Run it with ``ISSUER=https://auth.example.com AUDIENCE=https://images.example.com gunicorn django_app:application``, or
with ``uvicorn django_app:asgi_application``.
"""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from authserver.resource.django import ResourceServer

if not settings.configured:  # in a project of your own this is settings.py
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY=os.environ.get("SECRET_KEY", "unused"))

api = ResourceServer(
    issuer=os.environ.get("ISSUER", "http://127.0.0.1:8400"),
    audience=os.environ.get("AUDIENCE", "https://images.example.com"),
    url=os.environ.get("URL"),
    scopes=["images:read", "images:write"],
)


@api.requires("images:read")
def list_images(_request: HttpRequest) -> JsonResponse:
    """The token says who calls."""
    return JsonResponse({"caller": api.token.subject, "images": ["harbour", "sunrise"]})


@api.requires()
async def show_caller(_request: HttpRequest) -> JsonResponse:
    """An asynchronous view; the key tells the devices of one owner apart, and a bearer token has none."""
    return JsonResponse({"caller": api.token.subject, "key": api.token.thumbprint})


urlpatterns = [path("images", list_images), path("me", show_caller), *api.urls]

application = get_wsgi_application()
asgi_application = get_asgi_application()
