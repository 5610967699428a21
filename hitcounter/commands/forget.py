"""hitcounter forget: who called is forgotten, for old calls or for one caller."""

import glob
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain, starmap
from typing import TypeVar

import click
from click.core import ParameterSource

from ..counts import count_of
from ..errors import HitcounterError, RulesRefused
from ..hits import HitCounter
from ..lines.component import Lines
from ..lines.identity import SameCaller, check_country, is_stand_in
from ..state import Component, Database, State
from ..state.forgetting import can_erase, can_forget, erase, forget
from ..state.model.blame import described
from ..state.storage.database import Address
from ..state.storage.stamps import BackupStamp
from . import log, options, plugins, storages
from .base import Command

R = TypeVar('R')

#: Where else a caller may be.
_WRITTEN = 'log files of hitcounter and of Asterisk, exports and reports, until you delete them'


def _one_caller(_: click.Context, __: click.Parameter, number: str | None) -> str | None:
    if number is not None and is_stand_in(number):
        raise click.BadParameter(
            f'{number!r} is what is stored of callers who withhold their number, and not one caller: give a number'
        )
    return number


def _country(_: click.Context, __: click.Parameter, code: str) -> str:
    try:
        check_country(code)
    except RulesRefused as error:
        raise click.BadParameter(str(error)) from error
    return code


@click.command(cls=Command, epilog='Example: hitcounter forget --keep-calls 90d')
@options.config
@options.storage
@options.storage_of
@options.keep_calls
@click.option(
    '--caller',
    metavar='NUMBER',
    callback=_one_caller,
    help='Erase this caller from all calls, whatever their age, and in any spelling of the number.',
)
@click.option(
    '--country',
    metavar='CODE',
    default='',
    callback=_country,
    help='The country whose national number it is, as DE; default: that of each line.',
)
@click.pass_context
def main(
    ctx: click.Context,
    storage: Address,
    storage_of: dict[str, Address],
    keep_calls: float | None,
    caller: str | None,
    country: str,
) -> None:
    """Forget who called, for calls older than --keep-calls, or for one caller. The server may be running.

    Counts, hours and numbers stay; --caller keeps the times of the calls, too, and prints where else the caller may
    be. The bytes leave the file when a pack no longer keeps that history: see "hitcounter pack" and --pack-keep.
    Components of other packages forget their records as well.
    """
    _check(ctx, keep_calls, caller, country)
    log.set_up('error')
    components = plugins.components()
    with (
        storages.opened(storage, storage_of, components, Address.open) as (database, elsewhere),
        closing(State(database, components, options.UPKEEP_TIMEOUT, elsewhere=elsewhere)) as state,
    ):
        if caller is None:
            assert keep_calls is not None  # checked
            failures = _forget(state, components, time.time() - keep_calls)
        else:
            failures = _erase(state, components, SameCaller(caller, country, _countries(state)))
            click.echo('the caller may remain')
            places = {database: storage, **{elsewhere[name]: address for name, address in storage_of.items()}}
            for place in (*chain(*starmap(_remains, places.items())), _WRITTEN):
                click.echo(f'  in {place}')
    if failures:
        raise HitcounterError(f'some components could not forget: {", ".join(failures)}: fix them, and run this again')


def _check(ctx: click.Context, keep_calls: float | None, caller: str | None, country: str) -> None:
    """Raise UsageError unless the options say one thing; a variable or the file may give --keep-calls to the server."""
    if caller is None and keep_calls is None:
        raise click.UsageError(
            'nothing says what to forget: give --keep-calls, as in --keep-calls 90d, or --caller and a number'
        )
    if caller is not None and ctx.get_parameter_source('keep_calls') is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            '--caller erases a caller from all calls, whatever their age: leave out --keep-calls, or run both by '
            'themselves'
        )
    if country and caller is None:
        raise click.UsageError(f'--country {country} is that of a number: give --caller, too, or leave it out')


def _forget(state: State, components: Iterable[type[Component]], before: float) -> list[str]:
    """Forget what is from before that time; returns which components could not."""
    failures: list[str] = []
    for component, forgotten in _attempted(
        filter(can_forget, components), lambda component: forget(state, component, before), failures
    ):
        if component is HitCounter:
            click.echo(f'{count_of(forgotten, "call")} forgotten')
        elif forgotten:
            click.echo(f'{count_of(forgotten, "record")} of {component.name} forgotten')
    return failures


def _countries(state: State) -> dict[str, str]:
    """The countries of the lines that have one, or whose last round has."""
    views = state[Lines].views()
    last = {line: view.last.rules.country for line, view in views.items() if view.last}
    return {line: view.settings.country or last.get(line, '') for line, view in views.items()}


def _erase(state: State, components: Iterable[type[Component]], caller: SameCaller) -> list[str]:
    """Erase that caller; returns which components could not."""
    failures: list[str] = []
    for component, erased in _attempted(
        filter(can_erase, components), lambda component: erase(state, component, caller), failures
    ):
        count = sum(count for _, count in erased)
        if component is HitCounter:
            lines = {line for (line, _), count in erased if count}
            click.echo(f'erased from {count_of(count, "call")} on {count_of(len(lines), "line")}')
            if not count and caller.number.startswith('0') and not caller.country:
                click.echo(
                    'Warning: on lines without a country the number was sought as it is written: if it is a national '
                    'one, give --country as well, as in --country DE',
                    err=True,
                )
        elif count:
            click.echo(f'erased from {count_of(count, "record")} of {component.name}')
    return failures


def _attempted(
    components: Iterable[type[Component]], attempt: Callable[[type[Component]], R], failures: list[str]
) -> Iterator[tuple[type[Component], R]]:
    """Each component with what the attempt on it returned; those on which it failed are added to `failures`."""
    for component in components:
        try:
            result = attempt(component)
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a component may raise anything, but must not stop others
            failures.append(f'{component.name} ({described(error)})')
        else:
            yield component, result


def _remains(database: Database, address: Address) -> Iterator[str]:
    """Where the caller may still be, because it was in that database, and for how long."""
    if database.keeps_history:
        yield (
            f'the history of {database.place}, until a pack no longer keeps it (--pack-keep): "hitcounter pack '
            f'--pack-keep 0d" removes it now'
        )
    for path in address.files:
        for cut in sorted(glob.glob(f'{glob.escape(path)}.tr[0-9]*')):
            yield f'{cut}, which was cut off the database, until you delete it'
    yield f'{_backups(database)}, until you delete them: after a restore, run this again'


def _backups(database: Database) -> str:
    stamp = database.stamp(BackupStamp) if BackupStamp in database.known_stamps else None
    if stamp is None:
        return 'backups, of which none is known here' if BackupStamp in database.known_stamps else 'dumps and backups'
    when = f'{datetime.fromtimestamp(stamp.time, UTC):%Y-%m-%d %H:%M:%S} UTC'
    return f'the backups in {os.path.dirname(stamp.file)}, the last of which is of {when}'
