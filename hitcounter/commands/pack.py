"""hitcounter pack: the database without what nobody needs any more."""

from contextlib import closing

import click

from ..state.storage.database import Address
from ..state.upkeep.packing import pack
from . import log, options
from .base import Command


@click.command(cls=Command, epilog='Example: hitcounter pack --pack-keep 30d')
@options.config
@options.storage
@options.pack_keep
def main(storage: Address, pack_keep: float) -> None:
    """Remove history older than --pack-keep from the database file. The server may be running.

    Undo, and the shell's view of the past, reach back that far. A pack needs free disk space for a second file.
    """
    log.set_up('warning')
    with closing(storage.open()) as database:
        packed = pack(database, pack_keep)
    click.echo(f'packed: {packed.before:,} bytes, now {packed.after:,}, in {packed.seconds:.1f} s')
