"""hitcounter copy: all of a database on another kind of storage."""

from contextlib import closing

import click

from ..counts import count_of
from ..state.storage.database import Address, address_of
from ..state.upkeep.copying import copy
from . import log, options
from .base import CommandOnTwo
from .progress import Progress


@click.command(cls=CommandOnTwo, epilog='Example: hitcounter copy file:///srv/hits.fs postgresql://hits@db1,db2/hits')
@options.config
@options.trust_owner
@click.argument('storage', metavar='FROM')
@click.argument('to', metavar='TO')
def main(storage: Address, to: str) -> None:
    """Copy all of the database FROM to TO, a new file or an empty database on PostgreSQL. Stop the server first.

    The copy is compared with the original, object by object, and each component checks itself in both. Until that has
    ended, nothing opens the copy: if it is interrupted, run it again. FROM stays as it is.
    """
    log.set_up('error')
    progress = Progress('record', 'read')
    with closing(storage.open_alone()) as source, address_of(to).filling() as target:
        copied = copy(source, target, progress.reach)
    progress.finish()
    click.echo(f'{count_of(copied.objects, "object")} copied and compared, in {copied.seconds:.1f} s')
