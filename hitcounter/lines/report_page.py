"""A report as one HTML page that can be handed on: it needs no script and no other file, and asks nobody for anything.

Each chart is an inline SVG without a scale of its own, so that its letters are as large on a phone as on a wall;
below it is the table with its numbers.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from math import log10

from . import report_words as words
from .report import KINDS, Interval, Report, Round
from .report_words import LocalTimes, visible

#: Intervals that a page shows at most, if longer ones are possible.
MOST = 370

_HEIGHT = 200  # of a chart, in pixels
_SHORT = 12  # rows of a table that are shown without scrolling
#: Of a chart, at least, in pixels, and the class of the words that it has besides those of narrower ones.
_WIDTHS = ((230, 'few'), (560, 'some'), (1000, 'many'))
_LETTER = 7.5  # of a scale, in pixels
_OTHERS = tuple(kind for kind in KINDS if kind != 'counted')

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --faint: #57606a; --rule: #d0d7de;
  --counted: #0a5fb4; --repeat: #9a4a00; --late: #6f42c1; --closed: #57606a; --full: #0b7285; --barred: #b02a37;
  --withheld: #7a5c00; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e6e9ed; --faint: #a3adb8; --rule: #3a424c;
  --counted: #6cb2ff; --repeat: #ffa657; --late: #c9a7ff; --closed: #a3adb8; --full: #66d9e8; --barred: #ff8a94;
  --withheld: #e3c25a; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --faint: #444; --rule: #999; --counted: #0a5fb4;
  --repeat: #9a4a00; --late: #6f42c1; --closed: #57606a; --full: #0b7285; --barred: #b02a37; --withheld: #7a5c00; }
  body { max-width: none; padding: 0; font-size: 10pt; } figure, section.round, tr { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; } rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
p { margin: .25rem 0; max-width: 48rem; }
.faint { color: var(--faint); }
figure { margin: 1.5rem 0 1rem; }
figcaption { font-weight: 600; margin-bottom: .5rem; }
svg.chart { display: block; width: 100%; height: 15rem; overflow: visible; }
@media (max-width: 40rem) { svg.chart .some { display: none; } }
@media (max-width: 69rem) { svg.chart .many { display: none; } }
svg.chart text { fill: var(--faint); font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg.chart line { stroke: var(--rule); stroke-width: 1; }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: 0 0 .5rem; padding: 0;
  font-size: .875rem; }
.key svg { width: .75rem; height: .75rem; margin-right: .375rem; }
.wide { overflow: auto; max-height: 25rem; }
.long { border: 1px solid var(--rule); border-radius: .25rem; padding: 0 .75rem; width: fit-content; max-width: 100%; }
.wide thead th { position: sticky; top: 0; background: var(--paper); }
@media print { .wide { max-height: none; overflow: visible; border: 0; padding: 0; }
  .wide thead th { position: static; } }
table { overflow-wrap: normal; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9375rem; }
caption { text-align: left; color: var(--faint); padding: .25rem 0; }
th, td { text-align: left; padding: .25rem 1.25rem .25rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
th { font-weight: 600; }
tbody th { font-weight: 400; }
.t, .d { white-space: nowrap; }
@media (max-width: 40rem) { table { font-size: .8125rem; } td .t { white-space: normal; }
  th, td { padding-right: .5rem; } th:last-child, td:last-child { padding-right: 0; } }
td.n, th.n { text-align: right; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1rem 0; }
dl div { display: flex; flex-direction: column-reverse; }
dt { color: var(--faint); font-size: .875rem; }
dd { margin: 0; font-size: 1.75rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.result { display: inline-block; border: 2px solid currentColor; border-radius: .25rem; padding: 0 .5rem;
  font-size: .875rem; margin-left: .5rem; }
code { font-size: .8125rem; }
"""


def as_page(report: Report) -> str:
    """The report as a whole HTML document."""
    title = f'Report on line {escape(visible(report.line))}'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">\n'
        f'<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n'
        + '\n'.join(_body(report))
        + '\n</body>\n</html>\n'
    )


def _text(text: str) -> str:
    """The text in HTML, whose times are not broken over two lines, or only between date and time."""
    return _TIMES.sub(_unbroken, escape(text))


_TIMES = re.compile(r'(\d{4}-\d\d-\d\d)( \d\d:\d\d\S*( [+-][\d:]+)?)?|\d\d:\d\d-\d\d:\d\d( [+-][\d:]+)?', re.ASCII)


def _unbroken(found: re.Match[str]) -> str:
    date = found[1] or ''
    return f'<span class="t"><span class="d">{date}</span>{found[0][len(date) :]}</span>'


def _body(report: Report) -> Iterator[str]:
    local = LocalTimes(report.zone)
    yield f'<header>\n<h1>Line <bdi>{escape(visible(report.line))}</bdi></h1>'
    yield f'<p>{_text(words.period(report, local))}</p>'
    yield f'<p class="faint">As of {_text(local.second(report.made))}</p>\n</header>\n<main>'
    yield '<section>\n<h2>Totals</h2>\n<dl>'
    yield from (f'<div><dt>{escape(name)}</dt><dd>{count:,}</dd></div>' for name, count in words.totals(report))
    yield '</dl>\n</section>'
    yield from _charts(report, local)
    yield from (part for one in report.rounds for part in _round(one, local))
    yield '</main>'


def _charts(report: Report, local: LocalTimes) -> Iterator[str]:
    yield f'<section>\n<h2>Calls by {report.by}</h2>'
    yield from (f'<p>{_text(note)}</p>' for note in words.notes(report))
    yield from _figure(report, local, 'Counted calls', ('counted',))
    if others := tuple(kind for kind in _OTHERS if report.totals[kind]):
        yield from _figure(report, local, 'Calls turned away', others)
    yield '</section>'


def _figure(report: Report, local: LocalTimes, title: str, kinds: Sequence[str]) -> Iterator[str]:
    yield f'<figure>\n<figcaption>{title}</figcaption>'
    if len(kinds) > 1:
        yield '<ul class="key">'
        yield from (f'<li>{_swatch(kind)}{escape(KINDS[kind])}</li>' for kind in kinds)
        yield '</ul>'
    yield _chart(report, local, title, kinds)
    yield '</figure>'
    yield from _table_of_calls(report, local, title, kinds)


def _swatch(kind: str) -> str:
    return f'<svg aria-hidden="true"><rect width="100%" height="100%" style="fill:var(--{kind})"/></svg>'


# A chart.


def _chart(report: Report, local: LocalTimes, title: str, kinds: Sequence[str]) -> str:
    sums = [sum(interval.counts[kind] for kind in kinds) for interval in report.intervals]
    top = _round_up(max(sums))
    most = report.intervals[sums.index(max(sums))]
    said = (
        f'{title}, by {report.by}: {sum(sums):,} in all, and at most {max(sums):,}, '
        f'{_full_label(report, local, most)}. The table below has all numbers.'
    )
    margin = _LETTER * len(f'{_round_up(max(map(_highest, report.intervals))):,}') + 12
    inner = ''.join((*_scale(top), *_columns(report, local, kinds, top), *_ticks(report, local)))
    return f'<svg class="chart" role="img" aria-label="{escape(said)}" style="padding-left:{margin}px">{inner}</svg>'


def _highest(interval: Interval) -> int:
    return max(interval.counts['counted'], interval.turned_away)


def _round_up(count: int) -> int:
    """The next even number of few digits, for the top of a scale."""
    step = 10 ** int(log10(count)) if count else 1
    tops = (12, 14, 16, 20, 24, 30, 40, 50, 60, 80, 100) if step >= 10 else (20, 40, 60, 80, 100)
    return next(top for top in (step * tenths // 10 for tenths in tops) if top >= count)


def _scale(top: int) -> Iterator[str]:
    for count in (0, top // 2, top):
        y = _y(count, top)
        yield f'<line x1="0" x2="100%" y1="{y}" y2="{y}"/><text x="-8" y="{y + 4}" text-anchor="end">{count:,}</text>'


def _y(count: int, top: int) -> float:
    return round(_HEIGHT + 10 - _HEIGHT * count / top, 2)


def _columns(report: Report, local: LocalTimes, kinds: Sequence[str], top: int) -> Iterator[str]:
    """A column for each interval, in which the kinds are on top of each other."""
    share = 100 / len(report.intervals)
    for place, interval in enumerate(report.intervals):
        below = 0
        for kind in kinds:
            if count := interval.counts[kind]:
                y, foot = _y(below + count, top), _y(below, top)
                yield (
                    f'<rect x="{place * share + share / 10:.3f}%" width="{share * 0.8:.3f}%" y="{y}" '
                    f'height="{foot - y:.2f}" style="fill:var(--{kind})"><title>'
                    f'{_full_label(report, local, interval)}: {count:,} {escape(KINDS[kind])}</title></rect>'
                )
            below += count


def _full_label(report: Report, local: LocalTimes, interval: Interval) -> str:
    label = local.label(interval, report.by)
    return f'{local.weekday(interval.start)}, {label}' if report.by == 'hour' else label


def _ticks(report: Report, local: LocalTimes) -> Iterator[str]:
    """Words below some of the columns: the wider the page, the more, and never one upon another."""
    labels = _marks(report, local)
    room = _LETTER * max(map(len, labels.values())) + 12
    kept: list[int] = []
    for width, name in _WIDTHS:
        column = width / len(report.intervals)
        for place, label in labels.items():
            if all(abs(place - other) * column >= room for other in kept):
                kept.append(place)
                middle = (place + 0.5) * column
                at_end = width - middle < room / 2
                x, anchor = (100, 'end') if at_end else (100 * middle / width, 'middle')
                yield f'<text x="{x:.3f}%" y="{_HEIGHT + 28}" text-anchor="{anchor}" class="{name}">{label}</text>'


def _marks(report: Report, local: LocalTimes) -> dict[int, str]:
    """The columns that may have a word below them, by their places: each hour, or the first of each day."""
    if report.by == 'month':
        return {place: local.month(one.start) for place, one in enumerate(report.intervals)}
    days = [local.short_day(interval.start) for interval in report.intervals]
    if report.by == 'hour' and len(set(days)) <= 2:
        return {place: local.begin(interval) for place, interval in enumerate(report.intervals)}
    begins = [place for place in range(1, len(days)) if days[place - 1] != days[place]]
    first = [] if report.by == 'hour' and begins[0] < 12 else [0]  # the hours before the first midnight may be few
    return {place: days[place] for place in [*first, *begins]}


# Tables.


def _table_of_calls(report: Report, local: LocalTimes, title: str, kinds: Sequence[str]) -> Iterator[str]:
    rows = [interval for interval in report.intervals if any(interval.counts[kind] for kind in kinds)]
    left_out = f'; {report.by}s without any are left out' if len(rows) < len(report.intervals) else ''
    cells = ((_full_label(report, local, row), *(f'{row.counts[kind]:,}' for kind in kinds)) for row in rows)
    if not rows:
        yield '<p>None.</p>'
        return
    heads = (report.by, *(KINDS[kind] for kind in kinds))
    yield from _table(f'{title}, by {report.by}{left_out}', heads, cells, range(1, len(heads)))


def _table(caption: str, heads: Iterable[str], cells: Iterable[Sequence[str]], numbers: Iterable[int]) -> Iterator[str]:
    """A table whose first column names its rows; the columns `numbers` are aligned to the right."""
    right, rows = set(numbers), list(cells)
    mark = {True: ' class="n"', False: ''}
    long = ' long' if len(rows) > _SHORT else ''
    yield f'<div class="wide{long}" role="region" tabindex="0" aria-label="{escape(caption)}">'
    yield f'<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>'
    yield from (f'<th scope="col"{mark[at in right]}>{escape(head)}</th>' for at, head in enumerate(heads))
    yield '</tr></thead>\n<tbody>'
    for first, *others in rows:
        cells = ''.join(f'<td{mark[at in right]}>{_text(cell)}</td>' for at, cell in enumerate(others, 1))
        yield f'<tr><th scope="row"{mark[0 in right]}>{_text(first)}</th>{cells}</tr>'
    yield '</tbody>\n</table>\n</div>'


def _round(one: Round, local: LocalTimes) -> Iterator[str]:
    yield f'<section class="round">\n<h2>Round {one.number} <span class="result">{one.result}</span></h2>'
    for text in (
        words.dates(one, local),
        f'Calls ({one.result}): {words.counts(one)}',
        f'Rules: {visible(one.rules)}',
        *(words.gap(gap, local) for gap in one.gaps),
    ):
        yield f'<p>{_text(text)}</p>'
    yield f'<p class="faint">SHA-256 of the rules: <code>{escape(one.rules_hash)}</code></p>'
    yield f'<h3>Winners ({one.result}): {len(one.wins):,}</h3>'
    if one.wins:
        yield from _table(f'Winners of round {one.number} ({one.result})', _WIN, _wins(one, local), (0, 3))
    yield '</section>'


_WIN = ('caller', 'time', 'terms', 'on the line', 'caller ID')


def _wins(one: Round, local: LocalTimes) -> Iterator[Sequence[str]]:
    for win in one.wins:
        on_line = 'not on record' if win.line_number is None else f'{win.line_number:,}'
        yield f'{win.number:,}', local.second(win.arrived), visible(win.terms), on_line, words.caller(win)
