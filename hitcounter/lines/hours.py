"""Opening hours of a line, written as in OpenStreetMap: 'Mo-Fr 08:00-18:00; PH off'; not the window of a round.

opening-hours-py reads them. It is asked about local times only: instants come from the time zones of this machine, as
they do everywhere here, and what the library says about aware times is wrong in nights in which the clocks change.
Hours begin and end with a minute, and are half open. A rule with `off` closes days from midnight to midnight, and not
the rest of a night that begins on them. Text that the library reads, but as something else, is refused. See
https://wiki.openstreetmap.org/wiki/Key:opening_hours/specification for what hours can say.
"""

import re
from bisect import bisect
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from math import floor
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ..errors import RulesRefused
from .instants import check_zone

if TYPE_CHECKING:
    from opening_hours import OpeningHours

_EXAMPLE = "write them as 'Mo-Fr 08:00-18:00; PH off'"
_LONGEST = 1000
_DAY = timedelta(days=1)
#: How far `next_opening` looks ahead.
_AHEAD = 14 * _DAY.total_seconds()


def check_hours(text: str, zone: str, country: str) -> None:
    """Raises RulesRefused unless `text` is opening hours that are open at times, and mean one thing."""
    check_zone(zone)
    if not isinstance(text, str) or not isinstance(country, str):
        raise RulesRefused(f'the hours {text!r:.82} and their country {country!r:.82} must be text')
    if not text.strip():
        raise _refusal(text, "are empty: leave them out, or write '24/7', if the line is always open")
    if len(text) > _LONGEST:
        raise _refusal(text, f'have {len(text):,} characters: at most {_LONGEST:,} are read')
    if not text.isprintable():
        raise _refusal(text, f'have characters that cannot be printed: {_EXAMPLE}')
    _refuse_traps(text, _parsed(text, country))


def is_open(text: str, zone: str, country: str, instant: float) -> bool:
    """Whether the hours, which `check_hours` accepts, are open at that instant; '' always is."""
    return not text or _parsed(text, country).is_open(_local(instant, check_zone(zone)))


def next_opening(text: str, zone: str, country: str, instant: float) -> float | None:
    """The first instant at which the hours are open, from `instant` on; None if none is within 14 days.

    It is for telling callers. Whether a line is open is asked of `is_open`, at each call.
    """
    if not text:
        return instant
    hours, here = _parsed(text, country), check_zone(zone)
    steps = _steps(hours, here, instant, instant + _AHEAD)
    return next((at for at in steps if hours.is_open(_local(at, here))), None)


def _local(instant: float, zone: ZoneInfo) -> datetime:
    # A fraction must not be rounded up to the minute at which the hours open.
    return datetime.fromtimestamp(floor(instant), zone).replace(tzinfo=None)


def _steps(hours: 'OpeningHours', zone: ZoneInfo, start: float, end: float) -> Iterator[float]:
    """Instants from `start` to `end` at which the hours may change; they do not change between two of these."""
    at = start
    while at <= end:
        yield at
        at = _next_step(hours, zone, floor(at))


def _next_step(hours: 'OpeningHours', zone: ZoneInfo, second: int) -> int:
    local = _local(second, zone)
    change = hours.next_change(local)
    ahead = min(change - local, _DAY) if change else _DAY
    then = second + int(ahead.total_seconds())
    offset = _offset(second, zone)
    if _offset(then, zone) == offset:
        return then
    # The clocks change on the way. What the library knows of local times is good until then.
    return second + bisect(range(second, then), False, key=lambda at: _offset(at, zone) != offset)


def _offset(second: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(second, zone).utcoffset()


@lru_cache(maxsize=256)
def _parsed(text: str, country: str) -> 'OpeningHours':
    hours = _read(text, None)
    # The country is that of the callers' numbers as well, and may be one whose holidays are not known.
    if 'PH' not in str(hours):
        return hours
    if not country:
        raise _refusal(text, "name public holidays (PH): name the country, too, such as 'DE'")
    return _read(text, country)


def _refusal(text: object, why: str) -> RulesRefused:
    return RulesRefused(f'the hours {text!r:.82} {why}')


def _read(text: str, country: str | None) -> 'OpeningHours':
    # A library of 13 MB, which most commands and lines do without. Its stub lacks the errors.
    from opening_hours import OpeningHours, ParserError, UnknownCountryError  # type: ignore[attr-defined]

    try:
        return OpeningHours(text, country=country, auto_country=False, auto_timezone=False)
    except UnknownCountryError as error:
        raise _refusal(
            text,
            f'name public holidays (PH), but no holidays of the country {country!r:.82} are known: '
            "name one such as 'DE', or write the dates",
        ) from error
    except ParserError as error:
        raise _refusal(text, _reason(text, str(error))) from error


def _reason(text: str, message: str) -> str:
    """Why the library does not read the text: the place, from its drawing of several lines, or its sentence."""
    place = re.search(r'--> \d+:(\d+)', message)
    if not place:
        return f'are not accepted: {message.removeprefix("Failed to parse expression: ")}'
    before = int(place[1]) - 1
    if before >= len(text):
        return f'end too early: {_EXAMPLE}'
    return f'cannot be read from character {before + 1}, {text[before : before + 20]!r}: {_EXAMPLE}'


_WEEKDAY = '(?:Mo|Tu|We|Th|Fr|Sa|Su)'

#: What the library reads without a complaint, but not as it is meant.
_TRAPS = (
    (r'"', 'have a comment, which no caller hears: leave out the quotation marks and what is between them'),
    (r'(?i)unknown', "are 'unknown' at times: a line is open or closed"),
    (r'(?i)dawn|sunrise|sunset|dusk', 'follow the sun, but the place of the line is not known: write times of day'),
    (r'\bSH\b', 'name school holidays (SH), which are not known: write their dates'),
    (r':\d\d ?\+', "have an open end ('+'): write when the line closes"),
    (r':\d\d ?/', "repeat within the day ('/'): write each time at which the line opens and closes"),
    (
        rf'\bPH {_WEEKDAY}|{_WEEKDAY} PH\b',
        "have holidays and weekdays without a comma: write 'PH,Mo' if both are meant",
    ),
)
_LAST_DAYS = {'Feb': 29, 'Apr': 30, 'Jun': 30, 'Sep': 30, 'Nov': 30}


def _refuse_traps(text: str, hours: 'OpeningHours') -> None:
    for pattern, why in _TRAPS:
        if re.search(pattern, text):
            raise _refusal(text, why)
    if hours.warnings:
        raise _refusal(text, f'are not accepted: {hours.warnings[0]}')
    # What the library has read, in its own words, has one form. It takes a date that does not exist for any day.
    for month, day in re.findall(r'\b([A-Z][a-z]{2}) (\d\d?)(?![\d:])', str(hours)):
        if int(day) > _LAST_DAYS.get(month, 31):
            raise _refusal(text, f'have a date that does not exist, {month} {day}')
    first, *later = re.split(r'(; | \|\| |, )', str(hours))
    _refuse_overriding(text, first, list(zip(later[::2], later[1::2], strict=True)))
    _refuse_never_open(text, hours)


def _refuse_overriding(text: str, first: str, later: list[tuple[str, str]]) -> None:
    """Refuses rules that undo others: after ';' a rule replaces those before it, on its days."""
    if later and first.endswith('closed'):
        raise _refusal(text, "begin with a rule that closes, which the others override: write it after ';' at the end")
    replacing = [rule for separator, rule in later if separator != ', ' and not rule.endswith('closed')]
    spans = re.findall(r'(\d\d:\d\d)-(\d\d:\d\d)', ' '.join([first, *(rule for _, rule in later)]))
    if replacing and any(until <= since or until > '24:00' for since, until in spans):
        raise _refusal(
            text,
            f"go past midnight, and the rule {replacing[0]!r} would cut a night short: write ',' before it, not ';'",
        )
    days = [re.sub(r'(^| )\d\d:\d\d-.*', '', rule) for rule in (first, *replacing)]
    for place, which in enumerate(days):
        if which in days[:place]:
            raise _refusal(
                text, f"have two rules for {which or 'each day'!r}, of which the last counts: write ',' between times"
            )


def _refuse_never_open(text: str, hours: 'OpeningHours') -> None:
    from opening_hours import State

    first, last = (datetime(year, 1, 1) for year in (1970, 2101))  # noqa: DTZ001 local times
    if not any(state == State.OPEN for _, _, state, _ in hours.intervals(first, last)):
        raise _refusal(text, f'are never open from {first.year} to {last.year - 1}')
