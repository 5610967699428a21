"""hitcounter lines: all lines with their counts."""

import json
import time
from collections.abc import Iterator
from typing import Any

import click

from ..counts import count_of
from ..hits import HitCounter
from ..lines.component import LineView, lines_in
from ..lines.round import RoundView
from ..state import Components, State
from ..state.storage.database import Address
from . import log, options, storages
from .base import Command
from .names import name_of, width_of


@click.command(cls=Command, epilog='Example: hitcounter lines --json')
@options.config
@options.storage
@options.storage_of
@click.option('--json', 'as_json', is_flag=True, help='For programs: one JSON object for each line.')
def main(storage: Address, storage_of: dict[str, Address], as_json: bool) -> None:
    """List the lines that were called or declared, each with its count and its round.

    The round is the one that is open, or else the last one.
    """
    log.set_up('error')
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT, read_only=True) as (_, state):
        rows = list(_rows(state, time.time()))
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
    elif rows:
        widths = [max(width_of(name_of(row['line'])) for row in rows), max(len(f'{row["calls"]:,}') for row in rows)]
        for row in rows:
            click.echo(_text(row, *widths))
    else:
        click.echo('No line was called or declared yet.')


def current(rounds: list[RoundView], now: float) -> RoundView:
    """Of the rounds of one line the one that is open, or else the last one."""
    return next((one for one in rounds if one.state_at(now) == 'open'), rounds[-1])


def _rows(state: State, now: float) -> Iterator[dict[str, Any]]:
    counts, views, unfinished = state.query(_known)
    ongoing: dict[str, list[RoundView]] = {}
    for one in unfinished:
        ongoing.setdefault(one.line, []).append(one)
    for line in sorted({*counts, *views}):
        view = views.get(line)
        rounds = [*ongoing.get(line, []), *([view.last] if view and view.last else [])]
        last = current(rounds, now) if rounds else None
        yield {
            'line': line,
            'calls': counts.get(line, 0),
            'declared': bool(view and view.is_declared),
            'closed': bool(view and view.is_closed),
            'round': last and last.number,
            'state': last and last.state_at(now),
            'result': last and last.result,
            'entries': last and last.entries,
            'won': last and last.won,
        }


def _known(components: Components) -> tuple[dict[str, int], dict[str, LineView], list[RoundView]]:
    """The counts of the lines, what else is known of them, and the rounds that are not final."""
    lines = lines_in(components)
    counts = components[HitCounter].lines()
    if lines is None:
        return counts, {}, []
    _, unfinished = lines.unfinished() or (0, [])
    return counts, lines.views(), unfinished


def _text(row: dict[str, Any], widest: int, digits: int) -> str:
    """One line of the list."""
    words = ['declared'] if row['declared'] else []
    if row['closed']:
        words.append('closed by hand')
    if row['round']:
        state = row['state'] if row['state'] == row['result'] else f'{row["state"]}, {row["result"]}'
        counts = f'{count_of(row["entries"], "call")}, {count_of(row["won"], "winner")}'
        words.append(f'round {row["round"]} {state}: {counts}')
    name, calls = name_of(row['line']), f'{row["calls"]:,}'
    return f'{name}{" " * (widest - width_of(name))}  {calls:>{digits}}  {"; ".join(words)}'.rstrip()
