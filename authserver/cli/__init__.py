"""The command line. Exit codes: 0 fine, 1 refused or failed, 2 usage, 78 configuration (sysexits.h, EX_CONFIG)."""

import sys


def main() -> None:
    """Run ``authserver``."""
    try:
        from authserver.cli.commands import authserver
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "authserver":
            raise
        # The middleware and the client are installed without what the server needs.
        remedy = 'Install authserver with the extra "server" for the server, or "cli" for its callers'
        sys.exit(f"authserver: {error.name} is not installed. {remedy}")
    authserver(prog_name="authserver")
