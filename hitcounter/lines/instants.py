"""Instants: a date and a time as text, made into seconds since 1970, UTC, and back, in a time zone.

A local time that the clocks skip or show twice is refused, with the two instants that may be meant.
"""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, timezone
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from ..errors import RulesRefused

_EXAMPLES = "write it as '2026-12-05 20:00' or '2026-12-05T20:00:00+01:00'"
_YEARS = range(1970, 2101)
_END = datetime(_YEARS.stop, 1, 1, tzinfo=UTC).timestamp()

_TIME = re.compile(
    r'(?:(?P<date>\d{4}-\d\d-\d\d)[T ])?'
    r'(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?)?'
    r'(?P<offset>Z|[+-]\d\d:\d\d(?::\d\d)?)?',
    re.ASCII,
)
_ZONE = re.compile(r'[\w+-]+(/[\w+-]+)*', re.ASCII)
#: Files beside those of the zones: what a machine is set to, what a machine that nobody has set says, and copies of all
#: zones, of which those under right/ count leap seconds.
_NOT_ZONES = frozenset({'localtime', 'posixrules', 'Factory', 'posix', 'right'})


def check_zone(name: str) -> ZoneInfo:
    """The time zone of that name, such as 'Europe/Berlin'. Raises RulesRefused with the nearest names that exist."""
    if not isinstance(name, str):
        raise RulesRefused(f"{name!r:.82} is not a time zone: name one as text, such as 'Europe/Berlin'")
    # What is not a name could lead to any file of the machine.
    if _ZONE.fullmatch(name) and name.partition('/')[0] not in _NOT_ZONES:
        try:
            return ZoneInfo(name)
        except (LookupError, OSError, ValueError):
            pass
    zones = available_timezones() - _NOT_ZONES
    if not zones:
        raise RulesRefused(f'the time zone {name!r:.82} is not found: this machine has no time zones; install tzdata')
    raise RulesRefused(f'{name!r:.82} is not a time zone: {_advice(name[:82], zones)}')


def _advice(wanted: str, zones: set[str]) -> str:
    """Names to choose from: those nearest to the name, and those whose last part, the city, is nearest to it."""
    wanted = wanted.casefold().replace(' ', '_')
    names = {zone.casefold(): zone for zone in zones}
    cities = {name.rpartition('/')[2]: zone for name, zone in sorted(names.items())}
    nearest = [known[found] for known in (cities, names) for found in get_close_matches(wanted, known, cutoff=0.7)]
    if nearest:
        few = list(dict.fromkeys(nearest))[:3]
        return f'the nearest name{" is" if len(few) == 1 else "s are"} {", ".join(few)}'
    return 'name an area and a city, such as Europe/Berlin'


def parse_instant(text: str, zone: str, *, day: float | None = None) -> float:
    """The instant that `text` names, in seconds since 1970, UTC.

    `text` is a date and a time, with an offset ('2026-12-05T20:00:00+01:00', '2026-12-05T19:00Z') or local in `zone`
    ('2026-12-05 20:00', '2026-12-05T20:00:30.5'), or a time alone ('20:00', '24:00') on the local day of the instant
    `day`. Raises RulesRefused for any other text, a local time that does not exist or is twice, and years outside 1970
    to 2100.
    """
    here = check_zone(zone)
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if not found or (found['offset'] and not found['date']):
        raise _refusal(text, _EXAMPLES)
    if found['date']:
        on = _date(text, found['date'])
    elif day is None:
        raise _refusal(text, f'it lacks the date, and nothing says which is meant: {_EXAMPLES}')
    else:
        on = datetime.fromtimestamp(day, here).date()
    clock = datetime(on.year, on.month, on.day) + _time_of_day(text, found)  # noqa: DTZ001 the zone follows
    return _in_range(text, _at_offset(text, clock, found['offset']) if found['offset'] else _local(text, clock, here))


def _refusal(text: object, why: str) -> RulesRefused:
    return RulesRefused(f'{text!r:.82} is not a time: {why}')


def _date(text: str, written: str) -> date:
    year, month, day = (int(number) for number in written.split('-'))
    if year not in _YEARS:
        raise _refusal(text, f'the year must be {_YEARS[0]} to {_YEARS[-1]}')
    if not 1 <= month <= 12:
        raise _refusal(text, 'the month must be 01 to 12')
    last = monthrange(year, month)[1]
    if not 1 <= day <= last:
        raise _refusal(text, f'the day must be 01 to {last} in {year}-{month:02}')
    return date(year, month, day)


def _time_of_day(text: str, found: re.Match[str]) -> timedelta:
    hour, minute, second = (int(found[name] or 0) for name in ('hour', 'minute', 'second'))
    micro = int((found['fraction'] or '').ljust(6, '0'))
    if hour > 24 or (hour == 24 and (minute, second, micro) != (0, 0, 0)):
        raise _refusal(text, 'a day ends at 24:00')
    if minute > 59 or second > 59:
        raise _refusal(text, f'the {"minute" if minute > 59 else "second"} must be 00 to 59')
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=micro)


def _at_offset(text: str, clock: datetime, written: str) -> float:
    ahead = timedelta()
    if written != 'Z':
        hours, minutes, *seconds = (int(number) for number in written[1:].split(':'))
        ahead = timedelta(hours=hours, minutes=minutes, seconds=sum(seconds))
        # No zone has been further from UTC since 1970.
        if max(minutes, *seconds, 0) > 59 or ahead > timedelta(hours=14):
            raise _refusal(text, f'the offset {written} must be -14:00 to +14:00')
    return clock.replace(tzinfo=timezone(-ahead if written[0] == '-' else ahead)).timestamp()


def _local(text: str, clock: datetime, zone: ZoneInfo) -> float:
    first, second = (clock.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if first == second:
        return first
    # A skipped time is read with the offset before the change, and with that after it, which come in this order.
    what = f'is twice in {zone.key}' if first < second else f'does not exist in {zone.key}'
    earlier, later = (iso(instant, zone.key) for instant in sorted((first, second)))
    raise RulesRefused(f'the local time {text!r} {what}: write {earlier} or {later}')


def _in_range(text: str, instant: float) -> float:
    if not 0 <= instant < _END:
        raise _refusal(text, f'the year must be {_YEARS[0]} to {_YEARS[-1]} in UTC as well')
    return instant


def show(instant: float, zone: str) -> str:
    """The instant for people, local and in UTC: '2026-12-05 22:15:00 Europe/Berlin (2026-12-05T21:15:00Z)'."""
    local = datetime.fromtimestamp(instant, check_zone(zone)).replace(tzinfo=None)
    utc = f'{_without_zeros(datetime.fromtimestamp(instant, UTC).replace(tzinfo=None).isoformat())}Z'
    return f'{_without_zeros(local.isoformat(" "))} {zone} ({utc})'


def iso(instant: float, zone: str) -> str:
    """The instant in ISO 8601 with the offset of the zone: '2026-12-05T22:15:00+01:00'; `parse_instant` reads it."""
    local = datetime.fromtimestamp(instant, check_zone(zone))
    written = local.isoformat()
    clock = local.replace(tzinfo=None).isoformat()
    return _without_zeros(clock) + written.removeprefix(clock)


def _without_zeros(time: str) -> str:
    """A time whose fraction of a second, if it has one, does not end in zeros."""
    return time.rstrip('0') if '.' in time else time
