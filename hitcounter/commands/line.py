"""hitcounter line: the settings of a line."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..counts import count_of
from ..errors import LineRefused, RulesRefused
from ..hits.bounds import check_line
from ..lines.component import Lines, LineView
from ..lines.instants import show
from ..lines.settings import NAMES, Settings, canonical, checked, parse_settings
from ..state import Components
from ..state.storage.database import Address
from . import log, options, storages
from .base import Command, Commands


@click.group(cls=Commands, epilog='Run "hitcounter line COMMAND --help" for details.')
def main() -> None:
    """Declare a line, show it, close it or remove it.

    A line that nobody declared is served as well. One that is declared can have opening hours, a language and
    announcements of its own, and is never refused by --max-lines.
    """


@main.command(cls=Command, epilog='Example: hitcounter line declare contest --time-zone Europe/Berlin --country DE')
@options.config
@options.storage
@options.storage_of
@click.argument('line', required=False)
@click.option('--file', 'path', type=click.Path(path_type=Path), help='A TOML file with a table [line.NAME] for each.')
@click.option('--hours', help='Opening hours, as in OpenStreetMap: "Mo-Fr 08:00-18:00; PH off".')
@click.option('--time-zone', 'zone', help='The time zone, as Europe/Berlin.')
@click.option('--country', help='The country of public holidays and of national numbers, as DE.')
@click.option('--language', help='The language of the sound files, as Asterisk names it.')
def declare(
    storage: Address, storage_of: dict[str, Address], line: str | None, path: Path | None, **given: str | None
) -> None:
    """Declare LINE, or change its settings: those that are not given stay. With --file, all lines in the file."""
    log.set_up('error')
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if (line is None) == (path is None):
        raise click.UsageError('name a line, or give --file with a table for each line')
    if path is not None and changes:
        raise click.UsageError(f'the settings are in the file: leave out {", ".join(map(_flag, changes))}')
    tables = {} if path is None else _tables(path)
    for name in [line] if line is not None else tables:
        _check(name)
    settings = {name: parse_settings(table, f'line.{name}') for name, table in tables.items()}
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT) as (_, state):
        if line is not None:
            views = state[Lines].views()
            before = views[line].settings if line in views else Settings()
            settings = {line: checked(replace(before, **changes), f'line {line!r}')}
        state.update(_declare, settings)
    click.echo(f'{count_of(len(settings), "line")} declared: {", ".join(settings)}')


def _declare(components: Components, settings: Mapping[str, Settings]) -> None:
    for line, one in settings.items():
        components[Lines].declare(line, one)


@main.command('show', cls=Command)
@options.config
@options.storage
@options.storage_of
@click.argument('line')
@click.option('--json', 'as_json', is_flag=True, help='For programs: one JSON object.')
def show_line(storage: Address, storage_of: dict[str, Address], line: str, as_json: bool) -> None:
    """Show the settings of LINE, and what was found out about its sound files."""
    log.set_up('error')
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT, read_only=True) as (_, state):
        view = state[Lines].view(line)
    settings = json.loads(canonical(view.settings))
    if as_json:
        sounds = view.sounds and view.sounds._asdict()
        shown = {'line': line, 'declared': view.is_declared, 'closed': view.is_closed, 'sounds': sounds}
        click.echo(json.dumps({**shown, 'settings': settings}))
        return
    for name, text in _lines(line, view, settings):
        click.echo(f'{name:16} {text}')


def _lines(line: str, view: LineView, settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield 'line', line
    yield 'declared', 'yes' if view.is_declared else 'no'
    if view.is_closed:
        yield 'closed', f'by hand: open it with "hitcounter line open {line}"'
    for key, value in settings.items():
        if key != 'say':
            yield key, ', '.join(value) if isinstance(value, list) else value
    for name, items in settings.get('say', {}).items():
        yield f'say {name}', json.dumps(items)
    yield 'sound files', sounds_of(view)


def sounds_of(view: LineView) -> str:
    """What is known of the sound files of a line, in a sentence."""
    if view.sounds is None:
        return 'never checked: call the script sounds/LINE once, which lists the ones that are missing'
    when = show(view.sounds.time, view.settings.zone)
    missing = ', '.join(view.sounds.missing)
    return f'{missing} missing, as of {when}' if missing else f'all there, as of {when}'


@main.command(cls=Command)
@options.config
@options.storage
@options.storage_of
@click.argument('line')
def remove(storage: Address, storage_of: dict[str, Address], line: str) -> None:
    """Remove the settings of LINE and all its rounds. Its count stays, and it is served like any other line."""
    log.set_up('error')
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT) as (_, state):
        state[Lines].remove(line)
    click.echo(f'line {line} removed')


@main.command('close', cls=Command)
@options.config
@options.storage
@options.storage_of
@click.argument('line')
def close_line(storage: Address, storage_of: dict[str, Address], line: str) -> None:
    """Turn away all calls of LINE, whatever its rounds and its hours say, until "hitcounter line open"."""
    _set_closed(storage, storage_of, line, closed=True)


@main.command('open', cls=Command)
@options.config
@options.storage
@options.storage_of
@click.argument('line')
def open_line(storage: Address, storage_of: dict[str, Address], line: str) -> None:
    """Let rounds and hours decide again about the calls of LINE."""
    _set_closed(storage, storage_of, line, closed=False)


def _set_closed(storage: Address, storage_of: dict[str, Address], line: str, *, closed: bool) -> None:
    log.set_up('error')
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT) as (_, state):
        state[Lines].close_line(line, closed)
    click.echo(f'line {line} is {"closed" if closed else "open"}')


def _tables(path: Path) -> dict[str, Mapping[str, Any]]:
    """The tables of the lines in a TOML file."""
    table = read_toml(path)
    lines = table.get('line')
    if set(table) != {'line'} or not isinstance(lines, dict) or not lines:
        raise RulesRefused(f'{str(path)!r} must have a table [line.NAME] for each line, and nothing else')
    for name, one in lines.items():
        if not isinstance(one, dict):
            raise RulesRefused(f'{str(path)!r} has {name} = {one!r:.80}: write a table, [line.{name}]')
    return lines


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds. Raises RulesRefused, which names the file, if it cannot be read."""
    try:
        return tomllib.loads(path.read_text('utf-8'))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RulesRefused(f'{str(path)!r} is not TOML: {error}') from error
    except OSError as error:
        raise RulesRefused(f'{str(path)!r} cannot be read: {error.strerror}') from error


def _check(line: str) -> None:
    try:
        check_line(line)
    except LineRefused as error:
        raise RulesRefused(str(error)) from error


def _flag(name: str) -> str:
    return f'--{NAMES.get(name, name)}'
