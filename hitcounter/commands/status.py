"""hitcounter status: the database and its server at a glance."""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click

from ..counts import count_of
from ..errors import HitcounterError
from ..state import Database, ReadConnection
from ..state.shards import noted
from ..state.storage.database import Address
from ..state.storage.stamps import BackupStamp, PackStamp, Stamp
from ..state.upkeep.migration import is_due, unfit
from ..state.upkeep.packing import with_cause
from ..state.upkeep.status import status
from . import log, options, plugins
from .advice import advised
from .base import Command


@click.command(cls=Command, epilog='Example: hitcounter status --json')
@options.config
@options.storage
@click.option(
    '--json', 'as_json', is_flag=True, help='Print one JSON object for programs, with times in seconds since 1970.'
)
def main(storage: Address, as_json: bool) -> None:
    """Show how large the database is, what was last done to it, and which processes use it."""
    log.set_up('error')
    with closing(storage.open(read_only=True)) as database:
        shown = {**status(database), **_fit(database), **_elsewhere(database)}
    if as_json:
        click.echo(json.dumps(shown))
        return
    for name, text in _lines(shown, database.known_stamps):
        click.echo(f'{name:16} {text}')


def _fit(database: Database) -> dict[str, Any]:
    """Whether a migration is due, and why the server would refuse the database; None if it would not."""
    with ReadConnection(database.db) as session:
        try:
            components = plugins.components()
            error = unfit(session.root, components)
            due = is_due(session.root, components)
        except HitcounterError as broken:  # an installed package, or the database
            return {'migration_due': False, 'refusal': advised(broken)}
        return {'migration_due': due, 'refusal': advised(error) if error else None}


def _elsewhere(database: Database) -> dict[str, Any]:
    """The databases of components that live elsewhere, by their names, if there are any."""
    with ReadConnection(database.db) as session:
        places = noted(session.root)
    return {'elsewhere': places} if places else {}


def _lines(shown: dict[str, Any], known: Iterable[type[Stamp]]) -> Iterator[tuple[str, str]]:
    last, packed, backed_up, server = (shown[name] for name in ('last_transaction', 'packed', 'backed_up', 'server'))
    yield 'database', shown['database']
    yield 'size', f'{shown["bytes"]:,} bytes, {count_of(shown["objects"], "object")}'
    yield 'last change', _change(last) if last else 'none'
    yield 'schemas', ', '.join(f'{name} {schema}' for name, schema in shown['schemas'].items())
    for name, place in shown.get('elsewhere', {}).items():
        yield 'elsewhere', f'{name} in {place}, which is not included here'
    if shown['refusal']:
        yield 'migration due' if shown['migration_due'] else 'does not fit', shown['refusal']
    if PackStamp in known:
        yield 'last pack', f'{_time(packed["time"])}, {packed["after"]:,} bytes left' if packed else 'none'
    if shown['packs_from'] is not None:
        yield (
            'next pack',
            f'not before {with_cause(shown["packs_from"])}: "hitcounter pack --pack-keep 0d" packs it now, and keeps '
            f'no history',
        )
    if BackupStamp in known:
        yield 'last backup', f'{_time(backed_up["time"])}, {backed_up["file"]}' if backed_up else 'none'
    yield from _server(server) if shown['members'] is None else _members(shown['members'])


def _change(last: dict[str, Any]) -> str:
    if last['what'] is None:  # the storage keeps no descriptions
        return _time(last['time'])
    return f'{_time(last["time"])}, {last["what"] or "no description"}'


def _members(members: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    if not members:
        yield 'servers', 'none runs, on no machine'
    for member in members:
        yield 'in use by', f'{member["name"]} since {_time(member["since"])}'


def _server(server: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if server is None:
        yield 'server', 'not running'
        return
    since = '' if server['started'] is None else f' since {_time(server["started"])}'
    yield 'server', f'running{since}, {count_of(server["commits"], "commit")} by other processes'
    for process in server['processes']:
        yield 'connected', f'{process["id"]} {process["command"]}'
    if server['unseen']:
        yield 'connected', f'{server["unseen"]} in containers, which the server cannot see'


def _time(seconds: float) -> str:
    return f'{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC'
