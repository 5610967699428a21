"""A report as text for a terminal: bars as wide as it is, of block elements, or of ASCII where it has no others."""

import textwrap
from collections.abc import Iterator

from . import report_words as words
from .report import Interval, Report, Round
from .report_words import LocalTimes, visible

#: A bar of one character more for each: an eighth of a cell wide, two eighths, and so on.
BLOCKS = '▏▎▍▌▋▊▉█'

#: The same for a terminal that has ASCII alone.
ASCII = '#'

#: Intervals that a terminal shows at most, if longer ones are possible.
MOST = 100

_NARROWEST, _WIDEST_BAR = 20, 60


def as_text(report: Report, width: int, ticks: str) -> str:
    """The report in lines of `width` characters, its bars made of `ticks`, of which the last fills a cell."""
    return '\n'.join(_lines(report, max(width, _NARROWEST), ticks)) + '\n'


def _lines(report: Report, width: int, ticks: str) -> Iterator[str]:
    local = LocalTimes(report.zone)
    yield from _wrapped(f'Line {visible(report.line)}', width)
    yield from _wrapped(f'Period: {words.period(report, local)}', width)
    yield from _wrapped(f'As of: {local.second(report.made)}', width)
    yield ''
    yield f'Calls by {report.by}'
    yield ''
    yield from _bars(report, local, width, ticks)
    for note in words.notes(report):
        yield ''
        yield from _wrapped(note, width)
    yield ''
    yield 'Totals'
    yield ''
    for name, count in words.totals(report):
        yield from _wrapped(f'{count:>9,} {name}', width, 10)
    for one in report.rounds:
        yield ''
        yield from _round(one, local, width)


def _bars(report: Report, local: LocalTimes, width: int, ticks: str) -> Iterator[str]:
    labels = [local.label(interval, report.by) for interval in report.intervals]
    figures = [_figures(interval) for interval in report.intervals]
    margin = max(map(len, labels)) + 1
    room = min(max(width - margin - 1 - max(map(len, figures)), 0), _WIDEST_BAR)
    most = max(interval.counts['counted'] for interval in report.intervals)
    day = ''
    for interval, label, figure in zip(report.intervals, labels, figures, strict=True):
        if report.by == 'hour' and day != (day := local.day(interval.start)):
            yield day
        bar = _bar(interval.counts['counted'], most, room, ticks)
        yield f'{label:{margin}}{bar}{" " if bar else ""}{figure}'


def _figures(interval: Interval) -> str:
    other = f' ({interval.turned_away:,} turned away)' if interval.turned_away else ''
    return f'{interval.counts["counted"]:,}{other}'


def _bar(count: int, most: int, room: int, ticks: str) -> str:
    """A bar as long as `room` for `most`; any count that is not 0 can be seen."""
    if not count or not room:
        return ''
    size = max(count * room * len(ticks) // most, 1)
    full, rest = divmod(size, len(ticks))
    return ticks[-1] * full + (ticks[rest - 1] if rest else '')


def _round(one: Round, local: LocalTimes, width: int) -> Iterator[str]:
    yield f'Round {one.number}: {one.result}'
    for text in (
        words.dates(one, local),
        f'Calls ({one.result}): {words.counts(one)}',
        f'Rules: {visible(one.rules)}',
        f'SHA-256 of the rules: {one.rules_hash}',
        *(words.gap(gap, local) for gap in one.gaps),
        f'Winners ({one.result}): {len(one.wins):,}',
    ):
        yield from _wrapped(f'  {text}', width, 4)
    for win in one.wins:
        shown = (f'caller {win.number:,}', local.second(win.arrived), visible(win.terms), words.caller(win))
        yield from _wrapped(f'    {", ".join(shown)}', width, 6)


def _wrapped(text: str, width: int, indent: int = 2) -> list[str]:
    """The text in lines; a word that is too long for one is cut."""
    return textwrap.wrap(text, width, subsequent_indent=' ' * indent, drop_whitespace=True, break_on_hyphens=False)
