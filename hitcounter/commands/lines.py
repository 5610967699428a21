"""hitcounter lines: all lines with their counts."""

import json
import time
from collections.abc import Iterator
from typing import Any

import click

from ..counts import count_of
from ..errors import ComponentError
from ..hits import HitCounter
from ..lines.component import Lines, LineView
from ..state import Components, State
from ..state.storage.database import Address
from . import log, options, storages
from .base import Command


@click.command(cls=Command, epilog='Example: hitcounter lines --json')
@options.config
@options.storage
@options.storage_of
@click.option('--json', 'as_json', is_flag=True, help='For programs: one JSON object for each line.')
def main(storage: Address, storage_of: dict[str, Address], as_json: bool) -> None:
    """List the lines that were called or declared, with how many calls each had, and what its last round is doing."""
    log.set_up('error')
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT, read_only=True) as (_, state):
        rows = list(_rows(state, time.time()))
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
    elif rows:
        widths = [max(len(name_of(row['line'])) for row in rows), max(len(f'{row["calls"]:,}') for row in rows)]
        for row in rows:
            click.echo(_text(row, *widths))
    else:
        click.echo('No line was called or declared yet.')


def name_of(line: str) -> str:
    """The name of a line as a terminal may show it."""
    return line if line and line.isprintable() and ' ' not in line else ascii(line)


def _rows(state: State, now: float) -> Iterator[dict[str, Any]]:
    counts, views = state.query(_counts_and_views)
    for line in sorted({*counts, *views}):
        view = views.get(line)
        last = view and view.last
        yield {
            'line': line,
            'calls': counts.get(line, 0),
            'declared': bool(view and view.is_declared),
            'closed': bool(view and view.is_closed),
            'round': last and last.number,
            'state': last and last.state_at(now),
            'entries': last and last.entries,
            'won': last and last.won,
        }


def _counts_and_views(components: Components) -> tuple[dict[str, int], dict[str, LineView]]:
    try:
        views = components[Lines].views()
    except ComponentError:  # the database is as an earlier version left it
        views = {}
    return components[HitCounter].lines(), views


def _text(row: dict[str, Any], widest: int, digits: int) -> str:
    """One line of the list."""
    words = ['declared'] if row['declared'] else []
    if row['closed']:
        words.append('closed by hand')
    if row['round']:
        words.append(
            f'round {row["round"]} {row["state"]}, {count_of(row["entries"], "call")}, {count_of(row["won"], "winner")}'
        )
    name, calls = name_of(row['line']), f'{row["calls"]:,}'
    return f'{name:{widest}}  {calls:>{digits}}  {"; ".join(words)}'.rstrip()
