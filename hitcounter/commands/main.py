"""hitcounter: one command that has all the others."""

from . import interrupt as _interrupt  # noqa: F401 -- first, for Ctrl-C while the others are imported

# isort: split

import click

from .group import Group
from .own import COMMANDS


@click.group(cls=Group, own=COMMANDS, epilog='Run "hitcounter COMMAND --help" for details.')
@click.version_option(package_name='hitcounter-agi')
def main() -> None:
    """Durable call counting for Asterisk."""
