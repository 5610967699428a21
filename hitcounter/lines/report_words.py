"""What a report says in words, both as text and as a page: its times, its totals, its notes."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ..counts import count_of
from .intervals import begin_of_day, is_whole
from .report import KINDS, Gap, Interval, Report, Round, Win

_DAYS = ('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun')
_MONTHS = ('Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec')
_WITHHELD, _UNKNOWN = 'number withheld', 'number not on record'


class LocalTimes:
    """Writes the local times of a zone, each with its offset from UTC where that is in doubt."""

    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)

    def second(self, instant: float) -> str:
        """'2026-10-25 02:30:10 +01:00'."""
        return f'{self._local(instant):%Y-%m-%d %H:%M:%S} {self._offset(instant)}'

    def minute(self, instant: float) -> str:
        """'2026-10-25 02:30 +01:00'."""
        return f'{self._local(instant):%Y-%m-%d %H:%M} {self._offset(instant)}'

    def day(self, instant: float) -> str:
        """'Sun 2026-10-25', and how many hours it has, unless they are 24."""
        day = self._date(instant)
        hours = (begin_of_day(day + timedelta(days=1), self.zone) - begin_of_day(day, self.zone)) / 3600
        return self.weekday(instant) + ('' if hours == 24 else f' ({hours:g} hours)')

    def weekday(self, instant: float) -> str:
        """'Sun 2026-10-25'."""
        day = self._date(instant)
        return f'{_DAYS[day.weekday()]} {day}'

    def month(self, instant: float) -> str:
        """'2026-10'."""
        return f'{self._local(instant):%Y-%m}'

    def short_day(self, instant: float) -> str:
        """'25 Oct'."""
        day = self._date(instant)
        return f'{day.day} {_MONTHS[day.month - 1]}'

    def begin(self, interval: Interval) -> str:
        """When an hour begins: '02:00', with the offset if that changes on this day."""
        begin, _, end = self._hours(interval).partition('-')
        return begin + end[5:]

    def label(self, interval: Interval, by: str) -> str:
        """The month or the day of an interval, or its hour within the day: '02:00-03:00 +02:00'."""
        if by == 'hour':
            return self._hours(interval)
        name = self.day(interval.start) if by == 'day' else self.month(interval.start)
        return name if is_whole(interval.start, interval.end, by, self.zone) else f'{name} (part)'

    def _hours(self, interval: Interval) -> str:
        """By the clocks as they were when it began; with the offset if that changes on this day."""
        start = self._local(interval.start)
        end = (start + timedelta(seconds=interval.end - interval.start)).strftime('%H:%M')
        day = start.date()
        offsets = {self._offset(begin_of_day(day + timedelta(days=more), self.zone)) for more in (0, 1)}
        offset = f' {self._offset(interval.start)}' if len(offsets) > 1 else ''
        return f'{start:%H:%M}-{"24:00" if end == "00:00" else end}{offset}'

    def _date(self, instant: float) -> date:
        return self._local(instant).date()

    def _local(self, instant: float) -> datetime:
        return datetime.fromtimestamp(instant, self.zone)

    def _offset(self, instant: float) -> str:
        return self._local(instant).isoformat(timespec='seconds')[19:]


def visible(text: str) -> str:
    """A text that others chose, with what a terminal would not show, or obey, as an escape."""
    return ''.join(one if one.isprintable() else one.encode('unicode_escape').decode() for one in text)


def period(report: Report, local: LocalTimes) -> str:
    """From when to when."""
    return f'{local.minute(report.start)} to {local.minute(report.end)}, {report.zone}'


def totals(report: Report) -> Iterator[tuple[str, int]]:
    """What is counted, and how many there are; the calls that were counted come first, and are always there."""
    for kind, count in report.totals.items():
        if count or kind == 'counted':
            yield KINDS[kind], count
    for result, count in report.winners.items():
        if count or any(one.result == result for one in report.rounds):
            yield f'winners ({result})', count


def notes(report: Report) -> Iterator[str]:
    """What a reader has to know about the numbers."""
    if report.refused:
        asked, count = report.refused
        yield (
            f'By {asked}, there would be {count:,} rows, so these are by {report.by}; CSV and JSON have every {asked}.'
        )
    if report.coarse:
        yield (
            f'Of {count_of(report.coarse, "call")} only the hour of UTC is on record, which is in two intervals here: '
            f'the earlier one counts them.'
        )


def gap(missed: Gap, local: LocalTimes) -> str:
    """When the server was down."""
    return f'No server ran from {local.second(missed.start)} to {local.second(missed.end)}: nobody could call.'


def dates(one: Round, local: LocalTimes) -> str:
    """When a round begins and ends."""
    end = ', without an end so far' if one.ends is None else f' to {local.second(one.ends)}'
    return f'{one.state.capitalize()}: from {local.second(one.begins)}{end}'


def counts(one: Round) -> str:
    """How many calls of each kind a round had."""
    return ', '.join(f'{count:,} {KINDS[kind]}' for kind, count in one.counts.items() if count or kind == 'counted')


def caller(win: Win) -> str:
    """The winner's number as far as it is shown, or why it is not."""
    if win.caller is not None:
        return visible(win.caller)
    return _WITHHELD if win.withheld else _UNKNOWN
