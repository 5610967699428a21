"""hitcounter move: a component in another database."""

from contextlib import closing

import click

from ..counts import count_of
from ..errors import HitcounterError
from ..state.storage.database import Address, address_of
from ..state.upkeep.moving import move_together
from . import log, options
from .base import CommandOnTwo


@click.command(cls=CommandOnTwo, epilog='Example: hitcounter move wallboard file:///srv/wallboard.fs')
@options.config
@options.storage
@click.argument('name')
@click.argument('to', metavar='URI')
def main(storage: Address, name: str, to: str) -> None:
    """Move the component NAME, with all that it stored, to the database URI. Stop the server first.

    Those that it depends on, or that depend on it, go with it, as lines do with hits. Then name that database with
    --storage-of for each of them. It is made if it is a new file. If the move is interrupted, run it again.
    """
    log.set_up('error')
    target = address_of(to)
    if target.files == storage.files and (target.files or target.uri == storage.uri):
        raise HitcounterError(f'{str(target)!r} is the database that holds {name!r}: name another')
    with closing(storage.open_alone()) as here, closing(target.open(share=True)) as there:
        moved = move_together(name, here, there)
    for one, objects in moved.items():
        click.echo(f'{one}: {count_of(objects, "object")} moved to {target}')
