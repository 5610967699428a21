"""hitcounter migrate: an older database made to fit the code that is installed now."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from inspect import getdoc

import click

from ..errors import DatabaseRefused, MigrationFailed
from ..state import Component
from ..state.storage.database import Address
from ..state.upkeep.backup import full_backup
from ..state.upkeep.migration import Changes, Comparison, compare, migrate
from ..state.upkeep.migration import dry_run as try_migration
from . import log, options, plugins
from .base import Command

#: The exit status of --status when the database must be migrated.
_NEEDED = 3


@click.command(
    cls=Command,
    epilog='Example: hitcounter migrate --backup /srv/backups/hits',
)
@options.config
@options.storage
@click.option(
    '--status', 'is_asked', is_flag=True, help='Only show the schema of each component; exit status 3 if one is older.'
)
@click.option('--dry-run', is_flag=True, help='Migrate in memory, and show what would change.')
@click.option(
    '--backup',
    metavar='FOLDER',
    help='Folder for the backup made first; default: the name of the database file plus .backups.',
)
@click.option('--no-backup', is_flag=True, help='Skip the backup; needed for a storage that is not a file.')
@click.option(
    '--drop',
    metavar='NAME',
    multiple=True,
    help='Delete everything that this component stored; its code must be missing; repeatable.',
)
def main(
    storage: Address, is_asked: bool, dry_run: bool, backup: str | None, no_backup: bool, drop: tuple[str, ...]
) -> None:
    """Migrate the database to the schemas of the installed code, after a backup. Stop the server first.

    The migration is one transaction: if it fails, nothing is changed. --status and --dry-run only read, and also work
    while the server runs.
    """
    if is_asked and (dry_run or backup or no_backup or drop):
        raise click.UsageError('--status cannot be combined with other options: it changes nothing')
    if backup and no_backup:
        raise click.UsageError('--backup and --no-backup contradict each other: leave one out')
    log.set_up('warning')
    components = plugins.components()
    if is_asked:
        with closing(storage.open_as_stored()) as database:
            sys.exit(_show(compare(database, components)))
    with closing(storage.open_as_stored() if dry_run else storage.open_alone()) as database:
        comparison = compare(database, components)
        comparison.refuse_strange(drop)
        if comparison.is_current and not drop:
            click.echo('nothing to migrate')
            return
        if not (dry_run or no_backup):
            click.echo(f'backed up: {_back_up(storage, backup)}')
        changes = (try_migration if dry_run else migrate)(database, components, drop)
        for line in _done(comparison, drop, changes):
            click.echo(line)
        if dry_run:
            click.echo('nothing was stored: this was a dry run')


def _back_up(storage: Address, folder: str | None) -> str:
    try:
        path = storage.file()
    except DatabaseRefused as error:
        raise MigrationFailed(f'{storage} is not a file: back it up by its own means, then give --no-backup') from error
    return full_backup(path, folder or f'{path}.backups')


def _show(comparison: Comparison) -> int:
    """Show the schema of each component; returns the exit status."""
    for component in comparison.components:
        click.echo(f'{component.name}: {_standing(component, comparison)}')
    for name in comparison.missing:
        click.echo(f'{name}: schema {comparison.schemas[name]}, its code is missing here')
    comparison.refuse_strange()
    return 0 if comparison.is_current else _NEEDED


def _standing(component: type[Component], comparison: Comparison) -> str:
    if component.name in comparison.elsewhere:
        return f'lives in {comparison.elsewhere[component.name]}'
    if component in comparison.new and comparison.owner:
        return f'does not live here, but belongs to {comparison.owner}'
    if component in comparison.new:
        return 'is made by the next start of the server'
    schema = f'schema {comparison.schemas[component.name]}'
    if component in comparison.newer:
        return f'{schema}, newer than the {component.schema} of this program'
    if component in comparison.older:
        return f'{schema}, to be migrated to {component.schema}'
    return f'{schema}, its class has moved' if component in comparison.moved else f'{schema}, as it should be'


def _done(comparison: Comparison, drop: Iterable[str], changes: Changes) -> Iterator[str]:
    for component in comparison.older:
        yield f'{component.name}: schema {comparison.schemas[component.name]} to {component.schema}'
        for to, name in comparison.steps(component):
            yield f'  to {to}: {_first_line(getattr(component, name)) or name}'
    for component in comparison.moved:
        yield f'{component.name}: is a {component.__module__}.{component.__qualname__} now'
    for name in drop:
        yield f'{name}: removed'
    yield f'objects changed: {_counted(changes.changed)}'
    yield f'objects created: {_counted(changes.new)}'


def _first_line(method: object) -> str:
    return (getdoc(method) or '').partition('\n')[0]


def _counted(classes: Counter[str]) -> str:
    counted = ', '.join(f'{count:,} {name}' for name, count in sorted(classes.items()))
    return f'{classes.total():,} ({counted})' if counted else 'none'
