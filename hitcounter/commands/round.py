"""hitcounter round: the rounds of a line, opened by rules that are frozen then."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from ..counts import count_of
from ..errors import RoundRefused
from ..lines.component import Lines, LineView, lines_in
from ..lines.identity import masked
from ..lines.instants import iso, show
from ..lines.round import RoundView, Win
from ..lines.rule_sentence import sentence
from ..lines.rules import Rules, canonical, digest
from ..lines.rules_table import KEYS, check_values, parse_rules
from ..lines.settings import DEFAULT
from ..lines.skew import refuse_skew
from ..lines.terms import FirstAfter
from ..shell.workspace import login_name
from ..state import Components
from ..state.storage.database import Address
from ..state.upkeep.packing import check_clock
from . import log, options, storages
from .base import Command, Commands
from .line import check_name, read_table, sounds_of
from .lines import current
from .names import argument_of, name_of
from .zone import warn_of_zone

F = TypeVar('F', bound=Callable[..., Any])

_HELP = {
    'win': 'Who wins: "every 100", "at 9,99", "first 5", "first after 20:00", "last", joined by "and".',
    'from': 'When it begins: "22:00" or "2026-12-05 22:00"; default: now.',
    'until': 'When it closes, in the same form; default: when it is closed by hand.',
    'most-winners': 'The most winners: after them, nobody else wins.',
    'close-when-won': 'Close with the last possible winner.',
    'most-calls': 'The most calls to count.',
    'count-all': 'Give numbers to calls that are not counted, too.',
    'once-per': '"caller": count one call of each caller, or as many as --limit says.',
    'limit': 'How many calls of one caller are counted.',
    'window': 'The time that --limit is for: "round", or a sliding one such as 1d; default: round.',
    'cooldown': 'How long after a win calls of the winner are not counted, as 30d.',
    'winners-of': 'The group of lines that share their winners; default: the line alone.',
    'withheld': 'Callers without a number: "count-no-win", "count" or "refuse".',
    'forget': '"numbers": store keyed hashes in place of the numbers of callers.',
    'settle': 'How long after the close calls that came before it may still be counted; default: 30s.',
    'time-zone': 'The time zone of all times, as Europe/Berlin; default: that of the line, or UTC.',
    'country': 'The country of national numbers, as DE; default: that of the line.',
}
_FLAGS = ('close-when-won', 'count-all')
_METAVARS = {
    'win': 'RULE',
    'from': 'TIME',
    'until': 'TIME',
    'most-winners': 'N',
    'most-calls': 'N',
    'once-per': 'caller',
    'limit': 'N',
    'window': 'DURATION',
    'cooldown': 'DURATION',
    'winners-of': 'GROUP',
    'withheld': 'WHAT',
    'forget': 'numbers',
    'settle': 'DURATION',
    'time-zone': 'ZONE',
    'country': 'CODE',
}


def _rules(command: F) -> F:
    """An option for each rule."""
    for key in reversed(KEYS):
        name = 'rule_' + key.replace('-', '_')
        is_flag = key in _FLAGS
        attributes: dict[str, Any] = {'is_flag': True, 'default': None} if is_flag else {'metavar': _METAVARS[key]}
        command = click.option(f'--{key}', name, help=_HELP[key], **attributes)(command)
    return command


@click.group(cls=Commands, epilog='Run "hitcounter round COMMAND --help" for details.')
def main() -> None:
    """Open, close and show the rounds of a line.

    A round is one running of a contest or a vote. It counts from 1, by rules that cannot change while it runs.
    """


@main.command(
    'open',
    cls=Command,
    short_help='Open a round of a line.',
    epilog='Example: hitcounter round open contest --win "at 100" --until 22:15',
)
@options.config
@options.storage
@options.storage_of
@click.argument('line')
@click.option(
    '--rules', 'path', type=click.Path(path_type=Path), help='A TOML file with the rules; options win over it.'
)
@_rules
def open_round(storage: Address, storage_of: dict[str, Address], line: str, path: Path | None, **given: Any) -> None:
    """Open a round of LINE, and print its rules as one sentence, and their hash: that is what to publish."""
    log.set_up('error')
    check_name(line)
    table, places = _table(path, given)
    check_values(table, time.time(), places)  # before anything is opened, or made
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT) as (_, state):
        database = state.database_of(Lines)
        check_clock(database)
        refuse_skew(database)
        view = state[Lines].views().get(line)
        now = time.time()
        rules = parse_rules(table, view.settings if view else DEFAULT, now, places)
        number = state[Lines].open_round(line, canonical(rules), now, login_name(), secrets.token_bytes(32))
        view = state[Lines].view(line)
    if 'time-zone' not in table and _has_times(rules):
        warn_of_zone(rules.zone)
    _warn(line, view)
    opens = 'is open' if rules.opens is None or rules.opens <= now else f'opens {show(rules.opens, rules.zone)}'
    click.echo(f'Round {number} of line {name_of(line)} {opens}.')
    click.echo(sentence(rules, line))
    click.echo(f'SHA-256 of the rules: {digest(rules)}')


def _has_times(rules: Rules) -> bool:
    """Whether the rules name instants."""
    is_timed = any(isinstance(term, FirstAfter) for term in rules.win)
    return is_timed or rules.opens is not None or rules.closes is not None


def _table(path: Path | None, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The rules in the file and in the options, which win over it, and where each of them is given."""
    table = {} if path is None else read_table(path)
    places = {key: f'{str(path)!r}, key {key!r:.80}' for key in table}
    for key in KEYS:
        value = given['rule_' + key.replace('-', '_')]
        if value is not None:
            table[key], places[key] = value, f'--{key}'
    return table, places


def _warn(line: str, view: LineView) -> None:
    """Warn of a line that takes no calls, and of sound files of its own that may be missing."""
    if view.is_closed:
        click.echo(
            f'Warning: the line is closed by hand, and takes no calls until "hitcounter line open {argument_of(line)}"',
            err=True,
        )
    if view.settings.say and (view.sounds is None or view.sounds.missing):
        click.echo(f'Warning: sound files {sounds_of(line, view)}', err=True)


@main.command(
    'close', cls=Command, short_help='Close the round of a line.', epilog='Example: hitcounter round close contest'
)
@options.config
@options.storage
@options.storage_of
@click.argument('line')
@click.option('--round', 'number', type=click.IntRange(1), help='The round; default: the one that is open.')
def close_round(storage: Address, storage_of: dict[str, Address], line: str, number: int | None) -> None:
    """Close the round of LINE that is open, or call off one that has not begun, which --round has to name.

    Calls that came before the close are still counted until the result is final: after the time that --settle said. The
    server makes it final then. If no server ran, run this command again.
    """
    log.set_up('error')
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT) as (_, state):
        view = state.update(_close, line, number, time.time(), login_name())
        wins = state[Lines].wins(line, view.number)
    _show(view, wins, time.time())


def _close(components: Components, line: str, number: int | None, now: float, by: str) -> RoundView:
    """Close that round, or the one that is open; if its time was over before, make the result final."""
    lines = components[Lines]
    due = {view.number: view for view in lines.finish_due(now) if view.line == line}
    rounds = {view.number: view for view in lines.rounds(line) if view.number == number or not view.is_final}
    if number is None:
        number = next((view.number for view in rounds.values() if view.state_at(now) == 'open'), None)
    if number is None and not due:
        number = next((view.number for view in rounds.values() if view.state_at(now) == 'closed'), None)
    if number is None and not due and rounds:
        first = min(rounds)
        raise RoundRefused(
            f'line {line!r} has no round that is open; round {first} has not begun: --round {first} calls it off'
        )
    if due and (number is None or number in due):
        return due[max(due) if number is None else number]
    if number in rounds and rounds[number].state_at(now) in ('closed', 'final'):
        raise RoundRefused(_closed_already(rounds[number]))
    return lines.close_round(line, now, by, number)


def _closed_already(view: RoundView) -> str:
    said = f'round {view.number} of line {view.line!r} is closed already'
    if view.is_final or view.final_at is None:
        return f'{said}, and its result is final'
    return f'{said}: its result is final from {show(view.final_at, view.rules.zone)}'


@main.command(
    'show', cls=Command, short_help='Show a round, and who won.', epilog='Example: hitcounter round show contest --json'
)
@options.config
@options.storage
@options.storage_of
@click.argument('line')
@click.option(
    '--round', 'number', type=click.IntRange(1), help='The round; default: the one that is open, or else the last.'
)
@click.option('--callers', is_flag=True, help='Show the numbers of winners; default: their last three digits.')
@click.option('--json', 'as_json', is_flag=True, help='For programs: one JSON object.')
def show_round(
    storage: Address, storage_of: dict[str, Address], line: str, number: int | None, callers: bool, as_json: bool
) -> None:
    """Show a round of LINE: its rules, how it stands, and who won."""
    log.set_up('error')
    now = time.time()
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT, read_only=True) as (_, state):
        view, wins = state.query(_round, line, number, now)
    if as_json:
        click.echo(json.dumps({**_plain(view, now), 'wins': _plain_wins(view, wins, callers=callers)}))
    else:
        _show(view, wins, now, callers=callers)


def _round(components: Components, line: str, number: int | None, now: float) -> tuple[RoundView, list[Win]]:
    """The round that is asked for, and its wins."""
    lines = lines_in(components)
    views = lines.rounds(line) if lines else []
    if lines is None or not views:
        raise RoundRefused(
            f'line {line!r} has had no round: open one with "hitcounter round open", or see "hitcounter lines"'
        )
    if number is not None and number > len(views):
        raise RoundRefused(f'line {line!r} has had {count_of(len(views), "round")}: there is no round {number}')
    view = current(views, now) if number is None else views[number - 1]
    return view, lines.wins(line, view.number)


@main.command('list', cls=Command, short_help='List rounds.', epilog='Example: hitcounter round list')
@options.config
@options.storage
@options.storage_of
@click.argument('line', required=False)
@click.option('--json', 'as_json', is_flag=True, help='For programs: one JSON object for each round.')
def list_rounds(storage: Address, storage_of: dict[str, Address], line: str | None, as_json: bool) -> None:
    """List the rounds of LINE, or of all lines."""
    log.set_up('error')
    now = time.time()
    with storages.state_of(storage, storage_of, options.UPKEEP_TIMEOUT, read_only=True) as (_, state):
        views = state.query(_rounds, line)
    for view in views:
        if as_json:
            click.echo(json.dumps(_plain(view, now)))
        else:
            click.echo(
                f'{name_of(view.line)}  round {view.number}  {_state(view, now)}  {view.result}: {_counts(view)}'
            )
    if not views and not as_json:
        click.echo('There was no round yet.' if line is None else f'Line {name_of(line)} has had no round.')


def _rounds(components: Components, line: str | None) -> list[RoundView]:
    lines = lines_in(components)
    if lines is None:
        return []
    return [view for one in (sorted(lines.views()) if line is None else [line]) for view in lines.rounds(one)]


def _caller(view: RoundView, win: Win, *, callers: bool) -> str:
    """The winner as it may be shown: the last three digits, or, if `callers`, all that is stored."""
    if win.identity is None:
        return 'not known'
    if callers:
        return win.identity
    return 'stored as a hash' if view.rules.forget_numbers else masked(win.identity)


def _plain(view: RoundView, now: float) -> dict[str, Any]:
    """A round for programs: times in ISO 8601, in the time zone of the round."""
    zone = view.rules.zone
    when = {name: None if value is None else iso(value, zone) for name, value in _times(view).items()}
    return {
        'line': view.line,
        'round': view.number,
        'state': view.state_at(now),
        'result': view.result,
        **when,
        'opened_by': view.opened_by,
        'reason': view.reason,
        'rules': sentence(view.rules, view.line),
        'rules_sha256': view.digest,
        'entries': view.entries,
        'winners': view.won,
        'turned_away': dict(view.turned_away),
        'gaps': [[iso(since, zone), iso(until, zone)] for since, until in view.gaps],
    }


def _plain_wins(view: RoundView, wins: list[Win], *, callers: bool) -> list[dict[str, Any]]:
    return [
        {'number': win.number, 'arrived': iso(win.arrived, view.rules.zone), 'terms': win.terms}
        | {'caller': _caller(view, win, callers=callers)}
        for win in wins
    ]


def _times(view: RoundView) -> Mapping[str, float | None]:
    return {'opened': view.opened, 'begins': view.begins, 'ends': view.ends, 'final_at': view.final_at}


def _show(view: RoundView, wins: list[Win], now: float, *, callers: bool = False) -> None:
    for name, text in _rows(view, wins, now, callers=callers):
        click.echo(f'{name:10} {text}')


def _rows(view: RoundView, wins: list[Win], now: float, *, callers: bool) -> Iterator[tuple[str, str]]:
    zone = view.rules.zone
    yield 'line', name_of(view.line)
    yield 'round', f'{view.number}, {_state(view, now)}'
    yield 'rules', sentence(view.rules, view.line)
    yield 'SHA-256', view.digest
    yield 'opened', f'{show(view.opened, zone)}, by {view.opened_by}'
    yield 'result', f'{view.result}: {_counts(view)}'
    if view.state_at(now) == 'closed' and view.final_at is not None:
        yield 'final', f'from {show(view.final_at, zone)}' if now < view.final_at else _overdue(view.line)
    for win in wins:
        yield 'won', f'{win.number} ({win.terms}), {show(win.arrived, zone)}, {_caller(view, win, callers=callers)}'
    for since, until in view.gaps:
        yield 'gap', f'no server ran from {show(since, zone)} until {show(until, zone)}'


def _overdue(line: str) -> str:
    """What to do about a result that nobody has made final."""
    return f'as soon as a server runs, or by "hitcounter round close {argument_of(line)}"'


def _state(view: RoundView, now: float) -> str:
    state, zone = view.state_at(now), view.rules.zone
    if state == 'scheduled':
        return f'scheduled from {show(view.begins, zone)}'
    if view.ends is None:
        return state
    if state == 'open':
        return f'open until {show(view.ends, zone)}'
    closed = f'closed {show(view.ends, zone)}' + (f' ({view.reason})' if view.reason else '')
    return closed if state == 'closed' else f'{state}, {closed}'


def _counts(view: RoundView) -> str:
    away = ''.join(f', {count:,} {result}' for result, count in sorted(view.turned_away.items()))
    return f'{count_of(view.entries, "call")}, {count_of(view.won, "winner")}{away}'
