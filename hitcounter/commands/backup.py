"""hitcounter backup and restore: a folder of backups of the database file."""

import os

import click

from ..state.storage.database import Address
from ..state.storage.owner import refuse_strangers
from ..state.upkeep.backup import back_up, restore
from . import log, options
from .base import Command
from .user import act_between


class _Backup(Command):
    """A command that copies between the database and a folder of backups, which may have different owners."""

    def act(self, ctx: click.Context, path: str) -> None:
        act_between(path, os.path.realpath(ctx.params['folder']))


class _Restore(_Backup):
    """The same; but the copy will be opened, so the backup must not belong to a stranger."""

    def act(self, ctx: click.Context, path: str) -> None:
        super().act(ctx, path)
        refuse_strangers(os.path.realpath(ctx.params['folder']))


@click.command(cls=_Backup, epilog='Example: hitcounter backup /srv/backups/hits')
@options.config
@options.storage
@click.option('--full', is_flag=True, help='Make a full copy even if an incremental one would do.')
@click.argument('folder', type=click.Path(file_okay=False))
def main(storage: Address, full: bool, folder: str) -> None:
    """Add the new part of the database to FOLDER, and verify it. The server may be running.

    The first backup, and the first one after a pack, copy the whole database. "hitcounter restore" makes a database
    from the folder.
    """
    log.set_up('error')
    made = back_up(storage.file(), folder, full=full)
    kind = 'full' if made.is_full else 'incremental'
    click.echo(f'{made.file}: {kind}, verified' if made.is_new else f'{made.file}: nothing new, verified')
    if made.is_unlike:
        click.echo(
            'The database no longer matches what was backed up here, although nobody packed it: keep the older files, '
            'and run "hitcounter verify".',
            err=True,
        )


@click.command(
    cls=_Restore,
    epilog='Example: hitcounter restore --storage file:///srv/hits.fs /srv/backups/hits',
)
@options.config
@options.storage
@click.argument('folder', type=click.Path(file_okay=False))
def restore_main(storage: Address, folder: str) -> None:
    """Restore the last backup in FOLDER, byte for byte, as the new file that --storage names.

    It never overwrites: stop the server and move the damaged file away first.
    """
    log.set_up('error')
    path = storage.file()
    size = restore(folder, path)
    click.echo(f'{path}: {size:,} bytes restored, verified')
