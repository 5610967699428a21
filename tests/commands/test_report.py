"""hitcounter report, as a process of its own, on the calls of a real database."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import random
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from hitcounter.hits import Caller, Hit, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.component import Lines
from hitcounter.lines.round import Entrant
from hitcounter.lines.rules import Rules, canonical, digest
from hitcounter.lines.settings import Settings
from hitcounter.lines.terms import At, Every, Last
from hitcounter.state import Components, State, open_database
from tests.support.servers import BOB

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess

#: The clocks change in it in Berlin, in New York and on Lord Howe.
SPAN = (
    datetime.fromisoformat('2026-09-25T00:00Z').timestamp(),
    datetime.fromisoformat('2026-11-10T00:00Z').timestamp(),
)
ODD = b'Zo\xeb/"x",\x1b[31m&<b>'.decode('utf-8', 'surrogateescape')
ANNA = Caller('+49891234567', 'Anna', '1.1', False)
HIDDEN = Caller(None, None, '1.2', True)


@pytest.fixture
def opened(storage: str) -> Callable[[Callable[[State], None]], None]:
    """Do something with the state of this test's database."""

    def opened(work: Callable[[State], None]) -> None:
        with open_database(storage, share=True) as database, State(database, [HitCounter, Lines]) as state:
            work(state)

    return opened


Opened = Callable[[Callable[[State], None]], None]


@pytest.fixture
def calls(opened: Opened) -> list[float]:
    """When the calls on the line 31415 came: at random, and most of them in the nights when the clocks change."""
    chance = random.Random(11)
    nights = [datetime.fromisoformat(f'2026-{day}T00:00Z').timestamp() for day in ('10-03', '10-24', '10-31')]
    times = [chance.uniform(*SPAN) for _ in range(300)]
    times += [night + chance.uniform(0, 2 * 86400) for night in nights for _ in range(200)]
    times.sort()

    def count(state: State) -> None:
        def import_all(components: Components) -> None:
            for number, when in enumerate(times, 1):
                components[HitCounter].import_hit('31415', Hit(number, when, BOB))

        state.update(import_all)

    opened(count)
    return times


@pytest.mark.parametrize('zone', ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe'])
@pytest.mark.parametrize(('by', 'shown'), [('hour', '%Y-%m-%d %H %z'), ('day', '%Y-%m-%d'), ('month', '%Y-%m')])
def test_the_counts_are_those_of_a_recount_of_the_records(
    hitcounter: Run, calls: list[float], zone: str, by: str, shown: str
) -> None:
    done = hitcounter('report', '31415', '--tz', zone, '--by', by, '--format', 'json')
    assert (done.returncode, done.stderr) == (0, '')
    told = json.loads(done.stdout)
    here = ZoneInfo(zone)
    by_wall = Counter(f'{datetime.fromtimestamp(call, here):{shown}}' for call in calls)
    rows = {f'{datetime.fromisoformat(row["start"]).astimezone(here):{shown}}': row['counted'] for row in told['calls']}
    assert len(rows) == len(told['calls'])
    assert {wall: count for wall, count in rows.items() if count} == by_wall
    assert (told['zone'], told['totals']['counted'], told['coarse']) == (zone, len(calls), 0)


def test_a_period_has_exactly_the_calls_between_its_bounds(hitcounter: Run, calls: list[float]) -> None:
    first, last = '2026-10-25T02:17:00+02:00', '2026-10-25T02:43:00+01:00'
    done = hitcounter('report', '31415', '--from', first, '--until', last, '--format', 'csv', '--tz', 'Europe/Berlin')
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    start, end = (datetime.fromisoformat(bound).timestamp() for bound in (first, last))
    expected = sum(start <= call < end for call in calls)
    assert expected > 3
    assert [row['start'] for row in rows] == [first, '2026-10-25T02:00:00+01:00']
    assert rows[-1]['end'] == last
    assert sum(int(row['counted']) for row in rows) == expected


def test_forgotten_calls_are_counted_at_the_beginning_of_their_hour(
    hitcounter: Run, opened: Opened, calls: list[float]
) -> None:
    def forget(state: State) -> None:
        assert state[HitCounter].forget('31415', calls[500], 1000) == 500

    opened(forget)
    told = {
        zone: json.loads(hitcounter('report', '31415', '--by', 'hour', '--tz', zone, '--format', 'json').stdout)
        for zone in ('Asia/Kolkata', 'UTC')
    }
    assert told['UTC']['coarse'] == 0
    assert told['Asia/Kolkata']['coarse'] == 500
    assert told['Asia/Kolkata']['totals']['counted'] == told['UTC']['totals']['counted'] == len(calls)
    assert 'calls only the hour of UTC is on record' in hitcounter('report', '31415', '--tz', 'Asia/Kolkata').stdout


@pytest.fixture
def contest(opened: Opened) -> Rules:
    """A line in Berlin with a round that is final: its third caller won, then its last; one caller was turned away."""
    rules = Rules(win=(At(2), Last()), zone='Europe/Berlin', limit=1)

    def play(state: State) -> None:
        lines = state[Lines]
        lines.declare('contest', Settings(zone='Europe/Berlin'))
        now = time.time()
        lines.open_round('contest', canonical(rules), now - 60, 'anna')

        def enter(components: Components) -> None:
            for place, (caller, identity) in enumerate(
                [(BOB, '555'), (ANNA, '+49891234567'), (HIDDEN, None), (ANNA, '+49891234567'), (BOB, '+1555000123')]
            ):
                entrant = Entrant(caller, now - 50 + place, identity)
                components[Lines].enter(components[HitCounter], 'contest', 1, entrant)

        state.update(enter)
        lines.note_gaps(now)
        lines.close_round('contest', now, 'anna')
        lines.finish_due(now + 31)
        lines.open_round('contest', canonical(rules), now + 60, 'anna')

    opened(play)
    return rules


def test_rounds_are_told_with_their_winners_and_whether_they_are_final(hitcounter: Run, contest: Rules) -> None:
    told = json.loads(
        hitcounter('report', 'contest', '--format', 'json', '--until', '2100-01-01', '--by', 'month').stdout
    )
    assert told['zone'] == 'Europe/Berlin'
    assert {kind: count for kind, count in told['totals'].items() if count} == {
        'counted': 4,
        'repeat': 1,
        'winners': {'final': 2, 'provisional': 0},
    }
    first, second = told['rounds']
    assert (first['state'], first['result'], second['state'], second['result']) == (
        'final',
        'final',
        'scheduled',
        'provisional',
    )
    assert first['rules_sha256'] == digest(contest)
    assert 'caller 2 wins' in first['rules'].lower()
    assert (first['counts']['counted'], first['counts']['repeat']) == (4, 1)
    assert [(win['number'], win['line_number'], win['caller'], win['withheld']) for win in first['wins']] == [
        (2, 2, '...567', False),
        (4, 4, '...123', False),
    ]
    assert [win['terms'] for win in first['wins']] == ['at 2', 'last']
    assert len(first['gaps']) == 1


def test_one_round_is_reported_alone_and_its_winners_with_their_numbers_if_asked(
    hitcounter: Run, contest: Rules
) -> None:
    told = hitcounter('report', 'contest', '--round', '1', '--callers').stdout
    assert 'Round 1: final\n' in told
    assert 'Round 2' not in told
    assert 'caller 2, ' in told
    assert ', +49891234567\n' in told.replace('\n      ', ' ')
    assert 'No server ran from ' in told
    rows = list(
        csv.DictReader(io.StringIO(hitcounter('report', 'contest', '--format', 'csv', '--table', 'winners').stdout))
    )
    assert [(row['round'], row['result'], row['caller']) for row in rows] == [
        ('1', 'final', '...567'),
        ('1', 'final', '...123'),
    ]


def test_winners_that_are_forgotten_or_hashed_are_not_shown(hitcounter: Run, opened: Opened, contest: Rules) -> None:
    def forget(state: State) -> None:
        assert state[Lines].forget(('contest', 1), time.time() + 1e6, 1000) == 4

    opened(forget)
    told = json.loads(hitcounter('report', 'contest', '--format', 'json', '--callers').stdout)
    assert [(win['line_number'], win['caller'], win['withheld']) for win in told['rounds'][0]['wins']] == [
        (None, None, None)
    ] * 2
    assert 'number not on record' in hitcounter('report', 'contest').stdout


@pytest.mark.parametrize('rule', ['count', 'count-no-win'])
def test_a_winner_who_was_erased_did_not_withhold_the_number(hitcounter: Run, opened: Opened, rule: str) -> None:
    def play(state: State) -> None:
        rules = Rules(win=(Every(1, 1),), withheld=rule)
        state[Lines].open_round('contest', canonical(rules), 1000.0, 'anna')
        for caller in (ANNA, HIDDEN):
            Desk(state).decide(Visit('contest', caller, 1000.0))

    opened(play)
    assert hitcounter('forget', '--caller', '+49891234567').returncode == 0

    told = json.loads(hitcounter('report', 'contest', '--format', 'json').stdout)
    assert [win['withheld'] for win in told['rounds'][0]['wins']] == [None, True][: 2 if rule == 'count' else 1]


@pytest.mark.parametrize('form', ['text', 'csv', 'json', 'html'])
def test_a_line_with_odd_characters_is_reported_in_every_format(
    hitcounter: Run, opened: Opened, tmp_path: Path, form: str
) -> None:
    # As a call, it would be refused today; as a record of earlier calls, it is imported.
    opened(lambda state: state[HitCounter].import_hit(ODD, Hit(1, SPAN[0], BOB)))
    done = hitcounter('report', ODD, '--format', form, '--output', 'report')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    written = (tmp_path / 'report').read_bytes()
    assert {
        'text': b'Zo\\udceb/"x",\\x1b[31m&<b>',
        'csv': b'"Zo\xeb/""x"",\x1b[31m&<b>"',
        'json': rb'"Zo\udceb/\"x\",\u001b[31m&<b>"',
        'html': b'Zo\\udceb/&quot;x&quot;,\\x1b[31m&amp;&lt;b&gt;',
    }[form] in written


def test_the_format_is_that_of_the_file_and_the_file_is_for_its_owner(
    hitcounter: Run, count: Callable[..., None], tmp_path: Path
) -> None:
    count('31415')
    begins = {'csv': 'line,start,end', 'json': '{', 'html': '<!DOCTYPE html>', 'txt': 'Line 31415'}
    for ending, begin in begins.items():
        assert hitcounter('report', '31415', '--output', f'report.{ending}').returncode == 0
        assert (tmp_path / f'report.{ending}').read_text().startswith(begin)
        assert (tmp_path / f'report.{ending}').stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ('env', 'tick'),
    [
        ({'PYTHONIOENCODING': 'utf-8'}, '█'),
        ({'PYTHONIOENCODING': 'ascii'}, '#'),
        ({'PYTHONIOENCODING': 'latin-1'}, '#'),
        ({'LC_ALL': 'C'}, '#'),
    ],
)
def test_bars_are_of_what_standard_output_can_show(
    hitcounter: Run, count: Callable[..., None], env: dict[str, str], tick: str
) -> None:
    count('31415')
    assert f'{tick} 1\n' in hitcounter('report', '31415', env=env).stdout


def test_a_report_is_as_wide_as_the_terminal(
    count: Callable[..., None], storage: str, environment: dict[str, str], tmp_path: Path
) -> None:
    count('31415')
    variables = {name: value for name, value in environment.items() if name != 'COLUMNS'}
    for columns in (44, 66):
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
        code = 'from hitcounter.commands.main import main; main()'
        arguments = ['report', '31415', '--storage', storage, '--from', '2026-01-01', '--until', '2027-01-01']
        with open(ours, 'rb', buffering=0) as screen:
            done = subprocess.run(
                [sys.executable, '-c', code, *arguments], stdout=theirs, env=variables, cwd=tmp_path, check=True
            )
            os.close(theirs)
            shown = screen.read(10_000).decode().splitlines()
        assert done.returncode == 0
        widths = [len(line) for line in shown if '█' in line]
        assert widths == [columns]


def test_the_server_may_be_running(hitcounter: Run, server: ServerProcess) -> None:
    server.number()
    told = json.loads(hitcounter('report', '31415', '--format', 'json').stdout)
    assert told['totals']['counted'] == 1


@pytest.mark.parametrize(
    ('declared', 'env', 'zone'),
    [
        ('Asia/Kolkata', {'TZ': 'Europe/London'}, 'Asia/Kolkata'),
        (None, {'TZ': 'Europe/London'}, 'Europe/London'),
        (None, {'TZ': ':America/New_York'}, 'America/New_York'),
        (None, {'TZ': 'CET-1CEST,M3.5.0,M10.5.0/3'}, None),
    ],
)
def test_the_time_zone_is_that_of_the_line_or_else_of_the_machine(
    hitcounter: Run,
    opened: Opened,
    count: Callable[..., None],
    declared: str | None,
    env: dict[str, str],
    zone: str | None,
) -> None:
    count('31415')
    if declared:
        opened(lambda state: state[Lines].declare('31415', Settings(zone=declared)))
    told = json.loads(hitcounter('report', '31415', '--format', 'json', env=env).stdout)
    machine = os.path.realpath('/etc/localtime').rpartition('/zoneinfo/')[2] or 'UTC'
    assert told['zone'] == (zone or machine)


@pytest.mark.parametrize(
    ('arguments', 'status', 'sentence'),
    [
        (['27182'], 2, 'Error: line \'27182\' was never called or declared: see "hitcounter lines"'),
        (['31415', '--tz', 'Europe/Berlim'], 2, "Error: 'Europe/Berlim' is not a time zone: the nearest names are"),
        (['31415', '--by', 'week'], 2, "Error: Invalid value for '--by': 'week' is not one of 'hour', 'day', 'month'."),
        (['31415', '--format', 'pdf'], 2, "Error: Invalid value for '--format': 'pdf' is not one of"),
        (['31415', '--round', '0'], 2, "Error: Invalid value for '--round': 0 is not in the range x>=1."),
        (['31415', '--round', '7'], 2, "Error: line '31415' has no round 7: it has had no round"),
        (['31415', '--from', '2026-02-30'], 2, "Error: '2026-02-30' is not a date: day"),
        (['31415', '--from', '2026-10-25 02:30', '--tz', 'Europe/Berlin'], 2, "Error: the local time '2026"),
        (['31415', '--from', '2026-10-25', '--until', '2026-10-25'], 2, 'Error: the period is empty: give an end'),
        (['31415', '--from', '1970-01-01', '--by', 'hour', '--format', 'csv'], 2, 'Error: the period has more than'),
        (['31415', '--table', 'winners'], 2, 'Error: --table is for CSV, which has one table in a file'),
        (['31415', '--output', 'hits.fs'], 1, "Error: 'hits.fs' already exists: choose another name"),
        (['31415', '--output', 'nowhere/x.html'], 1, "Error: 'nowhere/x.html' cannot be written (No such file"),
        ([], 2, "Error: Missing argument 'LINE'."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence(
    hitcounter: Run, count: Callable[..., None], arguments: list[str], status: int, sentence: str
) -> None:
    count('31415')
    done = hitcounter('report', *arguments)
    assert (done.returncode, done.stdout) == (status, '')
    assert done.stderr.splitlines()[-1].startswith(sentence)
    assert 'Traceback' not in done.stderr


def test_a_database_that_no_server_has_made_is_said(hitcounter: Run) -> None:
    done = hitcounter('report', '31415')
    assert (done.returncode, done.stdout) == (1, '')
    assert 'is not a database yet' in done.stderr
