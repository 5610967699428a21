"""hitcounter lines, as a process of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hitcounter.commands.names import argument_of, name_of
from tests.support.places import TREE

if TYPE_CHECKING:
    from tests.support.servers import Run, Start


def test_all_lines_are_listed_with_their_counts_and_their_rounds(
    hitcounter: Run, start: Start, count: Callable[..., None]
) -> None:
    server = start()
    for line in ('31415', 'contest', 'contest', '日本語', 'a b'):
        server.call(extension=line)
    assert hitcounter('line', 'declare', 'shop').returncode == 0
    assert hitcounter('round', 'open', 'contest', '--win', 'at 1').returncode == 0
    server.call(extension='contest')
    done = hitcounter('lines', env={'PYTHONIOENCODING': 'utf-8'})
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == (
        '31415    1\n'
        "'a b'    1\n"
        'contest  3  round 1 open, provisional: 1 call, 1 winner\n'
        'shop     0  declared\n'
        '日本語   1\n'
    )
    rows = [json.loads(row) for row in hitcounter('lines', '--json').stdout.splitlines()]
    assert rows[2] == {
        'line': 'contest',
        'calls': 3,
        'declared': False,
        'closed': False,
        'round': 1,
        'state': 'open',
        'result': 'provisional',
        'entries': 1,
        'won': 1,
    }
    assert [row['line'] for row in rows] == ['31415', 'a b', 'contest', 'shop', '日本語']


def test_the_round_is_the_open_one_and_not_the_next(hitcounter: Run, count: Callable[..., None]) -> None:
    count('contest')
    for window in (['--until', '2099-01-01T00:00Z'], ['--from', '2099-01-01T00:00Z']):
        assert hitcounter('round', 'open', 'contest', *window).returncode == 0
    assert hitcounter('lines').stdout == 'contest  1  round 1 open, provisional: 0 calls, 0 winners\n'
    assert hitcounter('round', 'close', 'contest').returncode == 0
    assert hitcounter('lines').stdout == 'contest  1  round 2 scheduled, provisional: 0 calls, 0 winners\n'


def test_a_database_without_lines(hitcounter: Run, start: Start) -> None:
    start()
    assert hitcounter('lines').stdout == 'No line was called or declared yet.\n'
    assert hitcounter('lines', '--json').stdout == ''


def test_a_database_of_an_earlier_version(hitcounter: Run, tmp_path: Path) -> None:
    """It has no component of lines yet."""
    shutil.copy(TREE / 'tests/frozen/hits-2.fs', tmp_path / 'hits.fs')
    done = hitcounter('lines', env={'PYTHONIOENCODING': 'ascii'})
    assert done.stdout == "0              1\n2718          64\n31415        200\n'\\xe9checs'   65\n"
    reading = {
        ('round', 'list'): (0, 'There was no round yet.\n'),
        ('round', 'list', '0'): (0, 'Line 0 has had no round.\n'),
        ('round', 'show', '0'): (
            1,
            'Error: line \'0\' has had no round: open one with "hitcounter round open", or see "hitcounter lines"\n',
        ),
        ('line', 'show', '0'): (
            1,
            'Error: line \'0\' is not declared and has had no round: see "hitcounter lines"\n',
        ),
    }
    for arguments, expected in reading.items():
        done = hitcounter(*arguments)
        assert (done.returncode, done.stdout + done.stderr) == expected
    for arguments in (('round', 'close', '0'), ('line', 'remove', '0'), ('line', 'close', '0')):
        done = hitcounter(*arguments)
        assert (done.returncode, done.stderr) == (1, reading['line', 'show', '0'][1])
    assert hitcounter('line', 'declare', '0').stdout == '1 line declared: 0\n'
    assert hitcounter('lines', '--json').stdout.startswith('{"line": "0", "calls": 1, "declared": true,')


def test_without_a_database_it_says_what_makes_one(hitcounter: Run) -> None:
    for arguments in (
        ('lines',),
        ('round', 'list'),
        ('round', 'open', 'a'),
        ('line', 'declare', 'a'),
        ('line', 'show', 'a'),
    ):
        done = hitcounter(*arguments)
        assert done.returncode == 1
        assert done.stderr.endswith('is not a database yet: start hitcounter-serve, which creates it\n')


@pytest.mark.parametrize(
    ('line', 'name', 'argument'),
    [
        ('contest', 'contest', 'contest'),
        ('a b', "'a b'", "'a b'"),
        ('-x', '-x', '-- -x'),
        ("it's", "it's", """'it'"'"'s'"""),
        ('\x1b[31m', "'\\x1b[31m'", "'\\x1b[31m'"),
        ('caf\xe9\u202eevil', "'caf\\xe9\\u202eevil'", "'caf\\xe9\\u202eevil'"),
        ('\udcff', "'\\udcff'", "'\\udcff'"),
    ],
)
def test_a_name_is_shown_so_that_it_cannot_play_with_the_terminal(line: str, name: str, argument: str) -> None:
    assert name_of(line) == name
    assert argument_of(line) == argument
