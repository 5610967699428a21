"""A report on a line: its calls per hour, day or month in local time, its totals, its rounds and who won them.

Pure: it is made of what queries gave, and of the time at which they did. How it looks is decided elsewhere.
"""

from collections.abc import Iterable, Mapping
from math import floor
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..errors import RulesRefused
from .instants import iso
from .intervals import LENGTHS, Times, edges, spread, spread_minutes, widened

#: What becomes of a call, in the order of a report, each with what people read. A call that won is counted, too, and
#: so may one be that was turned away, by rules that count all.
KINDS = {
    'counted': 'counted',
    'repeat': 'repeats of a caller',
    'late': 'late',
    'closed': 'while closed',
    'full': 'while full',
    'barred': 'barred as recent winners',
    'withheld': 'refused as withheld',
}

#: Those that a round knows of; the others came when none took calls.
OF_ROUND = tuple(kind for kind in KINDS if kind not in ('late', 'closed'))

#: What the result of a round is while it can still change, and afterwards.
PROVISIONAL, FINAL = 'provisional', 'final'

#: Seconds up to which a period is shown by the hour, if nobody asks for anything else.
BY_HOUR = 75 * 3600


class Calls(NamedTuple):
    """What is known of the calls of a line."""

    #: How many were counted in each hour of UTC that had any.
    hours: Mapping[int, int]
    #: When those on record were counted. Read only if an interval begins within an hour of UTC.
    times: Times
    #: For the other kinds, how many calls there were in each minute that had any.
    minutes: Mapping[str, Mapping[int, int]] = {}


class Win(NamedTuple):
    """One win."""

    #: The number of the call in its round, and on the line; None if that is forgotten.
    number: int
    line_number: int | None
    arrived: float
    #: The terms of the rules that it met.
    terms: str
    #: The caller's number, as far as it may be shown; None if it is not known.
    caller: str | None = None
    #: Whether the caller withheld it; None if that is forgotten.
    withheld: bool | None = None


class Gap(NamedTuple):
    """A time in which the server was down."""

    start: float
    end: float


class Round(NamedTuple):
    """One round, and its result."""

    number: int
    #: 'scheduled', 'open', 'closed' or 'final'.
    state: str
    #: PROVISIONAL or FINAL.
    result: str
    #: The window of arrivals, half open; None as long as it has no end.
    begins: float
    ends: float | None
    #: The rules as one sentence, and the hash that was published.
    rules: str
    rules_hash: str
    #: How many calls of each kind it had, as far as it had any.
    counts: Mapping[str, int] = {}
    wins: tuple[Win, ...] = ()
    gaps: tuple[Gap, ...] = ()


class Interval(NamedTuple):
    """A local hour, day or month, and how many calls of each kind it had."""

    start: float
    end: float
    counts: dict[str, int]

    @property
    def turned_away(self) -> int:
        """How many calls were turned away."""
        return sum(self.counts.values()) - self.counts['counted']


class Scope(NamedTuple):
    """What to report; what is None is chosen to fit the calls."""

    start: float | None = None
    end: float | None = None
    #: 'hour', 'day' or 'month'.
    by: str | None = None
    #: The number of the only round to report.
    round: int | None = None
    #: The most intervals to show, if there are longer ones; None shows any number.
    most: int | None = None


#: All that is known of a line.
EVERYTHING = Scope()


class Report(NamedTuple):
    """A report, as of `made`. Times are in seconds since 1970, UTC; a period ends before its end."""

    line: str
    zone: str
    made: float
    start: float
    end: float
    by: str
    intervals: tuple[Interval, ...]
    rounds: tuple[Round, ...] = ()
    #: Calls of which only the hour of UTC is on record, which is not within one interval.
    coarse: int = 0
    #: The intervals that were asked for, if they would have been too many, and how many.
    refused: tuple[str, int] | None = None

    @property
    def totals(self) -> dict[str, int]:
        """How many calls of each kind there were in the period."""
        return {kind: sum(interval.counts[kind] for interval in self.intervals) for kind in KINDS}

    @property
    def winners(self) -> dict[str, int]:
        """How many wins the rounds had, by what their result is."""
        return {
            result: sum(len(one.wins) for one in self.rounds if one.result == result) for result in (FINAL, PROVISIONAL)
        }

    def time(self, instant: float) -> str:
        """An instant in local time with its offset, in ISO 8601."""
        return iso(instant, self.zone)


def make(
    line: str,
    zone: ZoneInfo,
    made: float,
    calls: Calls,
    rounds: Iterable[Round] = (),
    scope: Scope = EVERYTHING,
) -> Report:
    """The report of that scope. Raises RulesRefused if its period is empty or too long, or has no such round."""
    chosen = _chosen(line, tuple(rounds), scope)
    span = _span(calls, made, chosen if scope.round else (), scope)
    by, refused = _length(*span, scope)
    start, end = widened(*span, by, zone)
    start, end = (start if scope.start is None else scope.start), (end if scope.end is None else scope.end)
    bounds = edges(start, end, by, zone)
    counted, coarse = spread(calls.hours, calls.times, bounds)
    columns = {kind: spread_minutes(calls.minutes.get(kind, {}), bounds) for kind in KINDS} | {'counted': counted}
    intervals = (
        Interval(bounds[place], bounds[place + 1], {kind: column[place] for kind, column in columns.items()})
        for place in range(len(counted))
    )
    return Report(
        line,
        zone.key,
        made,
        start,
        end,
        by,
        tuple(intervals),
        tuple(one for one in chosen if scope.round or _is_within(one, start, end)),
        coarse,
        refused,
    )


def _chosen(line: str, rounds: tuple[Round, ...], scope: Scope) -> tuple[Round, ...]:
    if scope.round is None:
        return rounds
    found = tuple(one for one in rounds if one.number == scope.round)
    if not found:
        has = f'has rounds 1 to {rounds[-1].number}' if rounds else 'has had no round'
        raise RulesRefused(f'line {line!r} has no round {scope.round}: it {has}')
    return found


def _span(calls: Calls, made: float, rounds: tuple[Round, ...], scope: Scope) -> tuple[float, float]:
    """The period before it is widened to whole intervals: as asked for, or else from the first call to the last."""
    first, last = _of_rounds(rounds, made) if rounds else _of_calls(calls, made)
    if scope.start is not None and scope.end is not None:
        first, last = scope.start, scope.end
    elif scope.start is not None:
        first, last = scope.start, max(last, scope.start + 60)
    elif scope.end is not None:
        first, last = min(first, scope.end - 60), scope.end
    if first >= last:
        raise RulesRefused('the period is empty: give an end after its beginning')
    return first, last


def _of_calls(calls: Calls, made: float) -> tuple[float, float]:
    minutes = [minute for counts in calls.minutes.values() for minute in counts]
    begun = [*calls.hours, *minutes] or [_minute(made)]
    ended = [*(hour + 3600 for hour in calls.hours), *(minute + 60 for minute in minutes)] or [_minute(made) + 60]
    return min(begun), max(ended)


def _of_rounds(rounds: tuple[Round, ...], made: float) -> tuple[float, float]:
    begun = _minute(min(one.begins for one in rounds))
    ended = max(made if one.ends is None else min(one.ends, made) for one in rounds)
    return begun, -_minute(-max(ended, begun + 60))


def _is_within(one: Round, start: float, end: float) -> bool:
    """Whether a round took calls in the period, at least for a moment."""
    return one.begins < end and (one.ends is None or one.ends > start)


def _minute(instant: float) -> int:
    return floor(instant) // 60 * 60


def _length(start: float, end: float, scope: Scope) -> tuple[str, tuple[str, int] | None]:
    """The length of the intervals, and the one that was asked for, if it would have given too many."""
    asked = scope.by or ('hour' if end - start <= BY_HOUR else 'day')
    lengths = list(LENGTHS)
    few = [
        length
        for length in lengths[lengths.index(asked) :]
        if scope.most is None or _about(start, end, length) <= scope.most
    ]
    chosen = few[0] if few else lengths[-1]
    return chosen, None if chosen == asked else (asked, _about(start, end, asked))


def _about(start: float, end: float, length: str) -> int:
    """About how many intervals of that length a period has."""
    return round((end - start) / {'hour': 3600, 'day': 86400, 'month': 30 * 86400}[length]) or 1
