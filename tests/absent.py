"""What a test needs and a machine may not have: a developer skips the test, and where all have to run it fails."""

import os
from typing import NoReturn

import pytest


def absent(what: str) -> NoReturn:
    """End the test, because ``what`` says something is missing. With ``CI=true`` it fails, or nobody would notice."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
