"""hitcounter: one command that has all the others."""

from . import interrupt as _interrupt  # noqa: F401 -- first, for Ctrl-C while the others are imported

# isort: split

import click

from . import agi, backup, call, ending, export, forget, migrate, pack, serve, shell, status, verify


@click.group(cls=ending.Group, epilog='hitcounter COMMAND --help explains each of them.')
@click.version_option(package_name='hitcounter-agi')
def main() -> None:
    """Durable call counting for Asterisk."""


main.add_command(serve.main, 'serve')
main.add_command(shell.main, 'shell')
main.add_command(call.main, 'call')
main.add_command(agi.main, 'agi')
main.add_command(status.main, 'status')
main.add_command(backup.main, 'backup')
main.add_command(backup.restore_main, 'restore')
main.add_command(verify.main, 'verify')
main.add_command(migrate.main, 'migrate')
main.add_command(pack.main, 'pack')
main.add_command(forget.main, 'forget')
main.add_command(export.main, 'export')
main.add_command(export.import_main, 'import')
