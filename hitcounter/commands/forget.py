"""hitcounter forget: calls without their records."""

import time
from contextlib import closing

import click

from ..counts import count_of
from ..errors import HitcounterError
from ..hits import HitCounter
from ..state import State
from ..state.forgetting import can_forget, forget
from ..state.model.blame import described
from ..state.storage.database import Address
from . import log, options, plugins, storages
from .base import Command


@click.command(cls=Command, epilog='Example: hitcounter forget --keep-calls 90d')
@options.config
@options.storage
@options.storage_of
@options.required_keep_calls
def main(storage: Address, storage_of: dict[str, Address], keep_calls: float) -> None:
    """Forget who called, and when, for calls older than --keep-calls. The server may be running.

    Counts, hours and numbers stay. The bytes leave the file when a pack no longer keeps that history: see "hitcounter
    pack" and --pack-keep. Components of other packages forget their records of that age as well.
    """
    log.set_up('error')
    components = plugins.components()
    failures = []
    with (
        storages.opened(storage, storage_of, components, Address.open) as (database, elsewhere),
        closing(State(database, components, options.UPKEEP_TIMEOUT, elsewhere=elsewhere)) as state,
    ):
        for component in filter(can_forget, components):
            try:
                forgotten = forget(state, component, time.time() - keep_calls)
            except (Exception, SystemExit) as error:  # noqa: BLE001 -- a component may raise anything, but must not stop others
                failures.append(f'{component.name} ({described(error)})')
                continue
            is_ours = component is HitCounter
            what = count_of(forgotten, 'call') if is_ours else f'{count_of(forgotten, "record")} of {component.name}'
            click.echo(f'{what} forgotten')
    if failures:
        raise HitcounterError(f'some components could not forget: {", ".join(failures)}: fix them, and run this again')
