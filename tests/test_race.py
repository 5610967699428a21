"""Many threads, and a second process, count at the same time: no call is lost, no number given twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hitcounter.hits import Caller, HitCounter
from hitcounter.state import Components, Database, ReadConnection, State, open_database
from tests.support.patience import PATIENCE

THREADS = 16
HITS = 50
#: How often the second process counts.
TIMES = 100

Other = Callable[..., 'subprocess.Popen[str]']

#: What the second process runs, once it has a line on standard input; it shows what it got.
_OPENING = """
import sys
from contextlib import closing
from hitcounter.errors import UpdateFailed
from hitcounter.hits import Caller, HitCounter
from hitcounter.state import State, WriteConnection, open_database

with open_database(sys.argv[1]) as database:
    print('ready', flush=True)
    sys.stdin.readline()
"""

TALLY = (
    _OPENING
    + """
    with WriteConnection(database.db) as session:
        for _ in range(int(sys.argv[2])):
            session.root['hits']._lines['1'].hours.add(int(sys.argv[3]))
            session.commit()  # which would raise if the totals were not merged
            print(0, flush=True)
"""
)

HIT = (
    _OPENING
    + """
    with State(database, [HitCounter]) as state:
        for number in range(int(sys.argv[2])):
            print(state[HitCounter].hit('1', Caller(None, None, f'other-{number}')), flush=True)
"""
)


@pytest.fixture
def database(storage: str) -> Iterator[Database]:
    with open_database(storage, share=True) as database:
        yield database


@pytest.fixture
def state(database: Database) -> Iterator[State]:
    with State(database, [HitCounter]) as state:
        state[HitCounter].hit('1', Caller(None, None, 'first'))
        yield state


@pytest.fixture
def other(storage: str, environment: dict[str, str]) -> Iterator[Other]:
    """Start a second process on the database: its code and its arguments."""
    started: list[subprocess.Popen[str]] = []

    def other(code: str, *arguments: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, '-W', 'error', '-c', code, storage, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == 'ready\n'
        return process

    yield other
    for process in started:
        process.kill()
        process.communicate()


def count(state: State, more: Callable[[int], bool] = HITS.__gt__) -> list[list[int]]:
    """Count from many threads at once, each while there is to be more; the numbers that each got."""
    together = threading.Barrier(THREADS)

    def some(thread: int) -> list[int]:
        numbers: list[int] = []
        together.wait(PATIENCE)
        while more(len(numbers)):
            caller = Caller(None, None, f'{thread}-{len(numbers)}')
            numbers.append(state[HitCounter].hit('1', caller))
        return numbers

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(some, range(THREADS)))


def count_beside(state: State, process: subprocess.Popen[str]) -> tuple[list[int], list[int]]:
    """Count once from each thread whenever the other process has; our numbers, and what it shows."""
    shown: list[int] = []
    tickets = threading.Semaphore(0)
    ended = threading.Event()

    def more(_: int) -> bool:
        tickets.acquire()
        return not ended.is_set()

    assert process.stdin
    assert process.stdout
    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(count, state, more)
        process.stdin.write('go\n')
        process.stdin.flush()
        for line in process.stdout:
            shown.append(int(line))
            tickets.release(THREADS)
        ended.set()
        tickets.release(THREADS)
        numbers = [number for own in counted.result() for number in own]
    assert process.wait(PATIENCE) == 0
    return numbers, shown


def unique_ids(database: Database) -> list[str]:
    """Those of all calls that are stored, in the order of their numbers."""
    with ReadConnection(database.db) as session:
        records = list(session.root['hits']._lines['1'].calls.since(1))
    assert [number for number, _ in records] == list(range(1, len(records) + 1))
    return [str(record[3]) for _, record in records]  # after the time, the number and the name


def test_threads_get_every_number_once(state: State, database: Database) -> None:
    numbers = [number for own in count(state) for number in own]

    assert sorted(numbers) == list(range(2, 2 + THREADS * HITS))
    assert state[HitCounter].count('1') == 1 + THREADS * HITS
    assert sum(state[HitCounter].hours('1').values()) == 1 + THREADS * HITS
    assert len(set(unique_ids(database))) == 1 + THREADS * HITS


def test_each_thread_sees_its_own_numbers_rise_and_in_their_place(state: State) -> None:
    for thread, numbers in enumerate(count(state)):
        assert numbers == sorted(numbers)
        assert [state[HitCounter].call('1', number).caller.unique_id for number in numbers] == [
            f'{thread}-{hit}' for hit in range(HITS)
        ]


def test_queries_see_whole_calls_while_others_are_counted(state: State) -> None:
    done = threading.Event()
    seen: list[tuple[int, int]] = []

    def both(parts: Components) -> tuple[int, int]:
        return parts[HitCounter].count('1'), sum(parts[HitCounter].hours('1').values())

    def look() -> None:
        while not done.is_set():
            seen.append(state.query(both))

    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(look)
        count(state)
        done.set()
        watched.result()

    assert len(set(seen)) > 1
    assert all(calls == in_hours for calls, in_hours in seen)
    assert seen == sorted(seen)


def test_another_process_adds_to_the_same_total_at_the_same_time(state: State, other: Other) -> None:
    (hour,) = state[HitCounter].hours('1')

    numbers, added = count_beside(state, other(TALLY, TIMES, hour))

    assert len(added) == TIMES
    assert sorted(numbers) == list(range(2, 2 + len(numbers)))
    assert state[HitCounter].count('1') == 1 + len(numbers)
    assert sum(state[HitCounter].hours('1').values()) == 1 + len(numbers) + TIMES


def test_another_process_counts_calls_at_the_same_time(state: State, other: Other, database: Database) -> None:
    ours, theirs = count_beside(state, other(HIT, TIMES))

    assert len(theirs) == TIMES
    assert min(ours) < max(theirs)
    assert sorted(ours + theirs) == list(range(2, 2 + len(ours) + TIMES))
    assert sum(state[HitCounter].hours('1').values()) == 1 + len(ours) + TIMES
    assert len(set(unique_ids(database))) == 1 + len(ours) + TIMES


def test_another_process_comes_through_while_all_threads_count_without_a_pause(
    state: State, other: Other, database: Database
) -> None:
    process = other(HIT, TIMES)
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(count, state, lambda _: not ended.is_set())
        try:
            told, _ = process.communicate('go\n', timeout=PATIENCE)
        finally:
            ended.set()
        ours = [number for own in counted.result() for number in own]
    theirs = [int(line) for line in told.splitlines()]

    assert len(theirs) == TIMES
    assert sorted(ours + theirs) == list(range(2, 2 + len(ours) + TIMES))
    assert len(set(unique_ids(database))) == 1 + len(ours) + TIMES


def test_what_was_counted_is_found_again_in_the_file_alone(storage: str, tmp_path: Path) -> None:
    with open_database(storage, share=True) as database, State(database, [HitCounter]) as state:
        count(state)

    (tmp_path / 'hits.fs.index').unlink()
    with open_database(storage, share=True) as database, State(database, [HitCounter]) as state:
        assert state[HitCounter].count('1') == THREADS * HITS
        assert len(set(unique_ids(database))) == THREADS * HITS
