"""What every command has in common that is a client of a server."""

import click

from authserver.jose.addresses import Location


def _read(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        Location.of(value)
    except ValueError:
        raise click.BadParameter(
            "write the whole address, such as https://auth.example.com.", context, parameter
        ) from None
    return value


issuer_option = click.option(
    "--issuer", required=True, metavar="URL", callback=_read, help="The server, by its issuer URL."
)
