"""For a WSGI server of your own: ``authserver.hosting.wsgi:application``, configured by ``AUTHSERVER_CONFIG``."""

import os
from pathlib import Path

from authserver.hosting.flask import create_app
from authserver.server import build
from authserver.settings import load
from authserver.telemetry import configure_logging

configure_logging()
application = create_app(build(load(Path(os.environ["AUTHSERVER_CONFIG"]))))
