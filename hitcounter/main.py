"""hitcounter: one command that has all the others."""

import click

from . import call, process, serve, shell


@click.group(epilog='hitcounter COMMAND --help tells more of each.')
@click.version_option(package_name='hitcounter')
def main() -> None:
    """Durable call counting for Asterisk."""


main.add_command(serve.main, 'serve')
main.add_command(shell.main, 'shell')
main.add_command(call.main, 'call')
main.add_command(process.main, 'agi')
