"""hitcounter line: the settings of a line."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..counts import count_of
from ..errors import LineRefused, RoundRefused, RulesRefused
from ..hits.bounds import check_line
from ..lines.component import Lines, LineView, lines_in
from ..lines.instants import show
from ..lines.settings import DEFAULT, NAMES, Settings, canonical, checked, parse_settings
from ..state import Components
from ..state.storage.database import Address
from . import log, options, storages
from .base import Command, Commands
from .names import argument_of, name_of
from .toml_file import read_toml
from .zone import warn_of_zone


@click.group(cls=Commands, epilog='Run "hitcounter line COMMAND --help" for details.')
def main() -> None:
    """Declare a line, show it, close it or remove it.

    A line that nobody declared is served as well. One that is declared can have opening hours, a language and
    announcements of its own, and is never refused by --max-lines.
    """


@main.command(
    cls=Command,
    short_help='Declare lines, or change their settings.',
    epilog='Example: hitcounter line declare contest --time-zone Europe/Berlin',
)
@options.config
@options.storage
@options.storage_of
@click.argument('line', required=False)
@click.option('--file', 'path', type=click.Path(path_type=Path), help='A TOML file with a table [line.NAME] for each.')
@click.option('--hours', help='Opening hours, as in OpenStreetMap: "Mo-Fr 08:00-18:00; PH off".')
@click.option('--time-zone', 'zone', help='The time zone, as Europe/Berlin; default: UTC.')
@click.option('--country', help='The country of public holidays and of national numbers, as DE.')
@click.option('--language', help='The language of the sound files, as Asterisk names it.')
def declare(
    storage: Address, storage_of: dict[str, Address], line: str | None, path: Path | None, **given: str | None
) -> None:
    """Declare LINE, or change its settings: those that are not given stay.

    With --file, all lines in the file are declared, or none if anything is wrong in it. Each of them has the settings
    of its table only: what the table leaves out is reset. A line whose name begins with a dash is given after "--".
    """
    log.set_up('error')
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if (line is None) == (path is None):
        raise click.UsageError('name a line, or give --file with a table for each line')
    if path is not None and changes:
        raise click.UsageError(f'the settings are in the file: leave out {", ".join(map(_flag, changes))}')
    tables = {} if path is None else _tables(path)
    settings = {name: parse_settings(table, f'{str(path)!r}, line.{name_of(name)}') for name, table in tables.items()}
    if line is not None:
        check_name(line)
        # What is stored may name another country, or one: only this command's own values are known to be wrong.
        checked(replace(Settings(country='DE'), **changes), f'line {name_of(line)}')
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT) as (_, state):
        if line is not None:
            views = state[Lines].views()
            before = views[line].settings if line in views else Settings()
            settings = {line: checked(replace(before, **changes), f'line {name_of(line)}')}
        state.update(_declare, settings)
    if any(one.hours and one.zone == DEFAULT.zone for one in settings.values()):
        warn_of_zone(DEFAULT.zone)
    click.echo(f'{count_of(len(settings), "line")} declared: {", ".join(map(name_of, settings))}')


def _declare(components: Components, settings: Mapping[str, Settings]) -> None:
    for line, one in settings.items():
        components[Lines].declare(line, one)


@main.command(
    'show', cls=Command, short_help='Show the settings of a line.', epilog='Example: hitcounter line show contest'
)
@options.config
@options.storage
@options.storage_of
@click.argument('line')
@click.option('--json', 'as_json', is_flag=True, help='For programs: one JSON object.')
def show_line(storage: Address, storage_of: dict[str, Address], line: str, as_json: bool) -> None:
    """Show the settings of LINE, and what was found out about its sound files."""
    log.set_up('error')
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT, read_only=True) as (_, state):
        view = state.query(_view, line)
    settings = json.loads(canonical(view.settings))
    if as_json:
        sounds = view.sounds and view.sounds._asdict()
        shown = {'line': line, 'declared': view.is_declared, 'closed': view.is_closed, 'sounds': sounds}
        click.echo(json.dumps({**shown, 'settings': settings}))
        return
    for name, text in _lines(line, view, settings):
        click.echo(f'{name:16} {text}')


def _view(components: Components, line: str) -> LineView:
    lines = lines_in(components)
    if lines is None:
        raise RoundRefused(f'line {line!r} is not declared and has had no round: see "hitcounter lines"')
    return lines.view(line)


def _lines(line: str, view: LineView, settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield 'line', name_of(line)
    yield 'declared', 'yes' if view.is_declared else 'no'
    if view.is_closed:
        yield 'closed', f'by hand: open it with "hitcounter line open {argument_of(line)}"'
    for key, value in settings.items():
        if key != 'say':
            yield key, ', '.join(value) if isinstance(value, list) else value
    for name, items in settings.get('say', {}).items():
        yield f'say {name}', json.dumps(items)
    yield 'sound files', sounds_of(line, view)


def sounds_of(line: str, view: LineView) -> str:
    """What is known of the sound files of a line, in a sentence."""
    if view.sounds is None:
        return f'never checked: call the script sounds/{line} once, which lists the ones that are missing'
    when = show(view.sounds.time, view.settings.zone)
    missing = ', '.join(view.sounds.missing)
    return f'{missing} missing, as of {when}' if missing else f'all there, as of {when}'


@main.command(cls=Command, short_help='Remove a line and its rounds.', epilog='Example: hitcounter line remove contest')
@options.config
@options.storage
@options.storage_of
@click.argument('line')
def remove(storage: Address, storage_of: dict[str, Address], line: str) -> None:
    """Remove the settings of LINE and all its rounds. Its count stays, and it is served like any other line."""
    log.set_up('error')
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT) as (_, state):
        state[Lines].remove(line)
    click.echo(f'line {name_of(line)} is removed')


@main.command(
    'close', cls=Command, short_help='Turn away all calls of a line.', epilog='Example: hitcounter line close contest'
)
@options.config
@options.storage
@options.storage_of
@click.argument('line')
def close_line(storage: Address, storage_of: dict[str, Address], line: str) -> None:
    """Turn away all calls of LINE, whatever its rounds and its hours say, until "hitcounter line open"."""
    _set_closed(storage, storage_of, line, closed=True)


@main.command(
    'open', cls=Command, short_help='Take calls again after "close".', epilog='Example: hitcounter line open contest'
)
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
    click.echo(f'line {name_of(line)} is {"closed" if closed else "open"}')


def _tables(path: Path) -> dict[str, Mapping[str, Any]]:
    """The tables of the lines in a TOML file."""
    table = read_table(path)
    for key in table:
        if key != 'line':
            raise RulesRefused(f'{str(path)!r} has {key!r:.80}, which is not the table of a line: write [line.NAME]')
    lines = table.get('line')
    if not isinstance(lines, dict) or not lines:
        raise RulesRefused(f'{str(path)!r} has no line: write a table [line.NAME] for each')
    for name, one in lines.items():
        check_name(name, f'{str(path)!r}: ')
        if not isinstance(one, dict):
            raise RulesRefused(
                f'{str(path)!r} has {name_of(name)} = {one!r:.80} in [line], where only tables of lines may be: write '
                f'settings below [line.NAME]'
            )
    return lines


def read_table(path: Path) -> dict[str, Any]:
    """What a TOML file holds. Raises RulesRefused, which names the file, if it cannot be read."""
    try:
        return read_toml(path)
    except ValueError as error:
        raise RulesRefused(str(error)) from error


def check_name(line: str, place: str = '') -> None:
    """Raise RulesRefused, which begins with `place`, if no new line can have that name."""
    try:
        check_line(line)
    except LineRefused as error:
        raise RulesRefused(f'{place}{error}') from error


def _flag(name: str) -> str:
    return f'--{NAMES.get(name, name)}'
