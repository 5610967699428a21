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
    """The same; but what it copies will be opened, so it must not be a stranger's."""

    def act(self, ctx: click.Context, path: str) -> None:
        super().act(ctx, path)
        refuse_strangers(os.path.realpath(ctx.params['folder']))


@click.command(cls=_Backup, epilog='Example: hitcounter backup /srv/backups/hits')
@options.config
@options.storage
@click.option('--full', is_flag=True, help='Make a full copy even if an incremental one would do.')
@click.argument('folder', type=click.Path(file_okay=False))
def main(storage: Address, full: bool, folder: str) -> None:
    """Add to FOLDER what is new in the database, and verify it, while the server runs or not.

    The first time, and after a pack, all of the database is new. "hitcounter restore" makes it a database again.
    """
    log.set_up('error')
    made = back_up(storage.file(), folder, full=full)
    kind = 'full' if made.is_full else 'what was added'
    click.echo(f'{made.file}: {kind}, verified' if made.is_new else f'{made.file}: nothing is new, verified')
    if made.is_unlike:
        click.echo(
            'The database is not what was backed up here before, though nobody packed it: keep the older files, and '
            'look with "hitcounter verify".',
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
    """Put the database that was last backed up to FOLDER where --storage says, byte by byte.

    It never overwrites: stop the server and move the damaged file away first.
    """
    log.set_up('error')
    path = storage.file()
    size = restore(folder, path)
    click.echo(f'{path}: {size:,} bytes restored, verified')
