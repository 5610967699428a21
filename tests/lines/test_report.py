"""A report says what the queries gave, in the period and the intervals that are asked for."""

import csv
import io
import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from hitcounter.errors import RulesRefused
from hitcounter.hits.times import hour_of
from hitcounter.lines.report import FINAL, KINDS, OF_ROUND, PROVISIONAL, Calls, Gap, Report, Round, Scope, Win, make
from hitcounter.lines.report_rows import CALLS, WINS, as_csv, as_json
from hitcounter.lines.report_text import ASCII, BLOCKS, MOST, as_text

BERLIN = ZoneInfo('Europe/Berlin')
ODD = 'wxyz/"contest",\n\x1b[31mred'


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


START = int(at('2026-10-24T23:00+02:00'))
MADE = at('2026-10-25T09:00:00.5+01:00')

#: The night in Berlin that has 02:00 twice.
HOURS = {START + 3600 * place: count for place, count in enumerate([214, 650, 538, 1000, 1110, 117])}
MINUTES = {'repeat': {START + 60: 90, START + 3600: 2}, 'late': {START + 5 * 3600 + 60: 29}}
WON = Win(9, 20_013, START + 333.25, 'at 9', '...567', False)
ROUNDS = (
    Round(
        1,
        'final',
        FINAL,
        START + 120.5,
        START + 5 * 3600.0,
        'Caller 9 wins.',
        '9f86d0',
        {'counted': 1434, 'repeat': 92},
        (WON, Win(99, None, START + 1333.0, 'at 99', None, True)),
        (Gap(START + 4000.0, START + 4100.0),),
    ),
    Round(2, 'open', PROVISIONAL, START + 20_000.0, None, 'The first caller wins.', 'abab', {'counted': 0}),
)


def none(first: int, last: int) -> list[float]:
    return []


def report(scope: Scope = Scope(), line: str = 'contest', zone: ZoneInfo = BERLIN) -> Report:  # noqa: B008 it is a constant
    return make(line, zone, MADE, Calls(HOURS, none, MINUTES), ROUNDS, scope)


def text(made: Report, width: int = 80, ticks: str = BLOCKS) -> list[str]:
    return as_text(made, width, ticks).splitlines()


def test_the_period_is_by_default_from_the_first_call_to_the_last_in_whole_hours() -> None:
    made = report()
    assert (made.start, made.end, made.by, made.refused) == (START, START + 6 * 3600, 'hour', None)
    assert made.totals == {**dict.fromkeys(KINDS, 0), 'counted': 3629, 'repeat': 92, 'late': 29}
    assert made.winners == {FINAL: 2, PROVISIONAL: 0}
    assert [one.turned_away for one in made.intervals] == [90, 2, 0, 0, 0, 29]


def test_a_line_without_calls_has_one_empty_hour() -> None:
    made = make('quiet', BERLIN, MADE, Calls({}, none))
    assert [(one.start, one.end, sum(one.counts.values())) for one in made.intervals] == [
        (at('2026-10-25T09:00+01:00'), at('2026-10-25T10:00+01:00'), 0)
    ]
    assert '09:00-10:00 +01:00 0' in text(made)


def test_a_period_may_begin_and_end_within_an_hour() -> None:
    start, end = START + 1800.0, START + 3600 + 1800.0
    calls = Calls(
        {START: 3, START + 3600: 2},
        lambda *_: [START + 1.0, START + 1800.0, START + 3599.5, START + 5399.0, START + 5400.0],
    )
    made = make('contest', BERLIN, MADE, calls, (), Scope(start, end))
    assert [(one.start, one.end, one.counts['counted']) for one in made.intervals] == [
        (start, START + 3600, 2),
        (START + 3600, end, 1),
    ]


@pytest.mark.parametrize(
    ('scope', 'bounds'),
    [
        (Scope(start=START + 7200.0), (START + 7200, START + 6 * 3600)),
        (Scope(end=START + 7200.0), (START, START + 7200)),
        (Scope(start=START + 86400.0), (START + 86400, START + 86400 + 3600)),
        (Scope(end=START - 86400.0), (START - 86400 - 3600, START - 86400)),
        (Scope(round=1), (START, START + 5 * 3600)),
        (Scope(round=2), (START + 5 * 3600, int(at('2026-10-25T10:00+01:00')))),
        (Scope(by='day'), (at('2026-10-24T00:00+02:00'), at('2026-10-26T00:00+01:00'))),
        (Scope(by='month'), (at('2026-10-01T00:00+02:00'), at('2026-11-01T00:00+01:00'))),
    ],
)
def test_a_bound_that_is_not_given_is_chosen(scope: Scope, bounds: tuple[float, float]) -> None:
    made = report(scope)
    assert (made.start, made.end) == bounds


def test_a_round_that_closed_within_a_minute_has_the_whole_hour() -> None:
    short = ROUNDS[0]._replace(begins=START + 10.0, ends=START + 20.0)
    made = make('contest', BERLIN, MADE, Calls(HOURS, none), [short], Scope(round=1))
    assert (made.start, made.end) == (START, START + 3600)


def test_a_round_that_is_open_is_reported_until_now() -> None:
    long = ROUNDS[0]._replace(state='open', result=PROVISIONAL, ends=MADE + 40 * 86400)
    made = make('contest', BERLIN, MADE, Calls(HOURS, none), [long], Scope(round=1))
    assert (made.start, made.end) == (START, at('2026-10-25T10:00+01:00'))


def test_rounds_outside_of_the_period_are_left_out() -> None:
    assert [one.number for one in report().rounds] == [1, 2]
    assert [one.number for one in report(Scope(end=START + 7200.0)).rounds] == [1]
    assert [one.number for one in report(Scope(start=START + 6 * 3600.0)).rounds] == [2]
    assert report(Scope(end=START + 120.0)).rounds == ()


@pytest.mark.parametrize(
    ('scope', 'sentence'),
    [
        (Scope(START, START), 'the period is empty: give an end after its beginning'),
        (Scope(round=3), "line 'contest' has no round 3: it has rounds 1 to 2"),
        (
            Scope(0.0, 4e9, 'hour'),
            'the period has more than 100,000 hours: choose a shorter period, or longer intervals',
        ),
    ],
)
def test_what_cannot_be_reported_is_refused(scope: Scope, sentence: str) -> None:
    with pytest.raises(RulesRefused) as caught:
        report(scope)
    assert str(caught.value) == sentence


def test_a_line_that_had_no_round_has_none_to_report() -> None:
    with pytest.raises(RulesRefused, match='has no round 1: it has had no round'):
        make('contest', BERLIN, MADE, Calls({}, none), (), Scope(round=1))


@pytest.mark.parametrize(
    ('days', 'by', 'most', 'shown', 'refused'),
    [
        (3, None, MOST, 'hour', None),
        (4, None, MOST, 'day', None),
        (365, 'hour', MOST, 'month', ('hour', 8760)),
        (90, 'hour', MOST, 'day', ('hour', 2160)),
        (365, None, MOST, 'month', ('day', 365)),
        (365, 'hour', None, 'hour', None),
        (365, 'day', None, 'day', None),
        (36_500, 'hour', MOST, 'month', ('hour', 876_000)),
    ],
)
def test_more_intervals_than_can_be_shown_are_longer_ones(
    days: int, by: str | None, most: int | None, shown: str, refused: tuple[str, int] | None
) -> None:
    made = report(Scope(START, START + days * 86400.0, by, None, most))
    assert (made.by, made.refused) == (shown, refused)


def test_a_terminal_is_told_that_rows_are_longer_than_was_asked_for() -> None:
    lines = text(report(Scope(START, START + 365 * 86400.0, 'hour', None, MOST)), 200)
    assert len(lines) < 60
    assert 'By hour, there would be 8,760 rows, so these are by month; CSV and JSON have every hour.' in lines
    assert any(line.startswith('2026-10 (part) ') for line in lines)


NIGHT = """\
Line contest
Period: 2026-10-24 23:00 +02:00 to 2026-10-25 04:00 +01:00,
  Europe/Berlin
As of: 2026-10-25 09:00:00 +01:00

Calls by hour

Sat 2026-10-24
23:00-24:00        #### 214 (90 turned away)
Sun 2026-10-25 (25 hours)
00:00-01:00 +02:00 ############ 650 (2 turned away)
01:00-02:00 +02:00 ########## 538
02:00-03:00 +02:00 ################### 1,000
02:00-03:00 +01:00 ###################### 1,110
03:00-04:00 +01:00 ## 117 (29 turned away)

Totals

    3,629 counted
       92 repeats of a caller
       29 late
        2 winners (final)
        0 winners (provisional)

Round 1: final
  Final: from 2026-10-24 23:02:00 +02:00 to 2026-10-25
    03:00:00 +01:00
  Calls (final): 1,434 counted, 92 repeats of a caller
  Rules: Caller 9 wins.
  SHA-256 of the rules: 9f86d0
  No server ran from 2026-10-25 00:06:40 +02:00 to 2026-10-25
    00:08:20 +02:00: nobody could call.
  Winners (final): 2
    caller 9, 2026-10-24 23:05:33 +02:00, at 9, ...567
    caller 99, 2026-10-24 23:22:13 +02:00, at 99, number
      withheld

Round 2: provisional
  Open: from 2026-10-25 03:33:20 +01:00, without an end so far
  Calls (provisional): 0 counted
  Rules: The first caller wins.
  SHA-256 of the rules: abab
  Winners (provisional): 0
"""


def test_the_text_of_a_night_that_has_an_hour_twice() -> None:
    assert as_text(report(), 62, ASCII) == NIGHT


@pytest.mark.parametrize('width', [1, 20, 40, 62, 80, 300])
@pytest.mark.parametrize('ticks', [ASCII, BLOCKS])
def test_no_line_is_wider_than_the_terminal(width: int, ticks: str) -> None:
    shown = text(report(), width, ticks)
    assert max(map(len, shown)) <= max(width, 44)  # a label and its figures are not cut
    assert all(str(count) in ''.join(shown).replace(',', '') for count in HOURS.values())


def test_bars_are_in_proportion_and_a_single_call_can_be_seen() -> None:
    made = make('x', BERLIN, MADE, Calls({START: 8000, START + 3600: 4000, START + 7200: 1, START + 10800: 0}, none))
    bars = [line[19:].rpartition(' ')[0] for line in text(made) if line[2:3] == ':' and line[8:9] == ':']
    assert len(bars[0]) + 1 == 2 * len(bars[1]) > 40
    assert bars[1][-1] == '▌'
    assert bars[2] == '▏'
    assert bars[3] == ''


def test_what_a_terminal_would_obey_is_escaped() -> None:
    shown = as_text(report(line=ODD), 80, ASCII)
    assert shown.startswith('Line wxyz/"contest",\\n\\x1b[31mred\n')
    assert '\x1b' not in shown


def test_every_result_says_whether_it_is_final() -> None:
    for line in NIGHT.splitlines():
        if 'Winners' in line or 'winners' in line or line.startswith(('Round', '  Calls')):
            assert FINAL in line or PROVISIONAL in line


def test_the_csv_of_calls_reads_back() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(report(line=ODD), 'calls'))))
    assert list(rows[0]) == list(CALLS) == ['line', 'start', 'end', *KINDS]
    assert {row['line'] for row in rows} == {ODD}
    assert {hour_of(at(row['start'])): int(row['counted']) for row in rows} == HOURS
    assert [row['end'] for row in rows[:-1]] == [row['start'] for row in rows[1:]]
    assert rows[3]['start'] == '2026-10-25T02:00:00+02:00'
    assert rows[4]['start'] == '2026-10-25T02:00:00+01:00'
    assert [(row['repeat'], row['late']) for row in rows] == [
        ('90', '0'), ('2', '0'), ('0', '0'), ('0', '0'), ('0', '0'), ('0', '29'),
    ]  # fmt: skip


def test_the_csv_of_winners_says_whether_the_result_is_final() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(report(), 'winners'))))
    assert list(rows[0]) == list(WINS)
    shown = [[row[name] for name in WINS if name not in ('line', 'arrived', 'terms')] for row in rows]
    assert shown == [['1', 'final', '9', '20013', '...567', 'no'], ['1', 'final', '99', '', '', 'yes']]
    assert rows[0]['arrived'] == '2026-10-24T23:05:33.25+02:00'


def test_the_json_has_all_of_the_report() -> None:
    told = json.loads(as_json(report(line='Zo\udceb')))
    assert told['line'] == 'Zo\udceb'
    assert (told['zone'], told['by'], told['coarse']) == ('Europe/Berlin', 'hour', 0)
    assert [at(told[name]) for name in ('made', 'start', 'end')] == [MADE, START, START + 6 * 3600]
    assert told['totals'] == {**report().totals, 'winners': {'final': 2, 'provisional': 0}}
    assert [at(row['start']) for row in told['calls']] == list(HOURS)
    assert [row['counted'] for row in told['calls']] == list(HOURS.values())
    first, second = told['rounds']
    assert (first['round'], first['state'], first['result']) == (1, 'final', 'final')
    assert (first['rules'], first['rules_sha256']) == ('Caller 9 wins.', '9f86d0')
    assert first['counts'] == {**dict.fromkeys(OF_ROUND, 0), 'counted': 1434, 'repeat': 92}
    assert first['gaps'] == [['2026-10-25T00:06:40+02:00', '2026-10-25T00:08:20+02:00']]
    assert first['wins'][0] == {**WON._asdict(), 'arrived': '2026-10-24T23:05:33.25+02:00'}
    assert (second['result'], second['ends'], second['wins']) == ('provisional', None, [])
