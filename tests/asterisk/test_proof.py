"""Real Asterisk: the counters that a dialplan can have, and this one, under many calls at once and under kill -9.

The counters of the dialplan are only measured, for how many calls they lose is chance. The figures are printed at the
end of the run; the README shows them.
"""

import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hitcounter.hits import HitCounter
from hitcounter.lines.component import Lines
from hitcounter.state import State, open_database
from tests.support.asterisk.counter import Server
from tests.support.asterisk.telephony import Asterisk
from tests.support.places import TREE

CALLS = 200
BOOK, BOOK_LOCKED, GLOBAL, OURS = '31470', '31471', '31472', '31473'

NAMES = {
    BOOK: 'AstDB, as in the book',
    BOOK_LOCKED: 'AstDB within `LOCK()`',
    GLOBAL: '`GLOBAL()`',
    OURS: '**hitcounter**',
}
AT_ONCE = ('counter', 'calls', 'distinct numbers', 'numbers told twice or more', 'highest')
KILLED = ('counter', 'told before `kill -9`', 'on disk after it')

Measured = Callable[[str, Iterable[object]], None]
"""Adds a row to a table, named by its head, that is printed at the end."""


def row(cells: Iterable[object]) -> str:
    return f'| {" | ".join(map(str, cells))} |'


def head(cells: tuple[str, ...]) -> str:
    return f'{row(cells)}\n|{"---|" * len(cells)}'


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    return lambda table, cells: record_property(table, row(cells))


@pytest.fixture
def doomed_asterisk(running_asterisk: Asterisk) -> Iterator[Asterisk]:
    """An Asterisk of the test's own, to be killed."""
    asterisk = Asterisk(running_asterisk.folder, 'doomed')
    try:
        asterisk.wait_until_ready()
        yield asterisk
    finally:
        asterisk.stop()


def set_to_zero(asterisk: Asterisk) -> None:
    """Begin the counters of the dialplan, as the book does."""
    for command in ('database put test count 0', 'database put test locked 0', 'dialplan set global COUNTED 0'):
        asterisk.cli(command)


def figures(told: list[str]) -> tuple[int, int, int, int]:
    """How many calls were told a number, how many numbers there were, how many of these twice or more; the highest."""
    times = Counter(int(number) for number in told if number)
    return times.total(), len(times), sum(calls > 1 for calls in times.values()), max(times, default=0)


def test_figures_count_a_number_that_is_told_twice_and_a_call_that_is_told_none() -> None:
    assert figures(['1', '2', '2', '3', '3', '3', '7', '']) == (7, 4, 2, 7)


@pytest.mark.parametrize('line', [BOOK, BOOK_LOCKED, GLOBAL])
def test_counters_of_the_dialplan_are_measured_under_calls_at_once(
    asterisk: Asterisk, measured: Measured, line: str
) -> None:
    set_to_zero(asterisk)

    told = asterisk.tell(line, CALLS)

    measured(head(AT_ONCE), [NAMES[line], *figures(told)])


def test_calls_at_once_are_told_each_number_once_and_none_is_left_out(
    asterisk: Asterisk, server: Server, measured: Measured
) -> None:
    told = asterisk.tell(OURS, CALLS)

    measured(head(AT_ONCE), [NAMES[OURS], *figures(told)])
    assert sorted(told, key=int) == [str(number) for number in range(1, CALLS + 1)]


def test_the_database_of_asterisk_is_measured_after_asterisk_is_killed(
    doomed_asterisk: Asterisk, measured: Measured
) -> None:
    set_to_zero(doomed_asterisk)

    told = [doomed_asterisk.tell(BOOK)[0] for _ in range(5)]
    doomed_asterisk.end(signal.SIGKILL)

    measured(head(KILLED), [NAMES[BOOK], ', '.join(told), stored(doomed_asterisk.database, '/test/count')])
    assert told == ['1', '2', '3', '4', '5']


def test_a_number_is_on_disk_when_the_server_is_killed_while_it_says_it(
    asterisk: Asterisk, server: Server, measured: Measured
) -> None:
    told = asterisk.tell(OURS, 1) + asterisk.tell(OURS, 1) + asterisk.tell(OURS, 1) + asterisk.tell(OURS, 1)
    fifth = asterisk.dial(OURS)
    fifth.hears('hello')
    server.send(signal.SIGKILL)
    server.end()
    told.append(fifth.ends().number)

    with open_database(server.storage) as database, State(database, [HitCounter, Lines]) as state:
        on_disk = state[HitCounter].count(OURS)

    measured(head(KILLED), [NAMES[OURS], ', '.join(told), on_disk])
    assert told == ['1', '2', '3', '4', '5']
    assert on_disk == 5


def stored(database: Path, key: str) -> str:
    """What AstDB has on disk."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute('SELECT value FROM astdb WHERE key = ?', [key]).fetchall()
    return rows[0][0] if rows else 'nothing'


def test_the_readme_has_the_tables_that_are_printed_here() -> None:
    readme = (TREE / 'README.md').read_text()

    for table, lines in ((AT_ONCE, NAMES), (KILLED, [BOOK, OURS])):
        _, has_it, rest = readme.partition(head(table))
        assert has_it
        rows = rest.strip().splitlines()[: len(lines)]
        assert [cells.split(' | ')[0].removeprefix('| ') for cells in rows] == [NAMES[line] for line in lines]
