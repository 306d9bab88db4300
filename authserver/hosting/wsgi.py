"""For a WSGI server of your own: ``authserver.hosting.wsgi:application``, configured by ``AUTHSERVER_CONFIG``."""

import os
import sys
from pathlib import Path

from authserver.errors import ConfigurationError
from authserver.hosting.doorway import Doorway
from authserver.server import build, prepare
from authserver.settings import load
from authserver.telemetry import configure_logging

configure_logging()
try:
    _settings = load(Path(os.environ["AUTHSERVER_CONFIG"]))
    application = Doorway(build(_settings, master_keys=prepare(_settings)))
except KeyError:
    sys.exit("authserver: AUTHSERVER_CONFIG must name the configuration file")
except ConfigurationError as error:
    sys.exit(f"authserver: {error}")
