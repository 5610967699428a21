"""hitcounter forget, as a process of its own, and the forgetting of hitcounter-serve."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hitcounter.hits import Caller, HitCounter
from hitcounter.lines.calling import Desk, Visit
from hitcounter.lines.component import Lines
from hitcounter.lines.rules import Rules, canonical
from hitcounter.lines.terms import At, Every
from hitcounter.state import State, open_database

if TYPE_CHECKING:
    from tests.support.servers import Run, ServerProcess, Start

CALLER = '+49 89 1234567'


def test_who_called_is_gone_from_the_disk_after_a_pack_and_the_counts_stay(
    hitcounter: Run, start: Start, tmp_path: Path
) -> None:
    server = start()
    for _ in range(3):
        server.number(caller_id=CALLER)
    done = hitcounter('forget', '--keep-calls', '0s')
    assert (done.returncode, done.stdout, done.stderr) == (0, '3 calls forgotten\n', '')
    assert 'hits.fs' in holds_the_caller(tmp_path)
    assert hitcounter('pack', '--pack-keep', '0s').returncode == 0
    assert holds_the_caller(tmp_path) == []
    assert server.number() == 4
    asked = hitcounter('shell', '-c', 'print(hits.count("31415")); hits.call("31415", 2)')
    assert asked.stdout == '4\n'
    assert "KeyError: 'record 2 is forgotten, as are all below 4'" in asked.stderr


def holds_the_caller(folder: Path) -> list[str]:
    files = (path for path in folder.rglob('*') if path.is_file())
    return [path.name for path in files if CALLER.encode() in path.read_bytes()]


def test_what_is_younger_is_kept(hitcounter: Run, count: Callable[..., None]) -> None:
    count('31415')
    assert hitcounter('forget', '--keep-calls', '90 d').stdout == '0 calls forgotten\n'


def test_the_server_forgets_by_itself(start: Start) -> None:
    server = start('--keep-calls', '0s')
    server.number()
    server.log.wait(r'forgot 1 call of more than 0 s ago')
    assert server.number() == 2


def test_it_must_be_said_what_to_forget(hitcounter: Run) -> None:
    done = hitcounter('forget')
    assert done.returncode == 2
    assert done.stderr.endswith(
        'Error: nothing says what to forget: give --keep-calls, as in --keep-calls 90d, or --caller and a number\n'
    )


#: One caller as several carriers send the number, and two others.
SPELLINGS = ('+49891234567', '0049891234567', '0891234567', '089 1234567')
OTHERS = ('+49891234568', '1234567')


@pytest.mark.parametrize('in_round', [False, True])
def test_one_caller_is_erased_while_others_call(
    hitcounter: Run, start: Start, storage: str, tmp_path: Path, in_round: bool
) -> None:
    if in_round:
        open_round(storage, '31415', Rules(country='DE', win=(Every(2, 2),), limit=1_000_000))
    server = start()
    for _ in range(20):
        for number in (*SPELLINGS, *OTHERS):
            number_of(server, caller_id=number, caller_name=f'Zoe {number}')
    number_of(server, caller_id=SPELLINGS[0], extension='27182')
    number_of(server, caller_id='anonymous')
    erased, told = threading.Event(), []

    def call_until_erased() -> None:
        while not erased.is_set():
            told.append(number_of(server, caller_id=OTHERS[0]))

    with ThreadPoolExecutor(4) as callers:
        calling = [callers.submit(call_until_erased) for _ in range(4)]
        done = hitcounter('forget', '--caller', '+49 89 1234567', '--country', 'DE')
        erased.set()
        for each in calling:
            each.result()
    assert (done.returncode, done.stderr) == (0, '')
    # Of the round: its entries, the caller in its index, and the last win.
    of_lines = 'erased from 82 records of lines\n' if in_round else ''
    assert done.stdout.startswith(f'erased from 81 calls on 2 lines\n{of_lines}the caller may remain\n')

    assert told
    assert sorted(told) == list(range(122, 122 + len(told)))
    assert number_of(server) == 122 + len(told)
    rows = [json.loads(row) for row in hitcounter('export', '--format', 'jsonl', '-').stdout.splitlines()]
    kept = [row for row in rows if row['line'] == '31415'][:121]
    assert [row['number'] for row in kept] == list(range(1, 122))
    assert [row['caller_id'] for row in kept] == [*(None, None, None, None, *OTHERS) * 20, 'anonymous']
    assert [(row['name'], row['unique_id'] != '') for row in kept[3:5]] == [
        (None, False),
        (f'Zoe {OTHERS[0]}', True),
    ]
    assert sum(hours(hitcounter).values()) == 122 + len(told)
    assert hitcounter('verify').returncode == 0

    assert hitcounter('pack', '--pack-keep', '0d').returncode == 0
    server.stop()
    content = b''.join(path.read_bytes() for path in tmp_path.rglob('*') if path.is_file())
    assert [number for number in SPELLINGS if number.encode() in content] == []
    assert all(number.encode() in content for number in OTHERS)


def number_of(server: ServerProcess, **channel: object) -> int:
    """The number of a call, also of one that wins and does not hear it."""
    return int(server.call(**channel).variables['HITCOUNTER_NUMBER'])


def open_round(storage: str, line: str, rules: Rules) -> None:
    with (
        open_database(storage, share=True) as database,
        State(database, [HitCounter, Lines]) as state,
    ):
        state[Lines].open_round(line, canonical(rules), 1000.0, 'anna')


def hours(hitcounter: Run) -> dict[str, int]:
    counted: dict[str, int] = json.loads(
        hitcounter('shell', '-c', 'import json; print(json.dumps(hits.hours("31415")))').stdout
    )
    return counted


def test_it_is_said_where_the_caller_may_remain_and_for_how_long(
    hitcounter: Run, counted: None, tmp_path: Path
) -> None:
    def remains() -> list[str]:
        done = hitcounter('forget', '--caller', '+44123')
        assert (done.returncode, done.stderr) == (0, '')
        return done.stdout.splitlines()

    file, backups = f'{tmp_path}/hits.fs', f'{tmp_path}/backups'
    written = '  in log files of hitcounter and of Asterisk, exports and reports, until you delete them'
    first, heading, history, unknown, last = remains()
    assert (first, heading) == ('erased from 1 call on 1 line', 'the caller may remain')
    assert history == (
        f'  in the history of {file}, until a pack no longer keeps it (--pack-keep): "hitcounter pack --pack-keep 0d" '
        f'removes it now'
    )
    assert (
        unknown == '  in backups, of which none is known here, until you delete them: after a restore, run this again'
    )
    assert last == written

    Path(f'{file}.tr0').touch()
    hitcounter('backup', backups)
    first, _, _, cut, known, _ = remains()
    assert first == 'erased from 0 calls on 0 lines'
    assert cut == f'  in {file}.tr0, which was cut off the database, until you delete it'
    assert re.fullmatch(
        rf'  in the backups in {backups}, the last of which is of \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC, until you '
        rf'delete them: after a restore, run this again',
        known,
    )


def test_a_caller_is_erased_from_rounds_and_read_by_the_country_of_the_line(hitcounter: Run, storage: str) -> None:
    open_round(storage, 'contest', Rules(country='DE', win=(At(1),), limit=5))
    with (
        open_database(storage, share=True) as database,
        State(database, [HitCounter, Lines]) as state,
    ):
        for number in ('+49891234567', '089 1234567', '+49891234568'):
            Desk(state).decide(Visit('contest', Caller(number, None, '17.1', withheld=False), 1000.0))
        state[HitCounter].hit('27182', Caller('+49891234567', None, '17.2'))
    done = hitcounter('forget', '--caller', '0891234567')
    assert (done.returncode, done.stderr) == (0, '')
    first, second, *_ = done.stdout.splitlines()
    assert first == 'erased from 2 calls on 1 line'  # 27182 is not in any country
    assert second == 'erased from 4 records of lines'  # two entries, a caller in an index, and a winner
    assert hitcounter('verify').returncode == 0


def test_the_time_that_the_server_keeps_calls_does_not_matter_for_one_caller(hitcounter: Run, counted: None) -> None:
    done = hitcounter('forget', '--caller', '+44123', env={'HITCOUNTER_KEEP_CALLS': '90d'})
    assert done.stdout.startswith('erased from 1 call on 1 line\n')


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (
            ['--caller', '+44123', '--keep-calls', '90d'],
            '--caller erases a caller from all calls, whatever their age: leave out --keep-calls, or run both by '
            'themselves',
        ),
        (
            ['--keep-calls', '90d', '--country', 'DE'],
            '--country DE is that of a number: give --caller, too, or leave it out',
        ),
        *(
            (
                ['--caller', number],
                f"Invalid value for '--caller': {number!r} is what is stored of callers who withhold their number, "
                'and not one caller: give a number',
            )
            for number in ('Anonymous', '', '000')
        ),
        *(
            (
                ['--caller', '+44123', '--country', code],
                f"Invalid value for '--country': country {code!r} is not the code of a country that has national "
                'numbers: write two capital letters, as in DE or GB',
            )
            for code in ('de', 'UK', 'Germany')
        ),
    ],
)
def test_what_does_not_name_one_caller_is_refused(
    hitcounter: Run, counted: None, options: list[str], said: str
) -> None:
    done = hitcounter('forget', *options)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.splitlines()[-1] == f'Error: {said}'
    assert '+44123' in hitcounter('export', '--format', 'csv', '-').stdout


def test_a_national_number_that_is_not_found_without_a_country_is_warned_of(counted: None, hitcounter: Run) -> None:
    without, within = (hitcounter('forget', '--caller', '089123', *more) for more in ((), ('--country', 'DE')))
    assert (without.returncode, within.returncode, within.stderr) == (0, 0, '')
    assert without.stderr.startswith('Warning: on lines without a country the number was sought as it is written')
    assert 'give --country as well' in without.stderr
