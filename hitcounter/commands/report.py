"""hitcounter report: the calls of a line in local time, its rounds and who won them."""

import os
import shutil
import sys
import time
from functools import partial

import click

from ..lines import report_page, report_text
from ..lines.instants import check_zone
from ..lines.intervals import LENGTHS, parse_bound
from ..lines.report import Calls, Report, Scope, make
from ..lines.report_rows import TABLES, as_csv, as_json
from ..lines.report_source import known_of, times_of
from ..state.storage.database import Address
from . import log, options, storages
from .base import Command
from .output import STANDARD, new_file
from .zone import of_machine

#: The formats, each with the most intervals that it shows if there are longer ones; None shows any number.
FORMATS = {'text': report_text.MOST, 'csv': None, 'json': None, 'html': report_page.MOST}

#: Columns of a text that goes to a file or a pipe.
_WIDTH = 80


def _form(ctx: click.Context, _: click.Parameter, name: str | None) -> str:
    """The format that was named, or the one that the file's name ends with, or else text."""
    ending = str(ctx.params.get('output', '')).rpartition('.')[2]
    return name or (ending if ending in FORMATS else 'text')


@click.command(cls=Command, epilog='Example: hitcounter report contest --tz Europe/Berlin --output contest.html')
@options.config
@options.storage
@options.storage_of
@click.argument('line')
@click.option('--round', 'number', type=click.IntRange(1), help='Only this round, from its beginning to its end.')
@click.option('--by', type=click.Choice(list(LENGTHS)), help='Default: hour for up to three days, or else day.')
@click.option('--tz', help='The time zone, as Europe/Berlin; default: that of the line, or else of this machine.')
@click.option('--from', 'first', metavar='TIME', help='"2026-12-05" or "2026-12-05 20:00"; default: the first call.')
@click.option('--until', 'last', metavar='TIME', help='The report ends before this time; default: after the last call.')
@click.option('--callers', is_flag=True, help='Show the numbers of winners; default: their last three digits.')
@click.option(
    '--output',
    type=click.Path(dir_okay=False, allow_dash=True),
    default=STANDARD,
    show_default='standard output',
    is_eager=True,
    help='A new file.',
)
@click.option(
    '--format',
    'form',
    type=click.Choice(list(FORMATS)),
    callback=_form,
    help='Default: from the extension of the file, or else text.',
)
@click.option('--table', type=click.Choice(TABLES), help='What CSV has a row for; default: the calls of each interval.')
def main(
    storage: Address,
    storage_of: dict[str, Address],
    line: str,
    number: int | None,
    by: str | None,
    tz: str | None,
    first: str | None,
    last: str | None,
    callers: bool,
    output: str,
    form: str,
    table: str | None,
) -> None:
    """Report how often LINE was called by the hour, day or month, who was turned away, and who won its rounds."""
    log.set_up('error')
    if table is not None and form != 'csv':
        raise click.UsageError(f'--table is for CSV, which has one table in a file, and not for {form}')
    zone = None if tz is None else check_zone(tz)
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT, read_only=True) as (_, state):
        known = state.query(known_of, line, time.time(), callers)
        zone = zone or (check_zone(known.zone) if known.zone else of_machine())
        start, end = (None if bound is None else parse_bound(bound, zone) for bound in (first, last))
        calls = Calls(known.hours, partial(times_of, state, line, known.hours), known.minutes)
        report = make(line, zone, known.time, calls, known.rounds, Scope(start, end, by, number, FORMATS[form]))
    with new_file(output) as file:
        file.write(_written(report, form, table, output))


def _written(report: Report, form: str, table: str | None, output: str) -> bytes:
    if form == 'csv':
        return as_csv(report, table or TABLES[0]).encode('utf-8', 'surrogateescape')
    if form == 'json':
        return as_json(report).encode('ascii')
    if form == 'html':
        return report_page.as_page(report).encode()
    is_terminal = output == STANDARD and sys.stdout.isatty()
    width = shutil.get_terminal_size((_WIDTH, 0)).columns if is_terminal else _WIDTH
    encoding = _encoding() if output == STANDARD else 'utf-8'
    ticks = report_text.BLOCKS if encoding == 'utf-8' else report_text.ASCII
    return report_text.as_text(report, width, ticks).encode(encoding, 'backslashreplace')


def _encoding() -> str:
    """What standard output can show. In the locale C, Python writes UTF-8, whatever the terminal shows."""
    if os.environ.get('LC_ALL') in ('C', 'POSIX'):
        return 'ascii'
    return sys.stdout.encoding.lower()
