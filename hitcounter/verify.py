"""hitcounter verify: whether the database is whole."""

import logging
import sys
from contextlib import closing

import click

from . import log, settings
from .state.database import open_as_stored
from .state.guard import RESTORE
from .state.verification import findings


@click.command(
    cls=settings.Command,
    short_help='Look for damage.',
    epilog='Example: hitcounter verify --storage file:///srv/hits.fs && hitcounter backup /srv/backups/hits',
)
@settings.config
@settings.storage
def main(storage: str) -> None:
    """Read every transaction, load every object, and let each component check itself, while the server runs or not.

    One line for each finding, and exit status 1 if there are any.
    """
    log.set_up('error')
    logging.getLogger('ZODB').setLevel(logging.CRITICAL)  # what it logs as an error is a finding
    found = 0
    with closing(open_as_stored(storage)) as database:
        for finding in findings(database):
            click.echo(finding)
            found += 1
        if found:
            click.echo(f'{database.description} is damaged: {found} findings; {RESTORE}', err=True)
            sys.exit(1)
        click.echo(f'{len(database.db.storage):,} objects are whole')
