"""hitcounter round, as a process of its own, while a server runs and without one."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hitcounter.commands.main import main
from hitcounter.hits import HitCounter
from hitcounter.lines.component import Lines
from hitcounter.lines.round import Entrant
from hitcounter.lines.rule_sentence import sentence
from hitcounter.lines.rules import Rules, canonical, digest
from hitcounter.lines.terms import At, Last
from hitcounter.state import State, open_database
from tests.support.places import TREE
from tests.support.servers import BOB

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess, Start

FIELDS = [
    'line', 'round', 'state', 'result', 'opened', 'begins', 'ends', 'final_at', 'opened_by', 'reason', 'rules',
    'rules_sha256', 'entries', 'winners', 'turned_away', 'gaps',
]  # fmt: skip


def shown(hitcounter: Run, *arguments: str) -> dict[str, str]:
    """What `hitcounter round` prints, by the names of its rows; of several rows with one name, the last."""
    done = hitcounter('round', *arguments)
    assert (done.returncode, done.stderr) == (0, '')
    return {row[:10].strip(): row[11:] for row in done.stdout.splitlines()}


def results(server: ServerProcess, *callers: str | None) -> list[str]:
    """What became of calls from these callers."""
    return [server.call(extension='contest', caller_id=caller).variables['HITCOUNTER_RESULT'] for caller in callers]


def is_final(hitcounter: Run, line: str) -> bool:
    final: bool = json.loads(hitcounter('round', 'show', line, '--json').stdout)['result'] == 'final'
    return final


def test_a_contest(hitcounter: Run, start: Start) -> None:
    server = start()
    assert hitcounter('line', 'declare', 'contest', '--time-zone', 'Asia/Kolkata').returncode == 0
    done = hitcounter('round', 'open', 'contest', '--win', 'at 2', '--once-per', 'caller', '--settle', '0s')
    rules = Rules(win=(At(2),), zone='Asia/Kolkata', limit=1, settle=0.0)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == (
        f'Round 1 of line contest is open.\n{sentence(rules, "contest")}\nSHA-256 of the rules: {digest(rules)}\n'
    )
    assert results(server, '+4989123401', '+4989123401', '+4989123402') == ['COUNTED', 'REPEAT', 'WON']
    rows = shown(hitcounter, 'show', 'contest')
    assert list(rows) == ['line', 'round', 'rules', 'SHA-256', 'opened', 'result', 'won']
    assert rows['round'] == '1, open'
    assert rows['SHA-256'] == digest(rules)
    assert rows['result'] == 'provisional: 2 calls, 1 winner, 1 REPEAT'
    assert re.fullmatch(r'2 \(at 2\), [-\d]+ [:.\d]+ Asia/Kolkata \(.*Z\), \.\.\.402', rows['won'])
    assert shown(hitcounter, 'show', 'contest', '--callers')['won'].endswith(', +4989123402')
    rows = shown(hitcounter, 'close', 'contest')
    assert rows['round'].startswith('1, final, closed ')
    assert rows['result'] == 'final: 2 calls, 1 winner, 1 REPEAT'
    assert 'final' not in rows
    assert results(server, '+4989123403') == ['CLOSED']
    assert shown(hitcounter, 'show', 'contest')['result'] == 'final: 2 calls, 1 winner, 1 REPEAT'


def test_a_round_for_programs(hitcounter: Run, start: Start) -> None:
    server = start()
    options = ('--time-zone', 'Asia/Kolkata', '--until', '2099-01-01 00:00', '--win', 'at 1')
    assert hitcounter('round', 'open', 'contest', *options).returncode == 0
    results(server, '+4989123401')
    told = json.loads(hitcounter('round', 'show', 'contest', '--json').stdout)
    assert list(told) == [*FIELDS, 'wins']
    assert (told['line'], told['round'], told['state'], told['result']) == ('contest', 1, 'open', 'provisional')
    assert (told['ends'], told['final_at']) == ('2099-01-01T00:00:00+05:30', '2099-01-01T00:00:30+05:30')
    assert (told['entries'], told['winners'], told['turned_away'], told['gaps']) == (1, 1, {}, [])
    (win,) = told['wins']
    assert (win['number'], win['terms'], win['caller']) == (1, 'at 1', '...401')
    assert datetime.fromisoformat(win['arrived']).utcoffset() == datetime.fromisoformat(told['ends']).utcoffset()
    listed = json.loads(hitcounter('round', 'list', '--json').stdout)
    assert listed == {key: told[key] for key in FIELDS}
    told = json.loads(hitcounter('round', 'show', 'contest', '--json', '--callers').stdout)
    assert told['wins'][0]['caller'] == '+4989123401'


def test_the_page_on_lines_has_all_fields() -> None:
    page = (TREE / 'docs/lines.md').read_text('utf-8')
    table = page.partition('| field |')[2].partition('\n\n')[0]
    named = [name for row in table.splitlines() for name in re.findall(r'`(.*?)`', row.split(' | ')[0])]
    assert named == [*FIELDS, 'wins']


def test_a_winner_without_a_number_and_one_known_by_a_hash(hitcounter: Run, start: Start) -> None:
    server = start()
    options = ('--win', 'first 2', '--forget', 'numbers', '--withheld', 'count')
    assert hitcounter('round', 'open', 'contest', *options).returncode == 0
    assert results(server, None, '+4989123401') == ['WON', 'WON']
    won = [row for row in hitcounter('round', 'show', 'contest').stdout.splitlines() if row.startswith('won ')]
    assert [row.rpartition(', ')[2] for row in won] == ['not known', 'stored as a hash']
    hashed = shown(hitcounter, 'show', 'contest', '--callers')['won'].rpartition(', ')[2]
    assert re.fullmatch('[0-9a-f]{32}', hashed)


def test_rounds_of_one_line_one_after_the_other(hitcounter: Run, counted: None) -> None:
    assert hitcounter('round', 'open', 'contest', '--until', '2099-01-01T00:00Z').returncode == 0
    for window in ((), ('--from', '2098-12-31T00:00Z')):
        done = hitcounter('round', 'open', 'contest', *window)
        assert (done.returncode, done.stdout) == (2, '')
        assert done.stderr.endswith(
            "Error: round 1 of line 'contest' takes calls in that time as well: close it first, or "
            'choose another time\n'
        )
    done = hitcounter('round', 'open', 'contest', '--from', '2099-01-01T00:00Z')
    assert done.stdout.startswith('Round 2 of line contest opens 2099-01-01 00:00:00 UTC (2099-01-01T00:00:00Z).\n')
    assert (
        shown(hitcounter, 'show', 'contest')['round'] == '1, open until 2099-01-01 00:00:00 UTC (2099-01-01T00:00:00Z)'
    )
    assert hitcounter('round', 'list').stdout == (
        'contest  round 1  open until 2099-01-01 00:00:00 UTC (2099-01-01T00:00:00Z)  provisional: 0 calls, 0 winners\n'
        'contest  round 2  scheduled from 2099-01-01 00:00:00 UTC (2099-01-01T00:00:00Z)  '
        'provisional: 0 calls, 0 winners\n'
    )
    done = hitcounter('round', 'show', 'contest', '--round', '3')
    assert (done.returncode, done.stderr) == (1, "Error: line 'contest' has had 2 rounds: there is no round 3\n")
    assert hitcounter('round', 'show', 'contest', '--round', '0').returncode == 2


def test_a_round_is_called_off_before_it_begins(hitcounter: Run, counted: None) -> None:
    assert hitcounter('round', 'open', 'contest', '--from', '2099-01-01T00:00Z').returncode == 0
    done = hitcounter('round', 'close', 'contest')
    assert (done.returncode, done.stderr) == (
        1,
        "Error: line 'contest' has no round that is open; round 1 has not begun: --round 1 calls it off\n",
    )
    rows = shown(hitcounter, 'close', 'contest', '--round', '1')
    assert rows['round'].startswith('1, closed ')
    assert rows['final'].startswith('from ')
    done = hitcounter('round', 'close', 'contest')
    assert done.returncode == 1
    assert re.fullmatch(
        r"Error: round 1 of line 'contest' is closed already: its result is final from .* UTC \(.*Z\)\n", done.stderr
    )
    assert hitcounter('round', 'open', 'contest').stdout.startswith('Round 2 of line contest is open.\n')


def test_the_server_makes_a_result_final(hitcounter: Run, start: Start) -> None:
    server = start()
    assert hitcounter('round', 'open', 'contest', '--win', 'last', '--settle', '1s').returncode == 0
    assert results(server, '+4989123401') == ['COUNTED']
    rows = shown(hitcounter, 'close', 'contest')
    assert rows['result'] == 'provisional: 1 call, 0 winners'
    assert rows['final'].startswith('from ')
    server.log.wait("round 1 of line 'contest' is final: 1 entries, 1 won")
    rows = shown(hitcounter, 'show', 'contest')
    assert rows['result'] == 'final: 1 call, 1 winner'
    assert 'final' not in rows


@pytest.fixture
def overdue(storage: str) -> None:
    """A round that was closed a minute ago, on a database that no server has opened since."""
    now = time.time()
    with open_database(storage, share=True) as database, State(database, [HitCounter, Lines]) as state:
        state[Lines].open_round('contest', canonical(Rules(win=(Last(),))), now - 120, 'anna')
        state.update(
            lambda components: (
                components[Lines].enter(components[HitCounter], 'contest', 1, Entrant(BOB, now - 100, '+4989123401'))
                and None
            )
        )
        state[Lines].close_round('contest', now - 60, 'anna')


def test_without_a_server_a_result_that_is_overdue_says_how_it_becomes_final(hitcounter: Run, overdue: None) -> None:
    for _ in range(2):  # showing changes nothing
        rows = shown(hitcounter, 'show', 'contest')
        assert rows['result'] == 'provisional: 1 call, 0 winners'
        assert rows['final'] == 'as soon as a server runs, or by "hitcounter round close contest"'
    assert shown(hitcounter, 'close', 'contest')['result'] == 'final: 1 call, 1 winner'
    assert shown(hitcounter, 'show', 'contest')['won'].startswith('1 (last), ')
    done = hitcounter('round', 'close', 'contest')
    assert (done.returncode, done.stderr) == (
        1,
        'Error: line \'contest\' has no round that takes calls: see "hitcounter round list"\n',
    )


def test_what_makes_a_result_final_does_not_call_off_the_next_round(hitcounter: Run, overdue: None) -> None:
    assert hitcounter('round', 'open', 'other', '--from', '2099-01-01T00:00Z').returncode == 0
    for _ in range(2):
        assert hitcounter('round', 'open', 'contest', '--from', '2099-01-01T00:00Z').returncode in (0, 2)
        hitcounter('round', 'close', 'contest')
    listed = [json.loads(row) for row in hitcounter('round', 'list', 'contest', '--json').stdout.splitlines()]
    assert [view['state'] for view in listed] == ['final', 'scheduled']
    done = hitcounter('round', 'close', 'contest', '--round', '1')
    assert (done.returncode, done.stderr) == (
        1,
        "Error: round 1 of line 'contest' is closed already, and its result is final\n",
    )
    done = hitcounter('round', 'close', 'contest', '--round', '3')
    assert (done.returncode, done.stderr) == (
        1,
        'Error: line \'contest\' has no round that takes calls: see "hitcounter round list"\n',
    )


def test_a_server_that_starts_makes_an_overdue_result_final(hitcounter: Run, overdue: None, start: Start) -> None:
    start().log.wait("round 1 of line 'contest' is final: 1 entries, 1 won")
    assert shown(hitcounter, 'show', 'contest')['result'] == 'final: 1 call, 1 winner'


def test_the_next_round_opens_while_the_last_one_is_overdue(hitcounter: Run, overdue: None) -> None:
    assert hitcounter('round', 'open', 'contest').returncode == 0
    assert [json.loads(row)['result'] for row in hitcounter('round', 'list', '--json').stdout.splitlines()] == [
        'final',
        'provisional',
    ]


def test_options_win_over_the_file(hitcounter: Run, counted: None, tmp_path: Path) -> None:
    (tmp_path / 'rules.toml').write_text(
        'win = "at 100"\nuntil = 2099-12-05T22:15:00\ntime-zone = "Europe/Berlin"\nmost-winners = 3\ncount-all = true\n'
    )
    done = hitcounter('round', 'open', 'contest', '--rules', 'rules.toml', '--win', 'every 5', '--most-winners', '2')
    assert done.stderr == ''
    rules = shown(hitcounter, 'show', 'contest')['rules']
    assert rules.startswith('Every 5th caller wins; after 2 winners nobody else wins; ')
    assert 'closes 2099-12-05 22:15:00 Europe/Berlin (2099-12-05T21:15:00Z)' in rules
    (tmp_path / 'rules.toml').write_text('win = "at 9"\n')
    done = hitcounter('round', 'open', 'other', '--rules', 'rules.toml', '--most-calls', '5')
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.endswith(
        "Error: 'at 9' can never be reached with at most 5 calls: give a smaller number, or more calls\n"
    )
    assert hitcounter('round', 'list', 'other').stdout == 'Line other has had no round.\n'


def test_times_are_those_of_the_line_where_utc_has_another_day(hitcounter: Run, counted: None) -> None:
    """What is checked before the line is known must not go by the wrong zone."""
    zone = 'Pacific/Kiritimati' if datetime.now(UTC).hour >= 12 else 'Etc/GMT+12'  # another day than in UTC
    assert hitcounter('line', 'declare', 'contest', '--time-zone', zone).returncode == 0
    done = hitcounter('round', 'open', 'contest', '--until', '24:00', '--win', 'first after 23:59:59')
    assert (done.returncode, done.stderr) == (0, '')


def refused(tmp_path: Path, *arguments: str) -> str:
    """What `hitcounter round open` says about wrong arguments, for a database that is not there."""
    database = tmp_path / 'hits.fs'
    done = CliRunner().invoke(main, ['round', 'open', '--storage', f'file://{database}', *arguments])
    assert done.exit_code == 2, done.output
    assert not database.exists()
    _, told = done.output.split('\n\nError: ')
    return told.removesuffix('\n')


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        ([''], 'the line is empty: dial or name one of at least one character'),
        (['a\x1b'], "line 'a\\x1b' contains the control character '\\x1b': dial or name one without it"),
        (
            ['a', '--win', 'at 0'],
            "--win: the rule 'at 0' has '0' at character 4: give a number from 1 to 1,000,000,000, as in 1000",
        ),
        (['a', '--limit', '0'], "--limit: '0' is not a count: write a whole number from 1 to 1,000,000,000, as in 100"),
        (
            ['a', '--settle', '-1s'],
            "--settle: '-1s' is not a duration: write a number and s, m, h, d or w, as in 12h or 90d",
        ),
        (['a', '--withheld', 'ask'], "--withheld: 'ask' is not known: write count-no-win, count or refuse"),
        (
            ['a', '--country', 'XX'],
            "--country: country 'XX' is not the code of a country that has national numbers: "
            'write two capital letters, as in DE or GB',
        ),
        (
            ['a', '--time-zone', 'Europe/Berln'],
            "--time-zone: 'Europe/Berln' is not a time zone: the nearest names are Europe/Berlin, Europe/Dublin, "
            'Europe/Belfast',
        ),
        (
            ['a', '--until', '2026-02-30 10:00'],
            "--until: '2026-02-30 10:00' is not a time: the day must be 01 to 28 in 2026-02",
        ),
    ],
)
def test_wrong_rules_are_refused_before_a_database_is_opened(tmp_path: Path, arguments: list[str], said: str) -> None:
    assert refused(tmp_path, *arguments) == said


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('limit = 1.5', ", key 'limit': 1.5 is not a count: write a whole number from 1 to 1,000,000,000, as in 100"),
        ('once = "caller"', ", key 'once' is not a rule of a round: did you mean 'once-per'?"),
        ('win =', ' is not TOML: Invalid value (at end of document)'),
    ],
)
def test_wrong_rules_in_a_file_are_said_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / 'rules.toml'
    path.write_text(text)
    assert refused(tmp_path, 'a', '--rules', str(path)) == f'{str(path)!r}{said}'
    assert refused(tmp_path, 'a', '--rules', str(path), '--win', 'at 3') == f'{str(path)!r}{said}'


def test_an_option_takes_the_place_of_a_wrong_value_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'rules.toml'
    path.write_text('limit = 0')
    assert refused(tmp_path, 'a', '--rules', str(path), '--limit', 'x').startswith("--limit: 'x' is not a count: ")


@pytest.mark.parametrize('group', ['line', 'round'])
def test_without_a_subcommand_there_is_the_list_of_them(group: str) -> None:
    done = CliRunner().invoke(main, [group])
    assert done.exit_code == CliRunner().invoke(main, []).exit_code
    listed = done.output.partition('Commands:\n')[2].partition('\n\n')[0].splitlines()
    assert all(not row.endswith('...') for row in listed)
    for name in (row.split()[0] for row in listed):
        output = CliRunner().invoke(main, [group, name, '--help']).output
        assert max(map(len, output.splitlines())) <= 80
        example = ' '.join(output.partition('Example: hitcounter ')[2].split())
        assert example.startswith(f'{group} {name}')
