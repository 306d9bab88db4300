"""``authserver schema``: the configuration's JSON Schema, for editors."""

import click

from authserver.settings.schema import CONFIGURATION, RULES, written


@click.command()
@click.option("--rules", is_flag=True, help="The schema of an included rule file, instead of the configuration's.")
def schema(rules: bool) -> None:
    """Print the JSON Schema (2020-12) of the configuration.

    Write it beside the configuration and name it in the first line: #:schema ./schema/authserver.schema.json
    """
    click.echo(written(RULES if rules else CONFIGURATION), nl=False)
