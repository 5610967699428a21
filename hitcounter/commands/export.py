"""hitcounter export and import: the records of calls as CSV or JSON lines."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, BinaryIO, TypeVar

import click

from ..errors import HitcounterError, Interrupted
from ..hits import HitCounter
from ..hits.records import (
    AT_ONCE,
    EARLIER,
    FIELDS,
    FORMATS,
    Format,
    Imported,
    export_records,
    forgotten_calls,
    import_calls,
)
from ..state import Component, ReadConnection, State
from ..state.model.root import SCHEMAS
from ..state.storage.database import Address
from . import log, options, plugins, storages
from .base import Command
from .output import STANDARD, as_whom, new_file
from .progress import Progress

F = TypeVar('F', bound=Callable[..., Any])


def _form(ctx: click.Context, _: click.Parameter, name: str | None) -> Format:
    """The format that was named, or the one that the file's name ends with."""
    name = name or str(ctx.params.get('file', '')).rpartition('.')[2]
    if name not in FORMATS:
        raise click.UsageError('give --format csv or --format jsonl, or a file whose name ends in .csv or .jsonl')
    return FORMATS[name]


def _exchange(command: F) -> F:
    """What both have in common."""
    for decorate in (
        click.option(
            '--format',
            'form',
            type=click.Choice(list(FORMATS)),
            callback=_form,
            help='Default: from the extension of the file.',
        ),
        click.argument('file', type=click.Path(dir_okay=False, allow_dash=True), is_eager=True),
        options.storage_of,
        options.storage,
        options.config,
    ):
        command = decorate(command)
    return command


@click.command(cls=Command, epilog='Example: hitcounter export calls.csv')
@_exchange
@click.option(
    '--schema',
    type=click.IntRange(1, HitCounter.schema),
    default=HitCounter.schema,
    show_default=True,
    help='Write calls for programs with this schema of "hits".',
)
@click.option(
    '--forgotten',
    is_flag=True,
    help='Also write a row without a caller for each forgotten call, so that an empty database can import the file.',
)
@click.option(
    '--component',
    'name',
    default=HitCounter.name,
    show_default='the calls of the hit counter',
    help='Write the records of this component instead.',
)
def main(
    storage: Address,
    storage_of: dict[str, Address],
    file: str,
    form: Format,
    schema: int,
    forgotten: bool,
    name: str,
) -> None:
    """Write to FILE, or to standard output for "-", a row for each call that is not forgotten.

    The server may be running. The export contains the calls that were counted before it began.
    """
    log.set_up('error')
    calls = name == HitCounter.name
    progress = Progress(*(('call', 'written') if calls else ('record', f'of {name} written')))
    with (
        closing(storage_of.get(name, storage).open(read_only=True)) as database,
        ReadConnection(database.db) as session,
        new_file(file) as output,
    ):
        _refuse_without_records(session.root, name, database.description)
        fields = (EARLIER if schema == 1 else FIELDS) if calls else None
        first = forgotten_calls(session) if calls and forgotten else ()
        for count, row in enumerate(export_records(session, name, form, fields, first)):
            output.write(row)
            progress.reach(count)
    progress.finish()


@click.command(cls=Command, epilog='Example: hitcounter import calls.csv')
@_exchange
def import_main(storage: Address, storage_of: dict[str, Address], file: str, form: Format) -> None:
    """Import the calls in FILE, or in standard input for "-", as "hitcounter export" wrote them.

    Each call must have the next number of its line. Calls that are already there are skipped. So after an import that
    stopped in the middle, for example at a wrong row, import the whole file again.
    """
    log.set_up('error')
    progress = Progress('call', 'read')
    components = plugins.components()
    with (
        _old(file) as input_,
        storages.opened(storage, storage_of, components, Address.open) as (database, elsewhere),
        closing(State(database, components, options.UPKEEP_TIMEOUT, elsewhere=elsewhere)) as state,
    ):
        imported = Imported(0, 0)
        try:
            for imported in import_calls(state, input_, form):
                progress.reach(sum(imported))
        except KeyboardInterrupt as interrupt:
            progress.finish()
            perhaps = f', and perhaps up to {AT_ONCE} more' if isinstance(interrupt, Interrupted) else ''
            raise Interrupted(f'{imported}{perhaps}; import the whole file again to go on') from interrupt
    progress.finish()
    click.echo(imported)


def _refuse_without_records(root: Mapping[str, Any], name: str, description: str) -> None:
    component = root.get(name)
    if name == HitCounter.name and component is None:
        raise HitcounterError(f'the database ({description}) holds no calls of the hit counter: choose another')
    if not isinstance(component, Component):
        raise HitcounterError(
            f'the database ({description}) holds no component {name!r} of installed code: see "hitcounter status"'
        )
    if (schema := root[SCHEMAS][name]) > component.schema:
        raise HitcounterError(
            f'{description} holds schema {schema} of {name!r}, newer than the {component.schema} of this program: '
            f'install the version that wrote it'
        )
    if type(component).export is Component.export:
        raise HitcounterError(f'the component {name!r} has no export: give its class an export()')


@contextmanager
def _old(file: str) -> Iterator[BinaryIO]:
    if file == STANDARD:
        if sys.stdin is None:
            raise HitcounterError('standard input is closed: name a file')
        yield sys.stdin.buffer
        return
    try:
        input_ = open(file, 'rb')  # noqa: SIM115 -- what is read from it has errors of its own
    except OSError as error:
        raise HitcounterError(
            f'{file!r} cannot be read{as_whom(error)} ({error.strerror}): name another file'
        ) from error
    with input_:
        yield input_
