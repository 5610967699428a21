"""hitcounter-shell: Python on the live database, at a prompt or from a script."""

from . import interrupt as _interrupt  # noqa: F401 -- first, for Ctrl-C while the others are imported

# isort: split

import logging
import sys
import traceback
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import click
from ZODB.POSException import StorageError

from ..errors import DatabaseRefused, HitcounterError, ReadOnly, StateUnavailable
from ..shell.workspace import READING, Workspace, refusal_of
from ..state import Database, ReadConnection
from ..state.storage.database import Address
from ..state.upkeep.migration import moved_classes, unfit
from . import log, options, plugins, storages
from .advice import advised
from .base import Command
from .ending import say_interrupted
from .interrupt import INTERRUPTED


class _ScriptFile(click.Path):
    """An existing file; after -c it is not a script but the first argument."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if ctx is not None and ctx.params.get('code') is not None:  # it comes first, and is parsed first
            return value
        return super().convert(value, param, ctx)


@click.command(
    cls=Command,
    context_settings={'allow_interspersed_args': False},  # what follows a script is the script's
)
@options.config
@options.storage
@options.storage_of
@options.update_timeout
@click.option('--write', is_flag=True, help='Allow changes: commit() stores them, abort() discards them.')
@click.option('--unmigrated', is_flag=True, help='With --write: allow changes even if a migration is due.')
@click.option('-c', 'code', metavar='CODE', help='Run CODE instead of opening a prompt.')
@click.argument('script', type=_ScriptFile(exists=True, dir_okay=False, allow_dash=True), required=False)
@click.argument('arguments', nargs=-1, type=click.UNPROCESSED)
def main(
    storage: Address,
    storage_of: dict[str, Address],
    update_timeout: float,
    write: bool,
    unmigrated: bool,
    code: str | None,
    script: str | None,
    arguments: tuple[str, ...],
) -> None:
    """Open a Python shell on the live database, whether or not the server runs; --write allows changes.

    With SCRIPT, -c or code on standard input, run that instead. The exit status is 1 if it fails or leaves changes
    uncommitted. ARGUMENTS are in sys.argv. For example:

        hitcounter-shell -c 'print(hits.count("31415"))'
    """
    if code is not None and script is not None:
        arguments = (script, *arguments)
    if unmigrated and not write:
        raise click.UsageError('--unmigrated needs --write, without which nothing can be changed')
    log.set_up('error')
    logging.getLogger('ZEO').setLevel(logging.CRITICAL)  # its errors are also raised as exceptions
    with ExitStack() as opened:
        components = plugins.components() if storage_of else []
        opening = partial(Address.open, read_only=not write)
        database, elsewhere = opened.enter_context(storages.opened(storage, storage_of, components, opening))
        for one in dict.fromkeys([database, *elsewhere.values()]):
            _check_fit(one, write, unmigrated)
        workspace = opened.enter_context(
            closing(Workspace(database, update_timeout, writes=write, elsewhere=elsewhere))
        )
        if code is None and script is None and sys.stdin.isatty():
            # Imported here because that takes longer than many a script.
            from ..shell.prompt import run_prompt

            run_prompt(workspace)
            status = 0
        else:
            status = _run(*_source(code, script), arguments, workspace)
        if workspace.is_changed:
            click.echo('Uncommitted changes were discarded; next time call commit() first.', err=True)
    sys.exit(status)


def _check_fit(database: Database, write: bool, unmigrated: bool) -> None:
    """Warn if the database does not fit the installed code. Raises DatabaseRefused if the shell may write."""
    refusal = _unfit(database)
    if refusal is None:
        return
    if write and not unmigrated:
        raise DatabaseRefused(f'{refusal}; or give --unmigrated as well to change it as it is')
    click.echo(f'Warning: {refusal}; until then the shell may show wrong values.', err=True)


def _unfit(database: Database) -> str | None:
    """Why the installed components do not fit the database, if so; moved classes then load from their new places."""
    try:
        components = plugins.components()
        with ReadConnection(database.db) as connection:
            error = unfit(connection.root, components)
        if error is not None:
            database.db.moves = moved_classes(components)
            database.db.cacheMinimize()  # drop objects that were loaded under old names
    except HitcounterError as broken:  # a fault of an installed package
        return advised(broken)
    return advised(error) if error else None


def _source(code: str | None, script: str | None) -> tuple[str | bytes, str]:
    """The code to run, and its name."""
    if code is not None:
        return code, '-c'
    if script is None or script == '-':
        return sys.stdin.buffer.read(), '-'
    path = Path(script)
    sys.path.insert(0, str(path.parent.absolute()))
    return path.read_bytes(), script


def _run(source: str | bytes, name: str, arguments: tuple[str, ...], workspace: Workspace) -> Any:
    """Run a script to its end, and return the exit status. An exception is shown as Python shows it."""
    sys.argv = [name, *arguments]
    workspace.code = str(source) if name == '-c' else name
    try:
        exec(compile(source, name, 'exec'), {'__name__': '__main__', '__file__': name, **workspace.names})
    except SystemExit as leaving:
        return leaving.code or int(workspace.is_changed)
    except KeyboardInterrupt as interrupt:
        say_interrupted(interrupt)
        return INTERRUPTED
    except (StateUnavailable, StorageError) as error:
        click.echo(f'Error: {name}, line {_line(error, name)}: {refusal_of(error)}.', err=True)
        return 1
    except Exception as error:  # noqa: BLE001 -- a script may raise anything
        if isinstance(error, ReadOnly) and not workspace.writes and '--write' not in str(error):
            error.add_note(f'{READING[0].upper()}{READING[1:]}.')
        own = error.__traceback__ and error.__traceback__.tb_next  # without this function
        traceback.print_exception(error.with_traceback(own))
        return 1
    return int(workspace.is_changed)  # a script that forgot its commit failed


def _line(error: BaseException, name: str) -> int:
    """The line of the script at which `error` was raised."""
    return max(frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name)
