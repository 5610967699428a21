"""Intervals: the hours, days and months of a time zone, and how many calls each of them had.

An interval is local, and its bounds are instants, in seconds since 1970, UTC: when the clocks change, a day has 23 or
25 hours, and an hour that they show twice is two intervals.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ..errors import RulesRefused
from ..hits.times import hour_of
from .instants import parse_instant

#: From the finest to the coarsest, with the seconds that one has at least.
LENGTHS = {'hour': 3600, 'day': 23 * 3600, 'month': 28 * 86400}

#: Intervals that one period may have.
MOST = 100_000

#: When the calls on record came, as far as that was from the first of two instants until the second; others may follow.
Times = Callable[[int, int], Iterable[float]]

_HOUR = 3600
_DATE = re.compile(r'\d{4}-\d\d-\d\d', re.ASCII).fullmatch


def parse_bound(text: str, zone: ZoneInfo) -> float:
    """The instant that bounds a period: a whole minute, or a date, which is the beginning of that local day.

    Raises RulesRefused, as `parse_instant` does, and for seconds.
    """
    if _DATE(text):
        return begin_of_day(_day(text, zone), zone)
    instant = parse_instant(text, zone.key)
    if instant % 60:
        raise RulesRefused(f'{text!r:.82} is not a whole minute: a period begins and ends with one')
    return instant


def _day(text: str, zone: ZoneInfo) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise RulesRefused(f'{text!r} is not a date: {error}') from error
    parse_instant(f'{text} 12:00', zone.key)  # which refuses years that are too far away
    return day


def begin_of_day(day: date, zone: ZoneInfo) -> float:
    """The first instant of a local day, whose midnight the clocks may skip."""
    begin = datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
    while _local(begin - 60, zone).date() >= day:  # Python takes a skipped midnight for a time after the change
        begin -= 60
    return begin


def edges(start: float, end: float, by: str, zone: ZoneInfo) -> list[float]:
    """The bounds of the intervals from `start` to `end`; the first and the last interval may be cut.

    Raises RulesRefused if there would be more than MOST.
    """
    if (end - start) / LENGTHS[by] > MOST:
        raise RulesRefused(f'the period has more than {MOST:,} {by}s: choose a shorter period, or longer intervals')
    found = [start]
    following = _FOLLOWING[by]
    while found[-1] < end:
        found.append(min(following(found[-1], zone), end))
    return found


def widened(start: float, end: float, by: str, zone: ZoneInfo) -> tuple[float, float]:
    """The shortest period of whole intervals that has all from `start` to `end`."""
    first = _BEGIN[by](start, zone)
    last = _BEGIN[by](end, zone)
    return first, last if last == end > start else _FOLLOWING[by](last, zone)


def is_whole(start: float, end: float, by: str, zone: ZoneInfo) -> bool:
    """Whether this is a whole hour, day or month, not cut by a period."""
    return _BEGIN[by](start, zone) == start and _FOLLOWING[by](start, zone) == end


def spread(hours: Mapping[int, int], times: Times, edges: Sequence[float]) -> tuple[list[int], int]:
    """How many calls each interval had, and how many calls are only known by their hour of UTC.

    `hours` has the calls of each hour of UTC. If an edge is within such an hour, as in Kolkata, `times` says when its
    calls came; those that it lacks are counted at the beginning of the hour. Otherwise `times` is not called.
    """
    counts = [0] * (len(edges) - 1)
    cut = {hour_of(edge) for edge in edges if edge % _HOUR}
    left = {hour: count for hour, count in hours.items() if hour in cut}
    for hour, count in hours.items():
        if hour not in left:
            _add(counts, edges, hour, count)
    for moment in times(min(left), max(left) + _HOUR) if left else ():
        if left.get(hour_of(moment)):
            left[hour_of(moment)] -= 1
            _add(counts, edges, moment, 1)
    for hour, count in left.items():
        _add(counts, edges, hour, count)
    return counts, sum(left.values())


def spread_minutes(minutes: Mapping[int, int], edges: Sequence[float]) -> list[int]:
    """How many calls each interval had, from the calls of each minute."""
    counts = [0] * (len(edges) - 1)
    for minute, count in minutes.items():
        _add(counts, edges, minute, count)
    return counts


def _add(counts: list[int], edges: Sequence[float], moment: float, count: int) -> None:
    place = bisect_right(edges, moment) - 1
    if 0 <= place < len(counts):
        counts[place] += count


# For each length, the beginning of the interval of an instant, and of the one after it.


def _local(instant: float, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(instant, zone)


def _begin_of_hour(instant: float, zone: ZoneInfo) -> float:
    local = _local(instant, zone)
    return instant - local.minute * 60 - local.second - local.microsecond / 1_000_000


def _next_hour(instant: float, zone: ZoneInfo) -> float:
    return _begin_of_hour(instant, zone) + _HOUR


def _begin_of_its_day(instant: float, zone: ZoneInfo) -> float:
    return begin_of_day(_local(instant, zone).date(), zone)


def _next_day(instant: float, zone: ZoneInfo) -> float:
    day = _local(instant, zone).date() + timedelta(days=1)
    while (begin := begin_of_day(day, zone)) <= instant:  # a zone may have skipped a whole day
        day += timedelta(days=1)
    return begin


def _begin_of_month(instant: float, zone: ZoneInfo) -> float:
    return begin_of_day(_local(instant, zone).date().replace(day=1), zone)


def _next_month(instant: float, zone: ZoneInfo) -> float:
    first = _local(instant, zone).date().replace(day=1)
    return begin_of_day((first + timedelta(days=32)).replace(day=1), zone)


_Step = Callable[[float, ZoneInfo], float]
_BEGIN: dict[str, _Step] = {'hour': _begin_of_hour, 'day': _begin_of_its_day, 'month': _begin_of_month}
_FOLLOWING: dict[str, _Step] = {'hour': _next_hour, 'day': _next_day, 'month': _next_month}
