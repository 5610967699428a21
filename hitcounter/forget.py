"""hitcounter forget: calls without their records."""

import time
from contextlib import closing

import click

from . import installed, log, settings
from .hits import forget
from .state import State, open_database


@click.command(
    cls=settings.Command, short_help='Forget who called.', epilog='Example: hitcounter forget --keep-calls 90d'
)
@settings.config
@settings.storage
@settings.keep_calls(required=True)
def main(storage: str, keep_calls: float) -> None:
    """Forget who called, and when, longer than --keep-calls ago, while the server runs or not.

    Counts, hours and the numbers of later calls stay. The bytes leave the file when it is packed: see "hitcounter
    pack", and --pack-keep.
    """
    log.set_up('error')
    with (
        closing(open_database(storage)) as database,
        closing(State(database, installed.components())) as state,
    ):
        forgotten = forget(state, time.time() - keep_calls)
    click.echo(f'{forgotten:,} calls are forgotten')
