"""A report as CSV and as JSON, for programs; docs/reports.md describes the fields."""

import json
from collections.abc import Iterator, Mapping

from ..hits.records import FORMATS
from .report import KINDS, OF_ROUND, Report, Round, Win

#: The fields of a row for each interval, and of a row for each win.
CALLS = ('line', 'start', 'end', *KINDS)
WINS = ('line', 'round', 'result', *Win._fields)

#: The tables that CSV has, of which a file holds one.
TABLES = ('calls', 'winners')


def as_csv(report: Report, table: str) -> str:
    """One of the TABLES, with a heading."""
    fields, rows = (CALLS, _calls(report)) if table == 'calls' else (WINS, _wins(report))
    form = FORMATS['csv']
    return form.heading(fields) + ''.join(form.spell({field: row[field] for field in fields}) for row in rows)


def as_json(report: Report) -> str:
    """All of the report as one object, in ASCII."""
    return json.dumps(fields_of(report), indent=1) + '\n'


def fields_of(report: Report) -> dict[str, object]:
    """All of the report in plain values. Each time is ISO 8601, local, with its offset."""
    return {
        'line': report.line,
        'zone': report.zone,
        'made': report.time(report.made),
        'start': report.time(report.start),
        'end': report.time(report.end),
        'by': report.by,
        'totals': {**report.totals, 'winners': report.winners},
        'calls': [{name: row[name] for name in CALLS[1:]} for row in _calls(report)],
        'coarse': report.coarse,
        'rounds': [_round(report, one) for one in report.rounds],
    }


def _calls(report: Report) -> Iterator[Mapping[str, object]]:
    for interval in report.intervals:
        start, end = report.time(interval.start), report.time(interval.end)
        yield {'line': report.line, 'start': start, 'end': end, **interval.counts}


def _wins(report: Report) -> Iterator[Mapping[str, object]]:
    for one in report.rounds:
        for win in one.wins:
            yield {'line': report.line, 'round': one.number, 'result': one.result, **_win(report, win)}


def _win(report: Report, win: Win) -> dict[str, object]:
    return {**win._asdict(), 'arrived': report.time(win.arrived)}


def _round(report: Report, one: Round) -> dict[str, object]:
    return {
        'round': one.number,
        'state': one.state,
        'result': one.result,
        'begins': report.time(one.begins),
        'ends': None if one.ends is None else report.time(one.ends),
        'rules': one.rules,
        'rules_sha256': one.rules_hash,
        'counts': {kind: one.counts.get(kind, 0) for kind in OF_ROUND},
        'wins': [_win(report, win) for win in one.wins],
        'gaps': [[report.time(instant) for instant in gap] for gap in one.gaps],
    }
