"""Where enrolments are kept: a directory of the user's, with one directory in it for each issuer."""

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from authserver.client.failures import EnrollmentUnusable

HOME_VARIABLE: Final = "AUTHSERVER_HOME"

_NOT_FOR_NAMES = re.compile(r"[^a-z0-9.-]+")


def default_home(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """``AUTHSERVER_HOME``, or where the platform keeps what belongs to a user and a program.

    On Linux that is ``$XDG_CONFIG_HOME/authserver``; what is not absolute counts as not set, as the XDG Base
    Directory Specification has it.

    :raises EnrollmentUnusable: the user has no home directory.
    """
    if given := environ.get(HOME_VARIABLE):
        return Path(given)
    if platform == "darwin":
        return _user_home() / "Library" / "Application Support" / "authserver"
    configured = Path(environ.get("XDG_CONFIG_HOME", ""))
    return (configured if configured.is_absolute() else _user_home() / ".config") / "authserver"


def issuer_directory(home: Path, issuer: str) -> Path:
    """The directory of one issuer. Its name begins with the host, for people; the hash tells issuers apart."""
    host = _NOT_FOR_NAMES.sub("_", urlsplit(issuer).netloc.lower())[:100]
    digest = hashlib.sha256(issuer.encode("utf-8")).hexdigest()[:16]
    return home / "enrollments" / f"{host}-{digest}"


def _user_home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise EnrollmentUnusable(f"this user has no home directory; set {HOME_VARIABLE} to a directory") from None
