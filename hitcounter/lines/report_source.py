"""What a report on a line is made of, read from the database by queries."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..errors import RulesRefused
from ..hits import HitCounter
from ..hits.hit import ERASED
from ..state import Components, State
from .component import Lines, lines_in
from .identity import masked
from .report import OF_ROUND, Gap, Round, Win
from .round import Entry, RoundView
from .round import Win as StoredWin
from .rule_sentence import sentence

#: Calls that one query reads.
_AT_ONCE = 10_000

#: Seconds by which the clock may have been set back without a call being counted in a wrong interval.
_CLOCK = 86_400


class Known(NamedTuple):
    """What the database says of a line, all of it as of one moment."""

    time: float
    #: The time zone that was declared, or ''.
    zone: str
    hours: dict[int, int]
    minutes: dict[str, dict[int, int]]
    rounds: tuple[Round, ...]


def known_of(components: Components, line: str, now: float, callers: bool) -> Known:
    """A query: what is known of the line, with whole numbers of winners if `callers`. Raises RulesRefused."""
    counter = components[HitCounter]
    lines = lines_in(components)
    view = lines.views().get(line) if lines else None
    if view is None and line not in counter.lines():
        raise RulesRefused(f'line {line!r} was never called or declared: see "hitcounter lines"')
    turned_away = lines.tallies(line) if lines else {}
    return Known(
        now,
        view.settings.zone if view and view.is_declared else '',
        counter.hours(line),
        {result.lower(): minutes for result, minutes in turned_away.items()},
        tuple(_round(counter, lines, view, now, callers) for view in lines.rounds(line)) if lines else (),
    )


def _round(counter: HitCounter, lines: Lines, view: RoundView, now: float, callers: bool) -> Round:
    turned_away = {result.lower(): count for result, count in view.turned_away.items()}
    return Round(
        view.number,
        view.state_at(now),
        view.result,
        view.begins,
        view.ends,
        sentence(view.rules, view.line),
        view.digest,
        {'counted': view.entries, **{kind: turned_away[kind] for kind in OF_ROUND if kind in turned_away}},
        tuple(_win(counter, lines, view, win, callers) for win in lines.wins(view.line, view.number)),
        tuple(Gap(*gap) for gap in view.gaps),
    )


def _win(counter: HitCounter, lines: Lines, view: RoundView, win: StoredWin, callers: bool) -> Win:
    try:
        entry = lines.entry(view.line, view.number, win.number)
    except KeyError:  # it is forgotten
        return Win(win.number, None, win.arrived, win.terms)
    number = None if view.rules.forget_numbers else win.identity
    return Win(
        win.number,
        entry.line_number,
        win.arrived,
        win.terms,
        masked(number) if number and not callers else number,
        _is_withheld(counter, view, entry),
    )


def _is_withheld(counter: HitCounter, view: RoundView, entry: Entry) -> bool | None:
    """Whether a winner withheld the number; None if the caller was erased."""
    if entry.identity is not None:
        return False
    if view.rules.withheld != 'count':  # then nobody wins who withholds it
        return None
    try:
        caller = counter.call(view.line, entry.line_number).caller
    except KeyError:  # it is forgotten
        return None
    return None if caller == ERASED else True


def times_of(state: State, line: str, hours: Mapping[int, int], first: int, last: int) -> Iterator[float]:
    """When the calls on record were counted that came from `first` until `last`, and some others.

    Calls are numbered in the order of their times, unless the clock was set back.
    """
    number = 1 + sum(count for hour, count in hours.items() if hour < first - _CLOCK)
    end = sum(count for hour, count in hours.items() if hour < last + _CLOCK)
    while number <= end:
        found, number = state.query(_some_times, line, number, end)
        yield from found


def _some_times(components: Components, line: str, number: int, end: int) -> tuple[list[float], int]:
    """When some calls from `number` on were counted, and the number to go on with."""
    times: list[float] = []
    for hit in components[HitCounter].since(line, number):
        if hit.number > end or len(times) == _AT_ONCE:
            return times, hit.number
        times.append(hit.time)
    return times, end + 1
